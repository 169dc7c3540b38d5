//! Files of Keras Applications: every name in them finds its place, and what Keras wrote is read to the last bit.
//!
//! `tests/goldens/weights/make_keras_files.py` wrote the list of names and the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use headstart::backbones::{self, BuildOptions, Flavour};
use headstart::weights::Parameter;
use headstart::weights::{Audit, TensorSource};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/weights").join(name)
}

/// Layer, variable and shape of each tensor in the files of a backbone.
fn listed() -> BTreeMap<String, Vec<(String, String, Vec<usize>)>> {
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for line in fs::read_to_string(golden("keras_names.txt")).unwrap().lines() {
        let [backbone, layer, variable, shape] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let shape = shape.split(',').map(|n| n.parse().unwrap()).collect();
        all.entry(backbone.into()).or_default().push((layer.into(), variable.into(), shape));
    }
    all
}

/// Writes tensors of zeros under these names; they take no room on the disk.
fn write(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let mut at = 0;
    let header: serde_json::Map<String, serde_json::Value> = tensors
        .iter()
        .map(|(name, shape)| {
            let start = at;
            at += 4 * shape.iter().product::<usize>();
            (name.clone(), serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, at] }))
        })
        .collect();
    let header = serde_json::to_vec(&header).unwrap();
    fs::write(path, [&(header.len() as u64).to_le_bytes()[..], &header].concat()).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len((8 + header.len() + at) as u64).unwrap();
}

fn open(backbone: &str, path: &Path) -> headstart::Result<backbones::Opened> {
    backbones::open_weights(backbones::find(backbone).unwrap(), path.to_str(), &|_| {})
}

/// Parameters of the whole network, and of its features.
fn needed(backbone: &str, options: &BuildOptions) -> [Vec<Parameter>; 2] {
    let graph = backbones::find(backbone).unwrap().graph(options);
    [graph.parameters(), graph.prune(&["gap".into()]).unwrap().parameters()]
}

#[test]
fn every_name_in_keras_files_finds_its_place() {
    let spellings: [fn(&str, &str) -> String; 4] = [
        // Keras 3's `.h5`, Keras 2's, Keras 3's `.keras` with the layers' names, and a network inside another model.
        |layer, variable| format!("{layer}/{layer}/{variable}"),
        |layer, variable| format!("{layer}/{layer}/{variable}:0"),
        |layer, variable| format!("{layer}/{variable}"),
        |layer, variable| format!("base/{layer}/{variable}:0"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    let listed = listed();
    assert_eq!(listed.len(), 6);
    for (backbone, tensors) in &listed {
        for top in [true, false] {
            for spell in spellings {
                let tensors = tensors.iter().filter(|(layer, ..)| top || !matches!(layer.as_str(), "fc1" | "fc2" | "predictions"));
                let stored: Vec<_> = tensors.map(|(layer, variable, shape)| (spell(layer, variable), shape.clone())).collect();
                write(&path, &stored);
                let opened = open(backbone, &path).unwrap();
                assert_eq!(opened.options, BuildOptions { flavour: Flavour::Keras, ..BuildOptions::default() });
                let audit = Audit::new(&needed(backbone, &opened.options)[usize::from(!top)], &opened.source.entries());
                assert_eq!(audit, Audit::default(), "{backbone}: {audit}");
            }
        }
    }
}

/// A session that has built networks before numbers on, and a head of one's own comes behind: neither moves a layer.
#[test]
fn numbered_layers_may_start_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    for backbone in ["inception_v3_keras", "xception"] {
        let shifted = |layer: &str| -> String {
            match layer.strip_prefix("conv2d").or_else(|| layer.strip_prefix("batch_normalization")) {
                Some("") => format!("{layer}_94"),
                Some(number) if number.starts_with('_') => {
                    let number: usize = number[1..].parse().unwrap();
                    format!("{}_{}", layer.rsplit_once('_').unwrap().0, number + 94)
                }
                _ => layer.into(),
            }
        };
        let mut stored: Vec<_> =
            listed()[backbone].iter().map(|(layer, variable, shape)| (format!("{}/{variable}", shifted(layer)), shape.clone())).collect();
        stored.push(("batch_normalization_900/gamma".into(), vec![7]));
        write(&path, &stored);
        let opened = open(backbone, &path).unwrap();
        let audit = Audit::new(&needed(backbone, &opened.options)[0], &opened.source.entries());
        assert!(audit.is_usable(), "{audit}");
        assert_eq!(audit.unexpected, ["batch_normalization_900/gamma"]);
    }
}

#[test]
fn a_file_of_another_network_is_refused_by_the_names_that_differ() {
    let dir = tempfile::tempdir().unwrap();
    let file = |backbone: &str| {
        let path = dir.path().join(format!("{backbone}.safetensors"));
        let tensors = &listed()[backbone];
        write(
            &path,
            &tensors.iter().map(|(layer, variable, shape)| (format!("{layer}/{layer}/{variable}:0"), shape.clone())).collect::<Vec<_>>(),
        );
        path
    };
    // VGG19 has all that VGG16 needs, and more.
    let deeper = open("vgg16_keras", &file("vgg19_keras")).err().unwrap().to_string();
    assert!(deeper.contains("block3_conv4"), "{deeper}");
    let twin = open("resnet50", &file("resnet50_keras")).err().unwrap().to_string();
    assert!(twin.contains("use option `backbone=resnet50_keras`"), "{twin}");
    let other = open("vgg16_keras", &file("resnet50_keras")).unwrap();
    let audit = Audit::new(&needed("vgg16_keras", &other.options)[1], &other.source.entries());
    assert!(!audit.is_usable() && audit.missing.contains(&"block1_conv1.weight".into()));
    assert!(audit.unexpected.iter().any(|name| name.contains("conv2_block1_1_conv")), "{audit}");
}

/// The script's `marked`.
fn marked(name: &str, shape: &[usize]) -> Vec<f32> {
    let number = name.bytes().fold(0, |n, byte| (n * 31 + u32::from(byte)) % 1021) as f32 / 1024.0;
    let mut values = vec![number];
    for (axis, &n) in shape.iter().enumerate().rev() {
        let mark = |i: usize| if i == 1 { 0.5f32.powi(axis as i32) } else { 0.0 };
        values = (0..n).flat_map(|i| values.iter().map(move |v| v + mark(i))).collect();
    }
    values
}

#[test]
fn what_keras_wrote_is_read_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let outer = fs::read(golden("keras_files.zip")).unwrap();
    let mut inner = vec![];
    zip::ZipArchive::new(Cursor::new(outer)).unwrap().by_name("files.zip").unwrap().read_to_end(&mut inner).unwrap();
    zip::ZipArchive::new(Cursor::new(inner)).unwrap().extract(dir.path()).unwrap();
    for (file, top) in [("mobilenet_v2_notop.keras", false), ("mobilenet_v2_notop.h5", false), ("keras2_mobilenet_v2.h5", true)] {
        let opened = open("mobilenet_v2_keras", &dir.path().join(file)).unwrap();
        let wanted = &needed("mobilenet_v2_keras", &opened.options)[usize::from(!top)];
        let source: &dyn TensorSource = &*opened.source;
        let names: BTreeSet<_> = source.entries().into_iter().map(|p| p.name).collect();
        assert_eq!(names, wanted.iter().map(|p| p.name.clone()).collect(), "{file}");
        for Parameter { name, shape } in wanted {
            let tensor = source.read(name).unwrap();
            assert_eq!(&tensor.shape, shape, "{file} {name}");
            assert!(tensor.data == marked(name, shape), "{file} {name}");
        }
    }
}
