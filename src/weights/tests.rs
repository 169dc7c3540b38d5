//! Files that PyTorch, safetensors, h5py and Keras wrote (`tests/goldens/weights/make_weights.py`),
//! whole, damaged and of the wrong kind.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::Result;
use crate::graph::Parameter;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/weights").join(name)
}

/// What the formula gives for a name, as the fixtures were made.
fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    Formula::new(vec![Parameter { name: name.into(), shape: shape.to_vec() }], 0).read(name).unwrap().data
}

/// The tensor `name` must have this shape and the formula's values for `formula_name`, rounded by
/// `round`.
fn check(source: &dyn TensorSource, name: &str, formula_name: &str, shape: &[usize], round: impl Fn(f32) -> f32) {
    let tensor = read_shaped(source, name, shape).unwrap();
    let want: Vec<f32> = formula(formula_name, shape).into_iter().map(round).collect();
    assert_eq!(tensor.data, want, "{name} of {}", source.origin().display());
}

fn exact(v: f32) -> f32 {
    v
}

fn message(path: &Path) -> String {
    match open(path) {
        Ok(source) => source.entries().iter().map(|p| source.read(&p.name)).find_map(Result::err).expect("an error").to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn pytorch_files_give_every_tensor_however_it_lies_in_its_storage() {
    for file in ["zip.pth", "legacy.pth"] {
        let source = open(fixture(file)).unwrap();
        let source = source.as_ref();
        check(source, "conv.weight", "conv.weight", &[4, 3, 3, 2], exact);
        check(source, "hwio.weight", "hwio.weight", &[4, 3, 3, 2], exact);
        check(source, "channels_last.weight", "channels_last.weight", &[4, 3, 5, 5], exact);
        check(source, "fc.weight", "fc.weight", &[7, 5], exact);
        check(source, "shared.first.weight", "shared.first.weight", &[3, 4], exact);
        check(source, "shared.second.bias", "shared.second.bias", &[10], exact);
        check(source, "parameter.weight", "parameter.weight", &[2, 6], exact);
        check(source, "half.weight", "half.weight", &[3, 3], |v| f16::from_f32(v).to_f32());
        check(source, "bfloat.weight", "bfloat.weight", &[3, 3], |v| bf16::from_f32(v).to_f32());
        check(source, "double.weight", "double.weight", &[3, 3], exact);
        assert_eq!(source.read("bn.num_batches_tracked").unwrap(), Tensor { shape: vec![], data: vec![123456.0] });
        assert_eq!(source.read("mask").unwrap().data, [1.0, 0.0, 1.0]);
        assert_eq!(source.read("int").unwrap().data, [-3.0, 4.0]);
        assert_eq!(source.read("empty.weight").unwrap(), Tensor { shape: vec![0, 4], data: vec![] });
        assert_eq!(source.entries().len(), 14);
        assert!(source.entries().is_sorted_by(|a, b| a.name < b.name));
    }
}

#[test]
fn the_state_dict_of_a_checkpoint_is_found_and_its_wrapper_taken_off() {
    let source = open(fixture("checkpoint.pth")).unwrap();
    assert_eq!(source.entries().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a.weight", "b.weight"]);
    check(source.as_ref(), "b.weight", "b.weight", &[2, 3], exact);
}

#[test]
fn safetensors_of_all_float_types() {
    let source = open(fixture("plain.safetensors")).unwrap();
    check(source.as_ref(), "b.weight", "b.weight", &[2, 3], exact);
    check(source.as_ref(), "half.weight", "half.weight", &[3, 3], |v| f16::from_f32(v).to_f32());
    check(source.as_ref(), "bfloat.weight", "bfloat.weight", &[3, 3], |v| bf16::from_f32(v).to_f32());
    check(source.as_ref(), "double.weight", "double.weight", &[3, 3], exact);
}

#[test]
fn hdf5_of_all_layouts_without_the_optimiser() {
    let source = open(fixture("layouts.h5")).unwrap();
    let names: Vec<_> = source.entries().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["big", "double", "half", "kernel", "packed"].map(|n| format!("conv1/{n}.weight")));
    check(source.as_ref(), "conv1/kernel.weight", "conv1/kernel.weight", &[3, 3, 2, 4], exact);
    check(source.as_ref(), "conv1/packed.weight", "conv1/packed.weight", &[4, 6], exact);
    check(source.as_ref(), "conv1/big.weight", "conv1/big.weight", &[3, 3], exact);
    check(source.as_ref(), "conv1/double.weight", "conv1/double.weight", &[3, 3], exact);
    check(source.as_ref(), "conv1/half.weight", "conv1/half.weight", &[3, 3], |v| f16::from_f32(v).to_f32());
}

#[test]
fn keras_files_old_and_new() {
    let old = open(fixture("small.h5")).unwrap();
    check(old.as_ref(), "conv1/sequential/conv1/kernel", "conv1.kernel.weight", &[3, 3, 3, 4], exact);
    check(old.as_ref(), "bn1/sequential/bn1/moving_variance", "bn1.moving_variance.weight", &[4], exact);
    // Keras 3 numbers variables by class and order of their layers; `small.weights.h5` carries the
    // names as attributes, the zip in its config.json.
    for file in ["small.keras", "small.weights.h5"] {
        let new = open(fixture(file)).unwrap();
        check(new.as_ref(), "conv1/kernel", "conv1.kernel.weight", &[3, 3, 3, 4], exact);
        check(new.as_ref(), "depthwise/depthwise_kernel", "depthwise.kernel.weight", &[3, 3, 4, 1], exact);
        check(new.as_ref(), "bn1/moving_variance", "bn1.moving_variance.weight", &[4], exact);
        check(new.as_ref(), "predictions/bias", "predictions.bias.weight", &[2], exact);
        assert_eq!(new.entries().len(), 10);
    }
}

#[test]
fn nothing_in_a_pickle_is_run() {
    let module = message(&fixture("module.pth"));
    assert!(module.contains("torch.nn.modules.linear.Linear") && module.contains("state_dict()"), "{module}");
    assert!(message(&fixture("no_tensors.pth")).contains("no dict of named tensors"));

    let folder = tempfile::tempdir().unwrap();
    let evil = folder.path().join("evil.pth");
    let mut bytes = std::fs::read(fixture("nan.pth")).unwrap();
    // In place of the state dict, behind three pickles: os.system("touch …").
    let state = bytes.windows(2).enumerate().filter(|(_, w)| *w == [0x80, 2]).nth(3).unwrap().0;
    bytes.truncate(state);
    bytes.extend_from_slice(b"\x80\x02cposix\nsystem\nX\x05\x00\x00\x00touch\x85R.");
    std::fs::write(&evil, bytes).unwrap();
    let message = message(&evil);
    assert!(message.contains("posix.system") && message.contains("nothing of it is ever run"), "{message}");
}

#[test]
fn what_is_no_weights_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[u8], &str); 8] = [
        (b"", "is empty"),
        (b"  <!DOCTYPE html><html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (b"PK\x03\x04 and then nothing", "damaged or cut short"),
        (b"\x80\x04\x95\0\0\0\0\0\0\0\0N.", "pickle that torch.save did not write"),
        (b"\xff\xd8\xff\xe0 a photo", "no weights file of a known format"),
        (b"\x10\0\0\0\0\0\0\0{\"a\":", "damaged or cut short"),
    ];
    for (bytes, says) in cases {
        let path = folder.path().join("weights.pth");
        std::fs::write(&path, bytes).unwrap();
        let message = message(&path);
        assert!(message.contains(says) && message.contains("weights.pth") && message.contains("help: "), "{message}");
    }
    assert!(message(folder.path()).contains("a folder"));
    let absent = message(&folder.path().join("absent.pth"));
    assert!(absent.contains("absent.pth") && absent.contains("cannot open"), "{absent}");
}

