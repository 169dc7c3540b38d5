//! The command line from outside, by intent: what users type, what they get, what they are told.

mod common;
#[path = "cli/data.rs"]
mod data;
#[path = "common/hub.rs"]
mod hub;
#[path = "cli/kept.rs"]
mod kept;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/speedup.rs"]
mod speedup;
#[path = "cli/store.rs"]
mod store;
#[cfg(unix)]
#[path = "cli/weights.rs"]
mod weights;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use common::{contents, features, headstart, image, object, photos};
use headstart::data::Digest;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

fn scene(classes: &[&str], each: usize) -> (TempDir, PathBuf, PathBuf) {
    let dir = TempDir::new().unwrap();
    let (data, cache) = (dir.path().join("photos"), dir.path().join("cache"));
    photos(&data, classes, each);
    (dir, data, cache)
}

fn run_features(data: &Path, cache: &Path, more: &[&str]) -> serde_json::Value {
    let output = features(data, cache).arg("--json").args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    object(&output.stdout)
}

#[test]
fn photos_become_features_a_head_and_a_named_class() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 20);
    let done = run_features(&data, &cache, &[]);
    assert_eq!((done["images"].as_u64(), done["computed"].as_u64(), done["failed"].as_u64()), (Some(40), Some(40), Some(0)), "{done}");
    let out = dir.path().join("sweep");
    headstart().arg("sweep").arg(done["cache"].as_str().unwrap()).arg("--out").arg(&out).arg("epochs=30").assert().success();
    for file in
        ["config.yaml", "trials.jsonl", "results.csv", "best/head.safetensors", "best/model.json", "predictions.csv", "confusion.csv"]
    {
        assert!(out.join(file).is_file(), "{file}");
    }
    let photo = dir.path().join("new.png");
    image(1, 77).save(&photo).unwrap();
    let output = headstart().args(["predict", "--json", "--model"]).arg(&out).arg(&photo).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let named = object(&output.stdout);
    assert_eq!(named["classes"][0]["class"], "dogs", "{named}");
}

/// Puts a value into the first feature of a row of a shard, as if it had been computed; rows that failed are not counted.
fn spoil(shard: &Path, row: usize, value: f32) {
    let mut bytes = fs::read(shard).unwrap();
    let (at, dim) = {
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let features = tensors.tensor("features").unwrap();
        (features.data().as_ptr() as usize - bytes.as_ptr() as usize, features.shape()[1])
    };
    bytes[at + 4 * row * dim..][..4].copy_from_slice(&value.to_le_bytes());
    let manifest = shard.ancestors().nth(3).unwrap().join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    fs::write(manifest, text.replace(&digest(&fs::read(shard).unwrap()), &digest(&bytes))).unwrap();
    fs::write(shard, bytes).unwrap();
}

#[test]
fn a_feature_that_is_no_number_is_named_by_row_and_shard_and_the_way_out_works() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 12);
    // The cache counts this photo, a sweep does not.
    fs::write(data.join("cats/000.png"), b"\x89PNG\r\n\x1a\nnothing more").unwrap();
    let done = run_features(&data, &cache, &["--tap", "gap"]);
    let folder = PathBuf::from(done["cache"].as_str().unwrap());
    let shard = fs::read_dir(folder.join("features/gap")).unwrap().next().unwrap().unwrap().path();
    spoil(&shard, 5, f32::NAN);
    let sweep = || {
        let mut command = headstart();
        command.arg("sweep").arg(&folder).arg("--out").arg(dir.path().join("sweep")).args(["head=linear,knn", "epochs=2", "k=3"]);
        command
    };
    let file = shard.strip_prefix(&folder).unwrap().display().to_string();
    let named = contains("value NaN in row 6, cats/006.png").and(contains(format!("delete {file} there")));
    sweep().assert().code(1).stderr(named);
    fs::remove_file(&shard).unwrap();
    run_features(&data, &cache, &["--tap", "gap"]);
    sweep().assert().success().stdout(contains("knn"));
}

