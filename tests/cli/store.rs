//! Caches that are damaged, half-made or no longer those of the photos: what is said, and that nothing wrong comes out.

use std::fs;
use std::path::{Path, PathBuf};

use predicates::prelude::*;
use predicates::str::contains;

use super::{run_features, scene};
use crate::common::{contents, features, headstart, image, object};

fn folder(done: &serde_json::Value) -> PathBuf {
    done["cache"].as_str().unwrap().into()
}

fn shard(cache: &Path) -> PathBuf {
    let is_shard = |(path, _): &(PathBuf, Vec<u8>)| path.extension().is_some_and(|e| e == "safetensors");
    cache.join(contents(cache).into_iter().find(is_shard).unwrap().0)
}

/// Flips one bit of a value and leaves the date as it was.
fn flip(file: &Path) {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() - 6;
    bytes[at] ^= 4;
    fs::write(file, bytes).unwrap();
    fs::File::options().append(true).open(file).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_flipped_bit_reaches_neither_heads_nor_exports_and_is_made_anew() {
    let (dir, data, cache) = scene(&["a", "b"], 8);
    let cache = folder(&run_features(&data, &cache, &[]));
    let out = |name: &str| dir.path().join(name);
    let sweep = |to: &str| {
        let mut command = headstart();
        command.arg("sweep").arg(&cache).arg("--out").arg(out(to)).arg("epochs=2");
        command
    };
    let before = contents(&cache);
    sweep("sound").assert().success();
    let remembered = fs::read_to_string(cache.join(".checked.csv")).unwrap();
    assert_eq!(remembered.lines().count(), 2, "{remembered}");

    flip(&shard(&cache));
    sweep("flipped").assert().code(1).stderr(contains("v0-00000.safetensors").and(contains("digest")).and(contains("headstart features")));
    assert!(!out("flipped/best").exists());
    headstart().arg("export").arg(&cache).arg("--npz").arg(out("x.npz")).assert().code(1).stderr(contains("v0-00000.safetensors"));
    assert!(!out("x.npz").exists());
    // What was found is made again without a further word, although the file's date tells nothing.
    run_features(&data, &out("cache"), &[]);
    assert_eq!(contents(&cache), before);
    sweep("healed").assert().success();
}

#[test]
fn a_shard_that_is_cut_short_is_named_by_every_command() {
    let (dir, data, cache) = scene(&["a", "b"], 8);
    let cache = folder(&run_features(&data, &cache, &[]));
    let victim = shard(&cache);
    let size = fs::metadata(&victim).unwrap().len();
    fs::File::options().write(true).open(&victim).unwrap().set_len(size - 5000).unwrap();
    let named = || contains("v0-00000.safetensors").and(contains("damaged"));
    headstart().arg("verify").arg(&cache).assert().code(1).stderr(named());
    headstart().arg("sweep").arg(&cache).arg("--out").arg(dir.path().join("s")).assert().code(1).stderr(named());
    headstart().arg("export").arg(&cache).arg("--npz").arg(dir.path().join("x.npz")).assert().code(1).stderr(named());
    headstart().arg("merge").arg(dir.path().join("m")).arg(&cache).assert().code(1).stderr(named());
    assert!(!dir.path().join("m").exists(), "nothing is half-merged");
}

#[test]
fn an_unfinished_merge_counts_what_is_missing_and_other_options_are_named() {
    let (dir, data, root) = scene(&["a", "b"], 8);
    let at = |name: &str| dir.path().join(name);
    // Work of one group: it is all in the first part.
    let whole = folder(&run_features(&data, &at("1"), &["--part", "1/2"]));
    let none = folder(&run_features(&data, &at("2"), &["--part", "2/2"]));
    let half = folder(&run_features(&data, &at("f16"), &["--part", "2/2", "--store", "f16"]));
    let merge = |into: &str, parts: &[&Path], more: &[&str]| {
        let mut command = headstart();
        command.arg("merge").arg(at(into)).args(parts).args(more);
        command
    };
    merge("other", &[&whole, &half], &[]).assert().code(1).stderr(contains("--store is f16 there and f32 here"));
    assert!(!at("other").exists());
    merge("all", &[&none, &whole], &[]).assert().success();
    assert_eq!(contents(&at("all")), contents(&folder(&run_features(&data, &root, &[]))));

    image(0, 99).save(data.join("a/new.png")).unwrap();
    let fewer = folder(&run_features(&data, &at("1"), &["--part", "2/2"]));
    let output = merge("fewer", &[&fewer], &["--json"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("features of 1 of 17 images are missing, a/new.png the first"), "{told}");
    assert_eq!(object(&output.stdout)["missing"][0]["images"], 1);
    merge("fewer", &[&fewer], &["--partial"]).assert().success().stderr(contains("1 of 17"));
    merge("all", &[&fewer], &[]).assert().code(1).stderr(contains("row 16 is a/new.png there, nothing here"));
}

#[test]
fn photos_that_are_no_longer_those_of_the_cache_are_named_by_verify() {
    let (_dir, data, cache) = scene(&["a", "b"], 6);
    let cache = folder(&run_features(&data, &cache, &[]));
    let verify = || {
        let mut command = headstart();
        command.arg("verify").arg(&cache).args(["--sample", "12", "--data"]).arg(&data);
        command
    };
    image(1, 50).save(data.join("a/002.png")).unwrap();
    verify().assert().code(1).stderr(contains("a/002.png: has changed").and(contains("1 photo of the cache was not compared: 1 changed")));
    image(0, 2).save(data.join("a/002.png")).unwrap();
    fs::remove_file(data.join("b/004.png")).unwrap();
    image(1, 51).save(data.join("b/new.png")).unwrap();
    let told = verify().assert().code(1).stderr(contains("b/004.png: is not in the data any more"));
    told.stderr(contains("1 photo of the data has no features yet"));
}

#[test]
fn a_wrong_digit_in_the_record_of_digests_loses_no_image() {
    let (_dir, data, cache) = scene(&["a", "b"], 5);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for entry in walkdir::WalkDir::new(&data).into_iter().flatten().filter(|e| e.file_type().is_file()) {
        fs::File::options().append(true).open(entry.path()).unwrap().set_modified(old).unwrap();
    }
    let first = folder(&run_features(&data, &cache, &[]));
    let record = first.parent().unwrap().join("files.csv");
    let good = fs::read_to_string(&record).unwrap();
    // As an earlier version wrote it, without checksums.
    let plain: Vec<&str> = good.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
    let line = plain[3];
    let digit = if line.ends_with('0') { '1' } else { '0' };
    let wrong = plain.join("\n").replace(line, &format!("{}{digit}", &line[..line.len() - 1]));
    fs::write(&record, wrong).unwrap();
    let before = contents(&first);
    fs::remove_dir_all(&first).unwrap();
    features(&data, &cache).assert().success().stderr(contains("1 images are not those that their size and date stood for"));
    assert_eq!(contents(&first), before);
    run_features(&data, &cache, &[]);
    assert_eq!(fs::read_to_string(&record).unwrap(), good, "the record is mended");

    fs::write(&record, good.replacen(&line[line.len() - 8..], "00000000", 1)).unwrap();
    let again = run_features(&data, &cache, &[]);
    assert_eq!(
        (again["reused"].as_u64(), again["failed"].as_u64()),
        (Some(10), Some(0)),
        "a line that does not fit its checksum is read again"
    );
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_a_link_is_refused_and_what_it_leads_to_kept() {
    let (dir, data, cache) = scene(&["a", "b"], 4);
    let cache_folder = folder(&run_features(&data, &cache, &[]));
    let thesis = dir.path().join("thesis");
    fs::write(&thesis, "precious").unwrap();
    fs::remove_file(cache_folder.join(".lock")).unwrap();
    std::os::unix::fs::symlink(&thesis, cache_folder.join(".lock")).unwrap();
    features(&data, &cache).assert().code(1).stderr(contains(".lock").and(contains("symbolic link")));
    headstart().arg("gc").arg(&cache_folder).assert().code(1).stderr(contains("symbolic link"));
    assert_eq!(fs::read_to_string(&thesis).unwrap(), "precious");
}

#[test]
fn a_sample_is_computed_again_from_where_the_data_was() {
    let (_dir, data, cache) = scene(&["a", "b"], 6);
    let cache = folder(&run_features(&data, &cache, &[]));
    headstart().arg("verify").arg(&cache).args(["--sample", "3"]).assert().success().stdout(contains("3 features computed again"));
    fs::remove_file(cache.parent().unwrap().join("origin.json")).unwrap();
    headstart()
        .arg("verify")
        .arg(&cache)
        .args(["--sample", "3"])
        .assert()
        .code(1)
        .stderr(contains("does not say where its images are").and(contains("--data")));
}

#[test]
fn gc_names_shards_that_are_damaged() {
    let (_dir, data, cache) = scene(&["a", "b"], 6);
    let cache = folder(&run_features(&data, &cache, &[]));
    fs::remove_file(shard(&cache)).unwrap();
    headstart()
        .arg("gc")
        .arg(&cache)
        .assert()
        .success()
        .stderr(contains("v0-00000.safetensors: is missing").and(contains("headstart features")));
}

#[test]
fn a_cache_of_an_earlier_version_is_named_and_made_anew_beside_it() {
    let (dir, data, cache) = scene(&["a", "b"], 8);
    let earlier = folder(&run_features(&data, &cache, &[]));
    let manifest = fs::read_to_string(earlier.join("manifest.json")).unwrap();
    fs::write(earlier.join("manifest.json"), manifest.replacen("\"format\": 2", "\"format\": 1", 1)).unwrap();
    // An earlier version's key is another one, and so is the folder's name.
    let renamed = earlier.with_file_name("efficientnet_lite0@000000000000");
    fs::rename(&earlier, &renamed).unwrap();
    headstart()
        .arg("sweep")
        .arg(&renamed)
        .arg("--out")
        .arg(dir.path().join("sweep"))
        .assert()
        .code(1)
        .stderr(contains("was made by an earlier version of headstart: it is in format 1").and(contains("run `headstart features` again")));
    headstart().arg("inspect").arg(&renamed).assert().code(1).stderr(contains("an earlier version"));
    features(&data, &cache).assert().success().stderr(contains("efficientnet_lite0@000000000000 was made by an earlier version"));
    assert!(earlier.join("manifest.json").is_file() && renamed.join("manifest.json").is_file());
    headstart().arg("sweep").arg(&earlier).arg("--out").arg(dir.path().join("sweep")).arg("epochs=1").assert().success();
}

#[test]
fn a_sample_needs_the_cache_s_own_photos() {
    let (dir, data, cache) = scene(&["a", "b"], 6);
    let cache = folder(&run_features(&data, &cache, &[]));
    let other = dir.path().join("other");
    for n in 0..4 {
        let class = other.join(["a", "b"][n % 2]);
        fs::create_dir_all(&class).unwrap();
        image(1, 90 + n).save(class.join(format!("other-{n}.png"))).unwrap();
    }
    let verify = |more: &[&str]| {
        let mut command = headstart();
        command.arg("verify").arg(&cache).args(more).arg("--data").arg(&other);
        command
    };
    verify(&["--sample", "3"]).assert().code(1).stderr(contains("holds none of the cache's photos").and(contains("brings").not()));
    verify(&[]).assert().code(2).stderr(contains("--sample"));
    verify(&["--sample", "0"]).assert().code(2).stderr(contains("--sample"));
}

#[test]
fn an_export_of_a_part_says_that_splits_are_open() {
    let (dir, data, cache) = scene(&["a", "b"], 8);
    let part = folder(&run_features(&data, &cache, &["--part", "1/2"]));
    let export = || {
        let mut command = headstart();
        command.arg("export").arg(&part).arg("--npz").arg(dir.path().join("x.npz"));
        command
    };
    export().assert().success().stderr(contains("warning").and(contains("have no split yet")));
}