#[test]
fn a_tensor_that_is_not_finite_is_refused() {
    let message = message(&fixture("nan.pth"));
    assert!(message.contains("`a.weight` holds NaN at element 1"), "{message}");
}

#[test]
fn the_digest_is_that_of_the_file() {
    let source = open(fixture("plain.safetensors")).unwrap();
    use sha2::Digest;
    assert_eq!(source.digest(), hex(&sha2::Sha256::digest(std::fs::read(fixture("plain.safetensors")).unwrap())));
}

#[test]
fn a_digest_in_a_name_is_held_to() {
    let folder = tempfile::tempdir().unwrap();
    let digest = open(fixture("checkpoint.pth")).unwrap().digest();
    let named = |end: &str| {
        let path = folder.path().join(format!("resnet50-{end}.pth"));
        std::fs::copy(fixture("checkpoint.pth"), &path).unwrap();
        path
    };
    assert!(open(named(&digest[..8])).is_ok());
    assert!(open(named("bestmodel")).is_ok() && open(named("20240501x")).is_ok(), "no digests");
    let error = open(named("0676ba61")).err().unwrap().to_string();
    assert!(error.contains("starts with 0676ba61") && error.contains("get it again"), "{error}");
}

#[test]
fn converted_files_hold_the_same_values_and_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["new/first.safetensors", "second.safetensors"].map(|name| folder.path().join(name));
    let source = open(fixture("legacy.pth")).unwrap();
    let written = convert(source.as_ref(), &first).unwrap();
    assert_eq!(written.tensors, 14);
    assert_eq!(written.bytes, first.metadata().unwrap().len());
    let copy = open(&first).unwrap();
    assert_eq!(copy.entries(), source.entries());
    for entry in source.entries() {
        assert_eq!(copy.read(&entry.name).unwrap(), source.read(&entry.name).unwrap());
    }
    convert(copy.as_ref(), &second).unwrap();
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    ::safetensors::SafeTensors::deserialize(&std::fs::read(&first).unwrap()).expect("the library itself reads it");
}

