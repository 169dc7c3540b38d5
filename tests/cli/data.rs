//! What `features` makes of data as people have it: names that clash, photos that come and go, data of which nothing can be used.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use predicates::prelude::*;
use predicates::str::contains;

use super::common::{features, headstart, image, photos};
use super::{run_features, scene};

/// Digest and split of each row that counts.
fn splits(done: &serde_json::Value) -> BTreeMap<String, String> {
    let rows = csv::Reader::from_path(Path::new(done["cache"].as_str().unwrap()).join("rows.csv")).unwrap().into_records();
    let rows: Vec<csv::StringRecord> = rows.map(Result::unwrap).filter(|r| &r[6] == "ok").collect();
    let splits: BTreeMap<String, String> = rows.iter().map(|r| (r[5].to_string(), r[4].to_string())).collect();
    assert!(rows.iter().all(|r| splits[&r[5]] == r[4]), "copies stand in one split");
    splits
}

fn changes(done: &serde_json::Value) -> [u64; 5] {
    ["added", "renamed", "relabelled", "revived", "deleted"].map(|what| done["rows"][what].as_u64().unwrap())
}

#[test]
fn known_photos_keep_their_split_whatever_is_added_and_renamed_and_in_other_caches() {
    let (_dir, data, cache) = scene(&["cats", "dogs"], 12);
    let first = run_features(&data, &cache, &[]);
    let before = splits(&first);
    assert_eq!((before.len(), changes(&first)), (24, [24, 0, 0, 0, 0]));

    photos(&data, &["cats", "dogs"], 20);
    fs::copy(data.join("cats/003.png"), data.join("cats/copy.png")).unwrap();
    for n in 0..5 {
        fs::rename(data.join(format!("dogs/{n:03}.png")), data.join(format!("dogs/renamed-{n}.png"))).unwrap();
    }
    let second = run_features(&data, &cache, &[]);
    let after = splits(&second);
    assert!(before.iter().all(|(photo, split)| after[photo] == *split));
    assert_eq!(changes(&second), [17, 5, 0, 0, 0]);

    let other = run_features(&data, &cache, &["--store", "f16", "--split", "hash:50/25/25"]);
    assert!(other["cache"] != second["cache"] && splits(&other) == after, "another cache of the data set");
    let part = |part: &str| run_features(&data, &cache.join(&part[..1]), &["--part", part])["cache"].as_str().unwrap().to_string();
    let (parts, merged) = (["1/2", "2/2"].map(part), cache.join("photos/merged"));
    let one = PathBuf::from(&parts[0]);
    headstart().arg("sweep").arg(&one).args(["--out", "nowhere"]).assert().code(1).stderr(contains("41 of its images have no split yet"));
    headstart().arg("merge").arg(&merged).args(parts).assert().success();
    assert_eq!(splits(&serde_json::json!({ "cache": merged })), after, "on several machines, each with its own images");
    features(&data, &cache).args(["--split", "hash:50/25/25"]).assert().success().stderr(contains("41 photos keep the split"));
}

#[test]
fn another_data_set_of_the_same_name_is_refused_and_a_moved_one_is_known_again() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 6);
    let first = run_features(&data, &cache, &[]);
    let other = dir.path().join("other");
    for n in 0..12 {
        fs::create_dir_all(other.join(["cats", "dogs"][n % 2])).unwrap();
        image(n % 2, 100 + n).save(other.join(["cats", "dogs"][n % 2]).join(format!("{n:03}.png"))).unwrap();
    }
    features(&other, &cache)
        .assert()
        .code(2)
        .stderr(contains("is not what").and(contains("0 of 12 of its photos are the same")).and(contains("--name")));
    assert_eq!(splits(&first).len(), 12, "nothing was touched");

    let moved = dir.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    features(&moved, &cache)
        .assert()
        .success()
        .stderr(contains("12 of 12 photos are here, so this is the same data, moved").and(contains("rows: no changes")));
    fs::create_dir(&data).unwrap();
    features(&moved, &cache).assert().success().stderr(contains("moved").not());
}

