//! Folders and CSV files as people have them.

use std::fs;
use std::path::Path;

use super::*;

fn folder(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|file| touch(dir.path(), file, b""));
    dir
}

fn touch(root: &Path, file: &str, bytes: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn list(path: &Path) -> Result<Dataset> {
    open(path, &ListOptions::default())?.list()
}

/// `split class uri` of each entry.
fn lines(data: &Dataset) -> Vec<String> {
    let labels = |e: &Entry| e.labels.iter().map(|&l| data.classes[l].as_str()).collect::<Vec<_>>().join("|");
    data.entries.iter().map(|e| format!("{} {} {}", e.split, labels(e), e.uri)).collect()
}

fn csv(text: &str) -> (tempfile::TempDir, Result<Dataset>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("photos.csv");
    fs::write(&file, text).unwrap();
    let data = list(&file);
    (dir, data)
}

fn problem(data: Result<Dataset>) -> String {
    let error = data.unwrap_err();
    assert!(error.is_unusable_input(), "{error}");
    error.to_string()
}

#[test]
fn split_folders_hold_class_folders_that_may_nest() {
    let dir =
        folder(&["train/cat/1.jpg", "train/dog/deep/er/2.JPEG", "valid/cat/3.png", "valid/dog/4.webp", "test/cat/5.gif", "test/dog/6.tif"]);
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["cat", "dog"]);
    assert_eq!(
        lines(&data),
        [
            "test cat test/cat/5.gif",
            "test dog test/dog/6.tif",
            "train cat train/cat/1.jpg",
            "train dog train/dog/deep/er/2.JPEG",
            "val cat valid/cat/3.png",
            "val dog valid/dog/4.webp"
        ]
    );
    assert_eq!(data.warnings, [""; 0]);
}

#[test]
fn train_and_test_alone_are_a_layout_too() {
    let dir = folder(&["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"]);
    let data = list(dir.path()).unwrap();
    assert!(data.entries.iter().all(|e| e.split != Split::Val) && data.warnings.is_empty());
}

#[test]
fn flat_folders_are_split_by_hash_and_a_class_may_be_called_test() {
    let names: Vec<String> = ["cat", "test"].iter().flat_map(|c| (0..10).map(move |i| format!("{c}/{i}.jpg"))).collect();
    let dir = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["cat", "test"]);
    for (class, _) in data.classes.iter().enumerate() {
        let count = |split| data.entries.iter().filter(|e| e.labels == [class] && e.split == split).count();
        assert_eq!([Split::Train, Split::Val, Split::Test].map(count), [8, 1, 1]);
    }
    assert_eq!(list(dir.path()).unwrap(), data);
}

#[test]
fn what_is_no_image_is_counted_in_a_warning() {
    let dir =
        folder(&["a/1.jpg", "b/1.jpg", "a/notes.txt", "b/more.TXT", "Makefile", ".hidden/x.jpg", "a/.DS_Store", "a/._1.jpg", "stray.jpg"]);
    touch(dir.path(), "a/png-without-extension", b"\x89PNG\r\n\x1a\n and more");
    let data = list(dir.path()).unwrap();
    assert_eq!(data.entries.iter().map(|e| e.uri.as_str()).collect::<Vec<_>>(), ["a/1.jpg", "a/png-without-extension", "b/1.jpg"]);
    assert_eq!(
        data.warnings,
        ["passed over 3 files that are no images: 1 without extension, 2 .txt", "passed over 1 images that lie in no class folder"]
    );
}