#[test]
fn a_trial_that_diverges_is_marked_on_the_screen_and_comes_last() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 12);
    let done = run_features(&data, &cache, &["--tap", "gap"]);
    let mut sweep = headstart();
    sweep.arg("sweep").arg(done["cache"].as_str().unwrap()).arg("--out").arg(dir.path().join("sweep"));
    let told = sweep.args(["head=linear", "optimizer=sgd", "lr=1e38,1e-3", "epochs=3", "dropout=0"]).assert().success();
    told.stdout(predicates::str::is_match("(?s)#.*status.*done.*diverged").unwrap()).stderr(contains("1 of 2 trials diverged"));
}

/// A folder with photos and a sweep over them; the photos, the cache's root, the sweep.
fn swept(more: &[&str]) -> (TempDir, PathBuf, PathBuf, PathBuf) {
    let (dir, data, cache) = scene(&["cats", "dogs"], 12);
    let done = run_features(&data, &cache, more);
    let out = dir.path().join("sweep");
    headstart().arg("sweep").arg(done["cache"].as_str().unwrap()).arg("--out").arg(&out).arg("epochs=5").assert().success();
    (dir, data, cache, out)
}

fn predicted(model: &Path, images: &Path, more: &[&str]) -> String {
    let output = headstart().arg("predict").args(more).arg("--model").arg(model).arg(images).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bundle_predicts_alone_what_its_sweep_predicts() {
    let (dir, data, cache, out) = swept(&["--tap", "gap"]);
    let bundle = dir.path().join("cats.safetensors");
    headstart().arg("export").arg("--model").arg(&out).arg("--bundle").arg(&bundle).assert().success().stdout(contains("cats.safetensors"));
    let want = predicted(&out, &data, &["--json"]);
    assert_eq!(want.lines().count(), 24);
    fs::remove_dir_all(&cache).unwrap();
    fs::remove_dir_all(&out).unwrap();
    assert_eq!(predicted(&bundle, &data, &["--json"]), want);
    // What was taken away can be taken further.
    let again = dir.path().join("again.safetensors");
    headstart().arg("export").arg("--model").arg(&bundle).arg("--bundle").arg(&again).assert().success();
    assert_eq!(predicted(&again, &data, &["--json"]), want);

    let table = predicted(&bundle, &data, &["--csv", "--top", "2"]);
    assert_eq!((table.lines().next(), table.lines().count()), (Some("path,rank,class,probability,error"), 1 + 48));
    let views = predicted(&bundle, &data, &["--json", "--views", "3"]);
    assert_eq!(views, predicted(&bundle, &data, &["--json", "--views", "3", "--threads", "1"]));
    assert_ne!(views, want);
    let sum: f64 = object(views.as_bytes())["classes"].as_array().unwrap().iter().map(|c| c["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[test]
fn gray_of_sixteen_bits_is_read_as_pillow_does_and_counted() {
    let (_dir, data, cache) = scene(&["cats", "dogs"], 3);
    image::ImageBuffer::from_fn(40, 30, |x, y| image::Luma([(x * 900 + y) as u16])).save(data.join("cats/xray.png")).unwrap();
    let output = features(&data, &cache).arg("--json").output().unwrap();
    assert_eq!(object(&output.stdout)["cut_off"], 1);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("1 of 7 images are gray of more than 8 bits"), "{told}");
}

/// A PNG with EXIF data that asks for a quarter turn to the right.
fn turned_to_the_right(pixels: &image::RgbImage) -> Vec<u8> {
    let mut file = std::io::Cursor::new(vec![]);
    let mut encoder = image::codecs::png::PngEncoder::new(&mut file);
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    image::ImageEncoder::set_exif_metadata(&mut encoder, exif.to_vec()).unwrap();
    image::ImageEncoder::write_image(encoder, pixels, pixels.width(), pixels.height(), image::ExtendedColorType::Rgb8).unwrap();
    file.into_inner()
}

#[test]
fn a_model_carries_how_its_photos_were_turned() {
    let probabilities = |model: &Path, photo: &Path| object(predicted(model, photo, &["--json"]).as_bytes())["classes"].clone();
    let (stored, exif) = (swept(&["--tap", "gap"]), swept(&["--tap", "gap", "--exif-rotate"]));
    let upright = image(1, 77);
    for ((dir, _, cache, out), orientation) in [(&stored, "as-stored"), (&exif, "exif")] {
        // The same photo twice: as it is to be seen, and lying on its side with the turn noted.
        let (plain, lying) = (dir.path().join("plain.png"), dir.path().join("lying.png"));
        upright.save(&plain).unwrap();
        fs::write(&lying, turned_to_the_right(&image::imageops::rotate270(&upright))).unwrap();
        let (bundle, onnx) = (dir.path().join("m.safetensors"), dir.path().join("m.onnx"));
        headstart().arg("export").arg("--model").arg(out).arg("--bundle").arg(&bundle).assert().success();
        headstart().arg("export").arg("--model").arg(out).arg("--onnx").arg(&onnx).assert().success();
        fs::remove_dir_all(cache).unwrap();
        let same = probabilities(&bundle, &plain) == probabilities(&bundle, &lying);
        assert_eq!(same, orientation == "exif", "{orientation}");
        let holds = |file: &Path, text: &str| fs::read(file).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(&bundle, &format!("\\\"orientation\\\":\\\"{orientation}\\\"")), "{orientation}");
        assert!(holds(&onnx, "orientation") && holds(&onnx, orientation), "{orientation}");
    }
}

#[test]
fn a_damaged_bundle_is_refused_by_name() {
    let (dir, data, _, out) = swept(&[]);
    let bundle = dir.path().join("b.safetensors");
    headstart().arg("export").arg("--model").arg(&out).arg("--bundle").arg(&bundle).assert().success();
    let whole = fs::read(&bundle).unwrap();
    let mut flipped = whole.clone();
    let last = flipped.len() - 1000;
    flipped[last] ^= 1;
    let other = fs::read(out.join("best/head.safetensors")).unwrap();
    for (bytes, word) in
        [(&flipped[..], "SHA-256"), (&whole[..whole.len() / 2], "damaged"), (&other[..], "not a bundle"), (&b"hello"[..], "not a bundle")]
    {
        fs::write(&bundle, bytes).unwrap();
        let refused = headstart().arg("predict").arg("--model").arg(&bundle).arg(&data).assert().code(2);
        refused.stderr(contains("b.safetensors").and(contains(word)).and(contains("help:")));
    }
    headstart().args(["predict", "--model", "nowhere", "x.png"]).assert().code(2);
    headstart().args(["export", "--model"]).arg(&out).assert().code(2);
    headstart().args(["export", "--model"]).arg(&out).args(["--npz", "x.npz"]).assert().code(2);
}

#[test]
fn base_and_head_leave_as_onnx() {
    let (dir, _, _, out) = swept(&[]);
    let file = dir.path().join("new/m.onnx");
    let output = headstart().args(["export", "--json", "--model"]).arg(&out).arg("--onnx").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = object(&output.stdout);
    assert_eq!(done["classes"], serde_json::json!(["cats", "dogs"]));
    assert_eq!(done["bytes"].as_u64(), Some(fs::metadata(&file).unwrap().len()));
}

#[test]
fn a_killed_extraction_resumes_to_the_same_bytes_on_any_number_of_threads() {
    let (dir, data, whole) = scene(&["a", "b", "c"], 60);
    run_features(&data, &whole, &["--threads", "2"]);
    let cut = dir.path().join("cut");
    for (attempt, ms) in [30_u64, 90, 150, 220, 300, 400].into_iter().enumerate() {
        let mut process = features(&data, &cut);
        process.args(["--threads", if attempt % 2 == 0 { "1" } else { "3" }]);
        let mut child =
            Process::new(process.get_program()).args(process.get_args()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run_features(&data, &cut, &["--threads", "1"]);
    assert_eq!(contents(&cut), contents(&whole));
}

#[test]
fn only_what_is_missing_is_computed() {
    let (_dir, data, cache) = scene(&["a", "b"], 10);
    run_features(&data, &cache, &[]);
    let again = run_features(&data, &cache, &[]);
    assert_eq!((again["computed"].as_u64(), again["reused"].as_u64()), (Some(0), Some(20)), "{again}");
    image(0, 500).save(data.join("a/new.png")).unwrap();
    let added = run_features(&data, &cache, &[]);
    assert_eq!((added["computed"].as_u64(), added["reused"].as_u64()), (Some(1), Some(20)), "{added}");
    fs::rename(data.join("a/000.png"), data.join("b/moved.png")).unwrap();
    let relabelled = run_features(&data, &cache, &[]);
    assert_eq!(relabelled["computed"].as_u64(), Some(0), "{relabelled}");
    let view = run_features(&data, &cache, &["--views", "2"]);
    assert_eq!(view["computed"].as_u64(), Some(21), "{view}");
}

#[test]
fn a_broken_image_is_named_counted_and_with_strict_an_error() {
    let (_dir, data, cache) = scene(&["a", "b"], 5);
    fs::write(data.join("a/broken.png"), b"\x89PNG\r\n\x1a\nnothing more").unwrap();
    features(&data, &cache).assert().success().stderr(contains("broken.png"));
    let again = features(&data, &cache).args(["--strict", "--json"]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(object(&again.stdout)["failed"].as_u64(), Some(1));
}

#[test]
fn a_damaged_shard_is_found_and_mended() {
    let (_dir, data, cache) = scene(&["a", "b"], 6);
    let done = run_features(&data, &cache, &[]);
    let folder = PathBuf::from(done["cache"].as_str().unwrap());
    headstart().arg("verify").arg(&folder).assert().success();
    let (shard, mut bytes) = contents(&folder).into_iter().find(|(p, _)| p.extension().is_some_and(|e| e == "safetensors")).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 0x10;
    fs::write(folder.join(&shard), &bytes).unwrap();
    headstart().arg("verify").arg(&folder).assert().code(1).stderr(contains(shard.file_name().unwrap().to_str().unwrap()));
    bytes.truncate(at);
    fs::write(folder.join(&shard), &bytes).unwrap();
    run_features(&data, &cache, &[]);
    headstart().arg("verify").arg(&folder).args(["--sample", "3", "--data"]).arg(&data).assert().success();
}

#[test]
fn features_leave_for_numpy_and_parquet() {
    let (dir, data, cache) = scene(&["a", "b"], 5);
    run_features(&data, &cache, &[]);
    let (npz, parquet) = (dir.path().join("f.npz"), dir.path().join("f.parquet"));
    let output = headstart().args(["export", "--json"]).arg(&cache).arg("--npz").arg(&npz).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(object(&output.stdout)["rows"], 10);
    headstart().arg("export").arg(&cache).arg("--parquet").arg(&parquet).args(["--split", "train"]).assert().success();
    assert!(fs::read(&npz).unwrap().starts_with(b"PK") && fs::read(&parquet).unwrap().starts_with(b"PAR1"));
    headstart().arg("export").arg(&cache).assert().code(2);
}

#[test]
fn mistakes_are_answered_with_the_nearest_word_and_exit_2() {
    let (dir, data, cache) = scene(&["a", "b"], 3);
    let unusable = |mut command: assert_cmd::Command, said: &str| {
        command.assert().code(2).stderr(contains(said).and(contains("help:")));
    };
    let with = |more: &[&str]| {
        let mut command = features(&data, &cache);
        command.args(more);
        command
    };
    let backbone = |name: &str| {
        let mut command = headstart();
        command.args(["features", "--backbone", name, "--data"]).arg(&data).arg("--cache").arg(&cache);
        command
    };
    unusable(backbone("efficientnet_lit0"), "efficientnet_lite0");
    unusable(with(&["--tap", "gpa"]), "gap");
    unusable(with(&["--preprocess", "intrep=bilinear"]), "interp");
    unusable(with(&["--augment", "flop"]), "flip");
    unusable(with(&["--device", "cuad"]), "cuda");
    unusable(with(&["--views", "0"]), "views");
    let mut small = backbone("vgg16");
    small.args(["--weights", "random:0", "--size", "16"]);
    unusable(small, "too small");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    unusable(features(&empty, &cache), "empty");
    let single = dir.path().join("single");
    photos(&single, &["only"], 3);
    unusable(features(&single, &cache), "only");
    let done = run_features(&data, &cache, &[]);
    let config = dir.path().join("sweep.yaml");
    fs::write(&config, "method: grid\nparameters:\n  haed: {values: [linear]}\n").unwrap();
    let mut sweep = headstart();
    sweep.arg("sweep").arg(done["cache"].as_str().unwrap()).arg("--config").arg(&config).arg("--out").arg(dir.path().join("out"));
    sweep.assert().code(2).stderr(contains("sweep.yaml:3").and(contains("head")));
}

#[test]
fn a_rule_for_splits_is_not_passed_over_in_silence() {
    let (dir, _, cache) = scene(&[], 0);
    for split in ["train", "val"] {
        photos(&dir.path().join("split").join(split), &["a", "b"], 2);
    }
    let data = dir.path().join("split");
    features(&data, &cache).args(["--split", "hash:50/50/0"]).assert().success().stderr(contains("has its own"));
}

#[test]
fn two_processes_on_one_cache_do_no_damage() {
    let (_dir, data, cache) = scene(&["a", "b"], 80);
    let start = || {
        let command = features(&data, &cache);
        Process::new(command.get_program()).args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [start(), start()];
    let outputs = children.map(|c| c.wait_with_output().unwrap());
    assert!(outputs.iter().any(|o| o.status.success()));
    for refused in outputs.iter().filter(|o| !o.status.success()) {
        assert!(String::from_utf8_lossy(&refused.stderr).contains("help:"), "{}", String::from_utf8_lossy(&refused.stderr));
    }
    let done = run_features(&data, &cache, &[]);
    assert_eq!(done["reused"].as_u64(), Some(160), "{done}");
    headstart().arg("verify").arg(done["cache"].as_str().unwrap()).assert().success();
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let (_dir, data, cache) = scene(&["a", "b"], 4);
    let told = run_features(&data, &cache, &["--dry-run"]);
    assert_eq!(told["rows"].as_u64(), Some(8), "{told}");
    assert!(told["bytes"].as_u64().unwrap() > 0 && !cache.join("photos").join("efficientnet_lite0").exists());
    assert!(!cache.exists() || contents(&cache).is_empty());
}

#[test]
fn the_zoo_is_listed_with_taps_and_weights() {
    headstart().arg("backbones").assert().success().stdout(contains("efficientnet_lite0").and(contains("squeezenet1_1")));
    let output = headstart().args(["backbones", "mobilenet_v2", "--size", "96", "--json"]).output().unwrap();
    let about = object(&output.stdout);
    let gap = about["taps"].as_array().unwrap().iter().find(|t| t["tap"] == "gap").unwrap();
    assert_eq!(gap["shape"], serde_json::json!([1280]));
    headstart().args(["backbones", "mobilenet_v3"]).assert().code(2).stderr(contains("mobilenet_v2"));
}

#[test]
fn weights_come_from_the_hub_once_and_serve_offline_ever_after() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 3);
    let graph = headstart::backbones::find("mobilenet_v3_small").unwrap().graph(&Default::default());
    let weights = headstart::weights::Formula::new(graph.parameters(), 1);
    let file = dir.path().join("weights.safetensors");
    headstart::weights::convert(&weights, &file).unwrap();
    let entry = "mobilenetv3_small_100.lamb_in1k";
    let address = hub::serve("timm/mobilenetv3_small_100.lamb_in1k", fs::read(&file).unwrap());
    let run = |cache: &Path, settings: &[(&str, &str)]| {
        let mut command = headstart();
        command.args(["features", "--backbone", "mobilenet_v3_small", "--size", "32"]);
        command.arg("--data").arg(&data).arg("--cache").arg(cache);
        command.env("HF_HOME", dir.path().join("home")).env_remove("HF_TOKEN").env_remove("HF_HUB_CACHE").envs(settings.to_vec());
        command.assert()
    };
    let offline = [("HF_HUB_OFFLINE", "1")];
    run(&cache, &offline).code(2).stderr(contains("HF_HUB_OFFLINE"));
    run(&cache, &[("HF_ENDPOINT", address.as_str())]).success().stderr(contains("Apache-2.0").and(contains(entry)));
    run(&dir.path().join("again"), &offline).success().stderr(contains("fetching").not());
    assert_eq!(contents(&cache), contents(&dir.path().join("again")));
    headstart().args(["weights", "fetch", "resnet50.tv_in1"]).assert().code(2).stderr(contains("did you mean `resnet50.tv_in1k`"));
}

#[test]
fn transformers_run_on_candle_at_any_multiple_of_their_patch() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 4);
    let run = |more: &[&str]| {
        let mut command = headstart();
        command.args(["features", "--backbone", "dinov2_vits14", "--weights", "random:1", "--batch", "4"]);
        command.args(["--tap", "gap", "--tap", "patch-mean", "--tap", "blocks.0", "--json"]);
        command.arg("--data").arg(&data).arg("--cache").arg(&cache).args(more).assert()
    };
    run(&["--size", "28", "--engine", "native"]).code(2).stderr(contains("dinov2_vits14 is a transformer").and(contains("candle")));
    run(&["--size", "30"]).code(2).stderr(contains("the nearest sizes that do are 28 and 42"));
    let done = run(&["--size", "28"]).success().stderr(contains("on candle (cpu)")).get_output().stdout.clone();
    let folder = PathBuf::from(object(&done)["cache"].as_str().unwrap());
    let shape = |tap: &str| {
        object(&fs::read(folder.join("manifest.json")).unwrap().into_iter().filter(|b| *b != b'\n').collect::<Vec<_>>())["taps"][tap]["shape"].clone()
    };
    assert_eq!((shape("gap"), shape("blocks.0")), (serde_json::json!([384]), serde_json::json!([5, 384])));
    headstart().arg("verify").arg(&folder).args(["--sample", "3", "--data"]).arg(&data).assert().success();
    headstart().arg("export").arg(&folder).args(["--tap", "blocks.0", "--npz"]).arg(dir.path().join("f.npz")).assert().success();
    headstart().arg("sweep").arg(&folder).arg("--out").arg(dir.path().join("sweep")).arg("epochs=2").assert().success();
    headstart().args(["backbones", "dinov2_vits14", "--size", "225"]).assert().code(2).stderr(contains("--size 224"));
    let known = headstart().args(["backbones", "dinov2_vits14", "--size", "518", "--json"]).output().unwrap();
    let known = object(&known.stdout);
    assert!(
        known["taps"].as_array().unwrap().iter().any(|t| t["tap"] == "blocks.11" && t["shape"] == serde_json::json!([1370, 384])),
        "{known}"
    );
}

#[test]
fn forward_passes_are_timed_and_checked() {
    let args =
        ["bench", "forward", "--backbone", "efficientnet_lite0", "--weights", "random", "--size", "64", "--batch", "4", "--repeat", "2"];
    let output = headstart().args(args).args(["--check", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let timed = object(&output.stdout);
    assert!(timed["images_per_second"]["median"].as_f64().unwrap() > 0.0, "{timed}");
    assert!(timed["error"].as_f64().unwrap() < 1e-5, "{timed}");
}
