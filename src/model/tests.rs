//! Descriptions that are damaged, foreign or made to do harm: each is an error or of no account,
//! and nothing panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::*;
use crate::backbone::{Backbone, BackboneSettings};
use crate::data::Orientation;
use crate::engine::DeviceChoice;
use crate::heads::tests_of_model::predictor;
use crate::heads::{BEST_FOLDER, FittedHead, HEAD_FILE, HeadKind, Labels, MODEL_FILE, Neighbours, Params};
use crate::preprocess::Policy;
use crate::store::Dtype;
use crate::weights::hex;
use crate::{Error, Result};

/// Every value of a document gone, of another type, or a number that no sweep writes: with the
/// place, for messages.
pub(crate) fn mutated(document: &Value) -> Vec<(String, Value)> {
    let others =
        [json!(null), json!(true), json!(-1), json!(0), json!(u64::MAX), json!(1e300), json!("x"), json!([]), json!({}), json!([[7]])];
    let mut all = vec![];
    for place in places(document, String::new()) {
        for other in others.iter().filter(|other| document.pointer(&place) != Some(other)) {
            let mut changed = document.clone();
            if let Some(value) = changed.pointer_mut(&place) {
                *value = other.clone();
                all.push((format!("{place} = {other}"), changed));
            }
        }
        let (parent, name) = place.rsplit_once('/').unwrap_or_default();
        let mut changed = document.clone();
        match changed.pointer_mut(parent) {
            Some(Value::Object(fields)) => drop(fields.shift_remove(name)),
            Some(Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
            _ => continue,
        }
        all.push((format!("{place} gone"), changed));
    }
    all
}

/// JSON pointers to all values but the whole.
fn places(value: &Value, at: String) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (format!("{at}/{i}"), value)).collect(),
        _ => vec![],
    };
    children.into_iter().flat_map(|(at, value)| std::iter::once(at.clone()).chain(places(value, at.clone()))).collect()
}

/// A best head on the first layer of SqueezeNet, in a folder as a sweep leaves it.
fn sweep(params: Params) -> tempfile::TempDir {
    const TAP: &str = "features.0";
    let settings = BackboneSettings {
        backbone: "squeezenet1_1".into(),
        weights: Some("random:1".into()),
        size: Some(33),
        device: DeviceChoice::Cpu,
        ..BackboneSettings::default()
    };
    let base = Backbone::open_with(&settings, &|_| ()).unwrap();
    let shape = base.tap_shapes(&[TAP.into()], [33, 33]).unwrap().remove(0);
    let mut predictor = predictor(params, &shape);
    if predictor.head.spec.params().head == HeadKind::Knn {
        let rows = vec![0.1; 3 * predictor.head.spec.dims()[0]];
        predictor.head.fitted = FittedHead::Neighbours(Neighbours { rows, labels: Labels::One(vec![0, 1, 2]) });
    }
    let input = &mut predictor.model.inputs[0];
    let key = base.key(Dtype::F32, Orientation::AsStored, &Policy::default(), 0);
    (input.tap, input.weights, input.key_digest, input.key) = (TAP.into(), "random:1".into(), key.digest(), Some(key));
    let folder = tempfile::tempdir().unwrap();
    let best = folder.path().join(BEST_FOLDER);
    std::fs::create_dir(&best).unwrap();
    let crate::heads::HeadFiles { model, weights } = predictor.to_bytes().unwrap();
    std::fs::write(best.join(MODEL_FILE), model).unwrap();
    std::fs::write(best.join(HEAD_FILE), weights).unwrap();
    image::RgbImage::from_fn(40, 36, |x, y| image::Rgb([x as u8 * 5, y as u8, 20])).save(folder.path().join("photo.png")).unwrap();
    folder
}

fn open(path: &Path) -> Result<TrainedModel> {
    TrainedModel::open(path, DeviceChoice::Cpu, &|_| ())
}

/// Opens what is there, and where that goes has a photo classified.
fn used(path: &Path, photo: &Path) -> Result<Vec<f32>> {
    let mut classifier = Classifier::new(open(path)?, Views::PLAIN);
    classifier.predict([photo])?.remove(0).map(|prediction| prediction.probabilities().to_vec())
}

/// The outcome of using it; a panic fails the test.
fn outcome(what: &str, path: &Path, photo: &Path) -> std::result::Result<(), String> {
    let done = catch_unwind(AssertUnwindSafe(|| used(path, photo))).unwrap_or_else(|_| panic!("{what}: panicked"));
    done.map(|p| assert!(p.iter().all(|p| p.is_finite()), "{what}: {p:?}")).map_err(|e: Error| e.to_string())
}