#[test]
fn splits_that_disagree_about_classes_are_joined_with_a_warning() {
    let dir = folder(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg", "extra/a/1.jpg"]);
    fs::create_dir_all(dir.path().join("train/empty")).unwrap();
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["a", "b", "c"]);
    assert_eq!(
        data.warnings,
        [
            "passed over images beside the splits, in extra",
            "left out 1 class folders without images: empty",
            "train has no images of 1 classes: c",
            "val has no images of 1 classes: b"
        ]
    );
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_and_to_nowhere_do_no_harm_and_others_are_followed() {
    use std::os::unix::fs::symlink;
    let dir = folder(&["a/1.jpg", "b/1.jpg"]);
    let elsewhere = folder(&["2.jpg"]);
    symlink(dir.path(), dir.path().join("a/loop")).unwrap();
    symlink("nowhere.jpg", dir.path().join("a/gone.jpg")).unwrap();
    symlink(elsewhere.path(), dir.path().join("b/more")).unwrap();
    let data = list(dir.path()).unwrap();
    assert_eq!(data.entries.iter().map(|e| e.uri.as_str()).collect::<Vec<_>>(), ["a/1.jpg", "b/1.jpg", "b/more/2.jpg"]);
    assert_eq!(data.warnings.len(), 2);
    assert!(data.warnings.iter().any(|w| w.contains("a/loop: the link leads back to")), "{:?}", data.warnings);
    assert!(data.warnings.iter().any(|w| w.contains("a/gone.jpg: the link leads nowhere")), "{:?}", data.warnings);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_named_in_a_warning() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = folder(&["a/1.jpg", "b/1.jpg"]);
    fs::write(dir.path().join("a").join(OsStr::from_bytes(b"\xff.jpg")), b"").unwrap();
    let data = list(dir.path()).unwrap();
    assert_eq!(data.entries.len(), 2);
    assert!(data.warnings[0].starts_with("passed over 1 images whose paths are not UTF-8: "), "{:?}", data.warnings);
}

#[test]
fn unusable_folders_name_the_way_out() {
    for (files, want) in [
        (&["a/x.txt"][..], "holds no images"),
        (&["a/1.jpg", "a/2.jpg"], "holds a single class, `a`"),
        (&["1.jpg", "2.jpg"], "holds 2 images, none of them in a class"),
        (&["train/1.jpg", "test/2.jpg"], "holds 2 images, none of them in a class"),
    ] {
        let dir = folder(files);
        let text = problem(list(dir.path()));
        assert!(text.contains(want) && text.contains("help: ") && text.contains(dir.path().to_str().unwrap()), "{text}");
    }
    let text = problem(list(Path::new("no/such/folder")));
    assert!(text.contains("no/such/folder: does not exist\n  help: "), "{text}");
}

#[test]
fn a_csv_names_images_labels_and_splits() {
    let (dir, data) =
        csv("\u{feff}Split, path ,label,width\nval,\"b, c.jpg\",dog,1\ntrain,a.jpg, cat | dog |cat,2\nVALID,/abs/d.jpg,bird,3\n");
    let data = data.unwrap();
    assert_eq!(data.classes, ["bird", "cat", "dog"]);
    assert_eq!(lines(&data), ["val bird /abs/d.jpg", "train cat|dog a.jpg", "val dog b, c.jpg"]);

    touch(dir.path(), "a.jpg", b"bytes");
    let source = open(&dir.path().join("photos.csv"), &ListOptions::default()).unwrap();
    assert_eq!(source.read("a.jpg").unwrap(), b"bytes");
    assert_eq!(source.stamp("a.jpg").unwrap().size, 5);
    assert!(source.read("b, c.jpg").unwrap_err().to_string().contains("b, c.jpg"));
    fs::create_dir(dir.path().join("folder.jpg")).unwrap();
    assert!(source.read("folder.jpg").unwrap_err().to_string().ends_with("folder.jpg: is not a file"));
}

#[test]
fn a_csv_without_splits_is_split_by_hash() {
    let rows: String = (0..20).map(|i| format!("{i}.jpg,{}\n", i % 2)).collect();
    let (_dir, data) = csv(&format!("path,label\n{rows}"));
    let count = |split| data.as_ref().unwrap().entries.iter().filter(|e| e.split == split).count();
    assert_eq!([Split::Train, Split::Val, Split::Test].map(count), [16, 2, 2]);
}

#[test]
fn mistakes_in_a_csv_are_named_by_line() {
    for (text, line, want) in [
        ("", 1, "names no column `path`"),
        ("path,labels\na.jpg,x\n", 1, "names no column `label`; is it `labels`?"),
        ("path,label\na.jpg,x\n\nb.jpg\n", 4, "has 1 fields where the header has 2"),
        ("path,label\na.jpg,x\nb.jpg,\n", 3, "`b.jpg` has an empty label"),
        ("path,label\na.jpg,x|\n", 2, "`a.jpg` has an empty label"),
        ("path,label\n,x\n", 2, "names no path"),
        ("path,label\na.jpg,x\nb.jpg,y\na.jpg,y\n", 4, "`a.jpg` stands in line 2 already"),
        ("path,label,split\na.jpg,x,train\nb.jpg,y,trian\n", 3, "`trian` is not a split"),
        ("path,label,split\na.jpg,x,train\nb.jpg,y,\n", 3, "`` is not a split"),
    ] {
        let (_dir, data) = csv(text);
        let error = problem(data);
        assert!(error.contains(&format!("photos.csv:{line}: ")) && error.contains(want) && error.contains("help: "), "{text:?}: {error}");
    }
    for (text, want) in [("path,label\n", "holds no images"), ("path,label\na,x\nb,x\n", "holds a single class, `x`")] {
        let (_dir, data) = csv(text);
        let error = problem(data);
        assert!(error.contains(want), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("photos.csv");
    fs::write(&file, b"path,label\n\xff.jpg,x\n").unwrap();
    let error = problem(list(&file));
    assert!(error.contains("photos.csv:2: is not UTF-8 text"), "{error}");
}

/// `uri group` of each entry.
fn groups(data: &Dataset) -> Vec<String> {
    data.entries.iter().map(|e| format!("{} {}", e.uri, e.group.as_deref().unwrap_or("-"))).collect()
}

fn grouped(path: &Path, rule: &str) -> Result<Dataset> {
    open(path, &ListOptions { group: Some(rule.parse()?), ..ListOptions::default() })?.list()
}

#[test]
fn a_column_or_a_pattern_says_what_belongs_together() {
    let (dir, data) = csv("path,label,group,patient\na/x_1.jpg,cat,g1,p1\na/x_2.jpg,dog,,p1\n");
    assert_eq!(groups(&data.unwrap()), ["a/x_1.jpg g1", "a/x_2.jpg -"]);
    let file = dir.path().join("photos.csv");
    assert_eq!(groups(&grouped(&file, "patient").unwrap()), ["a/x_1.jpg p1", "a/x_2.jpg p1"]);
    assert_eq!(groups(&grouped(&file, "{group}_*").unwrap()), ["a/x_1.jpg x", "a/x_2.jpg x"]);
    let text = problem(grouped(&file, "patent"));
    assert!(text.contains("no column `patent`; is it `patient`?"), "{text}");

    let dir = folder(&["cat/p1/1.jpg", "cat/2.jpg", "dog/p2/1.jpg"]);
    let data = grouped(dir.path(), "*/{group}/*").unwrap();
    assert_eq!(groups(&data), ["cat/2.jpg -", "cat/p1/1.jpg p1", "dog/p2/1.jpg p2"]);
    assert_eq!(data.warnings, ["1 of 3 images match no group: each of them stands alone"]);
    assert!(problem(grouped(dir.path(), "video-{group}/*")).contains("one of them is cat/2.jpg\n  help: "));
    assert!(problem(grouped(dir.path(), "patient")).contains("is a folder and has no column `patient`"));
}