#[test]
fn photos_that_vanish_at_once_are_named_loudly_and_come_back() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 8);
    run_features(&data, &cache, &[]);
    let away = dir.path().join("away");
    fs::create_dir(&away).unwrap();
    for n in 2..8 {
        for class in ["cats", "dogs"] {
            fs::rename(data.join(format!("{class}/{n:03}.png")), away.join(format!("{class}{n}.png"))).unwrap();
        }
    }
    features(&data, &cache)
        .assert()
        .success()
        .stderr(contains("12 of the 16 photos of the last run are gone").and(contains("rows: 12 gone")));
    photos(&data, &["cats", "dogs"], 8);
    let back = run_features(&data, &cache, &[]);
    assert_eq!((changes(&back), back["computed"].as_u64()), ([0, 0, 0, 12, 0], Some(0)));
}

#[test]
fn data_of_which_nothing_can_be_used_fails_and_leaves_no_cache() {
    let (_dir, data, cache) = scene(&[], 0);
    for file in ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"] {
        fs::create_dir_all(data.join(file).parent().unwrap()).unwrap();
        fs::write(data.join(file), format!("<html>{file}")).unwrap();
    }
    let told = features(&data, &cache).assert().code(1);
    told.stdout("").stderr(contains("not one of the 3 images can be used").and(contains("cats/1.jpg: is no")));
    let caches: Vec<PathBuf> = fs::read_dir(cache.join("photos")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    assert!(caches.is_empty(), "{caches:?}");

    photos(&data, &["cats", "dogs"], 3);
    run_features(&data, &cache, &[]);
}

#[test]
fn groups_are_kept_together_by_the_rule_and_parted_ones_are_named() {
    let (_dir, data, cache) = scene(&[], 0);
    photos(&data, &["cats/p1", "dogs/p1", "cats/p2", "dogs/p3", "dogs/p4"], 4);
    let done = run_features(&data, &cache, &["--group", "{group}/*"]);
    let text = fs::read_to_string(Path::new(done["cache"].as_str().unwrap()).join("rows.csv")).unwrap();
    let mut of_group: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        of_group.entry(fields[7]).or_default().push(fields[4]);
    }
    assert_eq!(of_group.keys().copied().collect::<Vec<_>>(), ["p1", "p2", "p3", "p4"]);
    assert!(of_group.values().all(|splits| splits.iter().all(|s| *s == splits[0])), "{of_group:?}");

    features(&data, &cache).assert().success().stderr(contains("20 photos had a group and have none now: was --group forgotten?"));
    let listing = data.join("list.csv");
    fs::write(&listing, "path,label,split,group\ncats/p1/000.png,a,train,x\ncats/p1/001.png,b,val,x\ncats/p1/002.png,b,train,y\n").unwrap();
    features(&listing, &cache.join("2")).assert().success().stderr(contains("1 groups stand in several splits: x"));
}

/// Writes into a PNG that it is to be turned by a quarter.
fn turn(png: &Path) {
    let mut chunk = b"eXIfII*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    chunk.splice(0..0, (chunk.len() as u32 - 4).to_be_bytes());
    chunk.extend(crc.sum().to_be_bytes());
    let mut bytes = fs::read(png).unwrap();
    bytes.splice(33..33, chunk);
    fs::write(png, bytes).unwrap();
}

#[test]
fn photos_that_carry_a_turn_are_counted_unless_it_is_followed() {
    let (_dir, data, cache) = scene(&["cats", "dogs"], 4);
    ["cats/000.png", "cats/001.png", "dogs/003.png"].iter().for_each(|photo| turn(&data.join(photo)));
    features(&data, &cache).assert().success().stderr(contains("3 of 8 photos carry a turn").and(contains("--exif-rotate")));
    features(&data, &cache).args(["--exif-rotate"]).assert().success().stderr(contains("carry a turn").not());
}

#[test]
fn a_name_that_is_empty_and_a_folder_for_two_splits_are_wrong_usage() {
    let (_dir, data, cache) = scene(&["cats", "dogs"], 3);
    let mut unnamed = headstart();
    unnamed
        .args(["features", "--backbone", "squeezenet1_1", "--weights", "random", "--name", "", "--data"])
        .arg(&data)
        .arg("--cache")
        .arg(&cache);
    unnamed.assert().code(2).stderr(contains("--name is empty"));
    features(&data, &cache).args(["--splits", "train=cats,val=cats"]).assert().code(2).stderr(contains("names a folder twice"));
    assert!(!cache.join("origin.json").exists());
}

#[test]
fn a_class_of_one_group_leaves_splits_empty_and_that_is_said() {
    let (_dir, data, cache) = scene(&["cats", "dogs"], 6);
    let said = contains("val has no photos at all").and(contains("test has no photos at all"));
    features(&data, &cache).args(["--group", "{group}/*"]).assert().success().stderr(said);
}
