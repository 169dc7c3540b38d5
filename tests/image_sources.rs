//! The contract of an `ImageSource`, held against every source of the crate.

use std::collections::BTreeSet;
use std::path::Path;

use headstart::data::{ImageSource, LabelledImages, ListOptions, Orientation, Pixels, Split, decode, open};

/// Images by class; two sides and a shade tell them apart.
const IMAGES: [(&str, &str); 4] = [("day", "day/a.png"), ("day", "day/b.png"), ("night", "night/a.png"), ("night", "night/c.png")];

fn shade(uri: &str) -> [u8; 3] {
    [uri.len() as u8, uri.bytes().map(u32::from).sum::<u32>() as u8, 7]
}

fn png(uri: &str) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(3, 2, image::Rgb(shade(uri))).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn write(folder: &Path) {
    for (class, uri) in IMAGES {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        std::fs::write(folder.join(uri), png(uri)).unwrap();
    }
}

/// What extraction relies upon. The images are those of [`IMAGES`].
fn keeps_the_contract(source: &dyn ImageSource) {
    let listed = source.list().unwrap();
    assert_eq!(listed, source.list().unwrap(), "a listing can be repeated");
    assert_eq!(listed.classes, ["day", "night"], "classes are sorted");
    let uris: Vec<&str> = listed.entries.iter().map(|entry| entry.uri.as_str()).collect();
    assert_eq!(uris, IMAGES.map(|(_, uri)| uri), "images are sorted by URI, each once");
    for (entry, (class, uri)) in listed.entries.iter().zip(IMAGES) {
        let classes: Vec<&str> = entry.labels.iter().map(|&label| listed.classes[label].as_str()).collect();
        assert_eq!(classes, [class], "labels are indices of classes");
        assert_eq!(entry.split.is_some(), listed.own_splits, "all images have a split, or none");
        let pixels = decode(&source.read(uri).unwrap(), uri, Orientation::AsStored).unwrap();
        assert_eq!((pixels.width, pixels.height, &pixels.rgb[..3]), (3, 2, &shade(uri)[..]), "`read` gives an image file");
        assert_eq!(source.stamp(uri).unwrap(), source.stamp(uri).unwrap(), "unchanged images have equal stamps");
        assert!(source.locate(uri).contains(uri), "messages name the image");
    }
    assert!(source.read("day/z.png").is_err() && source.stamp("day/z.png").is_err(), "an unknown image is an error");
}

#[test]
fn folders_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    keeps_the_contract(&*open(folder.path(), &ListOptions::default()).unwrap());
}

#[test]
fn tables_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let rows: String = IMAGES.iter().map(|(class, uri)| format!("{uri},{class}\n")).collect();
    let table = folder.path().join("list.csv");
    std::fs::write(&table, format!("path,label\n{rows}")).unwrap();
    keeps_the_contract(&*open(&table, &ListOptions::default()).unwrap());
}

#[test]
fn images_of_a_program_keep_the_contract() {
    let mut images = LabelledImages::default();
    for (class, uri) in IMAGES {
        images.add(uri, class, Some(Split::Train), Pixels::new(3, 2, shade(uri).repeat(6)).unwrap()).unwrap();
    }
    keeps_the_contract(&images);
}

/// Sources that are tested above, by the type that implements the trait.
const TESTED: [&str; 2] = ["LabelledImages", "LocalImages"];

#[test]
fn every_source_is_tested() {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                // Tests have sources of their own.
                folders.extend(Some(path).filter(|path| !path.ends_with("tests")));
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let types = text.lines().filter_map(|line| line.strip_prefix("impl ImageSource for ")?.split([' ', '<', '{']).next());
                found.extend(types.map(str::to_owned));
            }
        }
    }
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), TESTED, "a source is missing here: add a test of its contract");
}