#[test]
fn no_field_of_a_model_makes_predict_panic_and_what_does_not_fit_is_named() {
    let heads = [
        Params { head: HeadKind::Gap, ..Params::default() },
        Params { head: HeadKind::Dense, hidden: vec![4], batch_norm: true, ..Params::default() },
        Params { head: HeadKind::Knn, ..Params::default() },
    ];
    for params in heads {
        let head = params.head;
        let folder = sweep(params);
        let (file, photo) = (folder.path().join(BEST_FOLDER).join(MODEL_FILE), folder.path().join("photo.png"));
        let mut whole: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        // Its own digest would hide every other check.
        whole.as_object_mut().unwrap().remove("model_sha256").unwrap();
        outcome("unchanged", folder.path(), &photo).unwrap();
        let mut refused = 0;
        for (what, changed) in mutated(&whole) {
            std::fs::write(&file, serde_json::to_vec(&changed).unwrap()).unwrap();
            let Err(said) = outcome(&what, folder.path(), &photo) else { continue };
            refused += 1;
            // The words that get weights are a name or a path of their own.
            let is_named = said.contains(MODEL_FILE) || said.contains(HEAD_FILE) || what.contains("/weights");
            assert!(is_named, "{head}, {what}: {said}");
        }
        assert!(refused > 300, "{refused}");
    }
}

#[test]
fn sizes_that_no_memory_holds_are_refused_before_any_is_taken() {
    let folder = sweep(Params { head: HeadKind::Dense, hidden: vec![4], ..Params::default() });
    let (file, photo) = (folder.path().join(BEST_FOLDER).join(MODEL_FILE), folder.path().join("photo.png"));
    let mut whole: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    // Its own digest would hide every other check.
    whole.as_object_mut().unwrap().remove("model_sha256").unwrap();
    let huge = json!(1u64 << 60);
    for (places, value) in [
        (&["/head/inputs", "/inputs/0/shape"][..], json!([1u64 << 60])),
        (&["/inputs/0/shape"], json!([1u64 << 32, 1u64 << 32])),
        (&["/inputs/0/shape"], json!([64, 0, 16])),
        (&["/head/params/hidden"], json!([1u64 << 60])),
        (&["/head/classes"], huge.clone()),
        (&["/head/outputs"], huge),
    ] {
        let mut changed = whole.clone();
        for place in places {
            let one = if *place == "/head/inputs" { value[0].clone() } else { value.clone() };
            *changed.pointer_mut(place).unwrap() = one;
        }
        std::fs::write(&file, serde_json::to_vec(&changed).unwrap()).unwrap();
        assert!(outcome("huge", folder.path(), &photo).unwrap_err().contains("best/"), "{places:?} {value}");
    }
}

/// The bundle with its contents changed, and a digest that vouches for it.
fn forged(bundle: &[u8], contents: &Value) -> Vec<u8> {
    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    let mut contents = contents.clone();
    if contents.get("sha256").is_some_and(Value::is_string) {
        contents["sha256"] = ZEROS.into();
    }
    let entry = ("headstart".to_owned(), contents.to_string());
    let tensors = SafeTensors::deserialize(bundle).unwrap();
    let mut bytes = safetensors::serialize(tensors.iter(), Some([entry].into())).unwrap();
    let digest = hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    if let Some(at) = bytes.windows(64).position(|window| window == ZEROS.as_bytes()) {
        bytes[at..at + 64].copy_from_slice(digest.as_bytes());
    }
    bytes
}

#[test]
fn no_field_of_a_bundle_makes_predict_panic_and_no_bit_changes_unseen() {
    let folder = sweep(Params { head: HeadKind::Gap, ..Params::default() });
    let (file, photo) = (folder.path().join("b.safetensors"), folder.path().join("photo.png"));
    write_bundle(&open(folder.path()).unwrap(), &file).unwrap();
    let bundle = std::fs::read(&file).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bundle).unwrap();
    let contents: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["headstart"]).unwrap();
    std::fs::write(&file, forged(&bundle, &contents)).unwrap();
    outcome("unchanged", &file, &photo).unwrap();
    for (what, changed) in mutated(&contents) {
        std::fs::write(&file, forged(&bundle, &changed)).unwrap();
        if let Err(said) = outcome(&what, &file, &photo) {
            assert!(said.contains("b.safetensors"), "{what}: {said}");
        }
    }
    for at in (0..bundle.len()).step_by(97) {
        let mut flipped = bundle.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&file, &flipped).unwrap();
        assert!(outcome("flipped", &file, &photo).unwrap_err().contains("b.safetensors"), "byte {at}");
    }
}