#[test]
fn a_conversion_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out.safetensors");
    assert!(convert(open(fixture("nan.pth")).unwrap().as_ref(), &to).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Opens the bytes and reads everything that they claim to hold; the result does not matter, only
/// that there is one.
fn survive(folder: &Path, bytes: &[u8]) {
    let path = folder.join("damaged");
    std::fs::write(&path, bytes).unwrap();
    if let Ok(source) = open(&path) {
        source.entries().iter().for_each(|entry| drop(source.read(&entry.name)));
    }
}

/// Names, shapes and values of all tensors, or what is wrong.
fn all_of(path: &Path) -> Result<Vec<(Parameter, Vec<f32>)>> {
    let source = open(path)?;
    source.entries().into_iter().map(|entry| source.read(&entry.name).map(|tensor| (entry, tensor.data))).collect()
}

#[test]
fn no_byte_of_a_zip_can_change_without_an_error_or_with_other_tensors() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["zip.pth", "checkpoint.pth", "small.keras"] {
        let whole = std::fs::read(fixture(file)).unwrap();
        let want = all_of(&fixture(file)).unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, &whole).unwrap();
        let mut open = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        // In place: a file that is made anew each time waits for the disk.
        let mut put = |at: usize, byte: u8| {
            open.seek(SeekFrom::Start(at as u64)).unwrap();
            open.write_all(&[byte]).unwrap();
        };
        let mut refused = 0;
        for (at, &byte) in whole.iter().enumerate() {
            put(at, byte ^ (1 << (at % 8)));
            match all_of(&path) {
                Ok(got) => assert_eq!(got, want, "{file}: byte {at}"),
                Err(_) => refused += 1,
            }
            put(at, byte);
        }
        // The others fill up, or are not read.
        assert!(refused > whole.len() / 4, "{file}: {refused} of {} flips were refused", whole.len());
    }
}

#[test]
fn a_checksum_that_was_never_written_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unchecked.pth");
    let mut bytes = std::fs::read(fixture("zip.pth")).unwrap();
    // `torch.serialization.set_crc32_options(False)`: zeros in the central directory.
    let entries: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| w == b"PK\x01\x02").map(|(at, _)| at).collect();
    entries.iter().for_each(|at| bytes[at + 16..at + 20].fill(0));
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(all_of(&path).unwrap(), all_of(&fixture("zip.pth")).unwrap());
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.keras");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("config.json", options).unwrap();
    zip.write_all(b"{}").unwrap();
    zip.start_file("model.weights.h5", options).unwrap();
    (0..64).for_each(|_| zip.write_all(&[0; 1 << 20]).unwrap());
    zip.finish().unwrap();
    let message = message(&path);
    assert!(message.contains("would be 67108864 bytes unpacked") && message.contains("help: "), "{message}");
}

const ALL: [&str; 9] = [
    "zip.pth",
    "legacy.pth",
    "checkpoint.pth",
    "module.pth",
    "plain.safetensors",
    "layouts.h5",
    "small.h5",
    "small.keras",
    "small.weights.h5",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(file in 0..ALL.len(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(fixture(ALL[file])).unwrap();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        survive(folder.path(), &bytes);
    }

    #[test]
    fn files_cut_short_never_panic(file in 0..ALL.len(), end in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(fixture(ALL[file])).unwrap();
        survive(folder.path(), &bytes[..end.index(bytes.len())]);
    }
}
