//! Whatever the moment at which a writer is stopped or a reader looks: the old state or the new
//! one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::store::disk::commit::PENDING;

/// Rows with classes of which the first one got another name: labels and names must come from one
/// state.
fn renamed(round: u64) -> (Vec<Row>, Vec<String>) {
    let mut changed = rows(8);
    changed[0].labels = vec![(round % 2) as usize];
    (changed, vec![format!("ants-{round}"), format!("bees-{round}")])
}

fn names(cache: &Cache) -> Vec<&str> {
    cache.rows().iter().map(|r| cache.manifest().classes[r.labels[0]].as_str()).collect()
}

#[test]
fn readers_beside_a_writer_see_one_state_or_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = with_rows(folder.path(), Dtype::F32, 8);
    writer.commit(group(&[0, 1, 2, 3, 4, 5, 6, 7], Dtype::F32)).unwrap();
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let cache = Cache::open(folder.path()).unwrap();
                    let rounds: std::collections::BTreeSet<&str> =
                        names(&cache).into_iter().map(|n| n.rsplit_once('-').map_or("first", |(_, round)| round)).collect();
                    assert_eq!(rounds.len(), 1, "{rounds:?}");
                    assert_eq!(cache.table("gap", 0, None).unwrap().rows.len(), 8);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..200 {
            let (rows, classes) = renamed(round);
            writer.set_rows(rows, classes, 8, vec![]).unwrap();
        }
        while reads.load(Ordering::Relaxed) < 300 {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The states that a writer leaves on disk when it is stopped while it changes classes and labels,
/// by name, and whether the change counts.
fn stopped(folder: &Path) -> Vec<(&'static str, std::path::PathBuf, bool)> {
    let at = |name: &str| folder.join(name);
    let make = |name: &str, changed: bool| {
        let mut writer = with_rows(&at(name), Dtype::F32, 8);
        writer.commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
        if changed {
            let (rows, classes) = renamed(1);
            writer.set_rows(rows, classes, 8, vec![]).unwrap();
        }
    };
    ["before", "rows", "manifest"].into_iter().for_each(|name| make(name, false));
    make("after", true);
    let copy = |from: &str, to: &str, name: &str| fs::copy(at("after").join(from), at(to).join(name)).map(drop).unwrap();
    copy("rows.csv", "rows", PENDING);
    copy("rows.csv", "manifest", PENDING);
    copy("manifest.json", "manifest", "manifest.json");
    fs::write(at("before").join(".tmp-rows"), b"half").unwrap();
    [("before", false), ("rows", false), ("manifest", true), ("after", true)].map(|(name, counts)| (name, at(name), counts)).to_vec()
}

#[test]
fn a_writer_that_is_stopped_at_any_step_leaves_a_whole_state() {
    let folder = tempfile::tempdir().unwrap();
    let want = [files(&stopped(&folder.path().join("want"))[0].1), files(&stopped(&folder.path().join("want-2"))[3].1)];
    let want = want.map(|files| files.into_iter().filter(|(name, _)| !name.starts_with(".tmp")).collect::<Vec<_>>());
    for (name, cache, counts) in stopped(folder.path()) {
        let read = Cache::open(&cache).unwrap();
        assert_eq!(names(&read)[0], if counts { "bees-1" } else { "cats" }, "{name}");
        assert_eq!(inspect(&cache).unwrap().rows.ok, 8);
        assert!(verify(&cache).unwrap().damaged.is_empty());

        let writer = open(&cache, Dtype::F32);
        assert!(writer.warnings().is_empty(), "{:?}", writer.warnings());
        drop(writer);
        assert_eq!(files(&cache), want[usize::from(counts)], "{name}");
    }
}

#[test]
fn gc_drops_no_label_at_any_step() {
    let folder = tempfile::tempdir().unwrap();
    for (name, cache, counts) in stopped(folder.path()) {
        gc(&cache, Wait::Moment).unwrap();
        let read = Cache::open(&cache).unwrap();
        let want = if counts { ["bees-1", "bees-1", "ants-1"] } else { ["cats", "dogs", "cats"] };
        assert_eq!(names(&read)[..3], want, "{name}");
        assert_eq!(files(&cache).len(), 3);
    }
}

/// Rows that belong to no manifest: edited by hand, damaged, or left by a version that wrote both
/// files one after the other.
#[test]
fn rows_of_no_state_are_refused_and_healed_by_the_next_extraction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let mut writer = with_rows(folder.path(), Dtype::F32, 8);
    writer.commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
    let good = files(folder.path());
    drop(writer);
    let text = fs::read_to_string(&path).unwrap();
    let cases = [
        (text.replacen(",train,", ",test,", 1), "is not the one"),
        (text.replacen("cats", "cots", 1), "is not label 0"),
        (text[..text.len() - 20].to_string(), "1 of its lines are lost"),
    ];
    for (bad, says) in cases {
        fs::write(&path, &bad).unwrap();
        let error = Cache::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("rows.csv") && error.contains("extract the features again") && !error.contains("delete"), "{error}");
        let error = gc(folder.path(), Wait::Moment).unwrap_err().to_string();
        assert!(error.contains("extract the features again"), "{error}");
        let mut writer = open(folder.path(), Dtype::F32);
        writer.set_rows(rows(8), classes(), 8, vec![]).unwrap();
        assert!(writer.warnings()[0].contains(says), "{:?}", writer.warnings());
        drop(writer);
        assert_eq!(files(folder.path()), good);
    }
}

#[test]
fn caches_of_earlier_versions_are_read_and_get_a_digest_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = with_rows(folder.path(), Dtype::F32, 8);
    writer.commit(group(&[0, 1], Dtype::F32)).unwrap();
    drop(writer);
    let path = folder.path().join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("rows_sha256").unwrap();
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(names(&Cache::open(folder.path()).unwrap())[..2], ["cats", "dogs"]);

    // One that was stopped between its two files, as such a version could be.
    let text = fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    fs::write(folder.path().join("rows.csv"), text.replace("dogs", "wolves")).unwrap();
    assert!(gc(folder.path(), Wait::Moment).unwrap_err().to_string().contains("extract the features again"), "labels are not dropped");
    let mut writer = open(folder.path(), Dtype::F32);
    writer.set_rows(rows(8), classes(), 8, vec![]).unwrap();
    assert!(writer.manifest().rows_sha256.is_some());
    assert_eq!(names(&Cache::open(folder.path()).unwrap())[..2], ["cats", "dogs"]);
}

#[test]
fn a_merge_that_is_stopped_at_any_step_comes_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, own) in [("a", [0, 1, 2, 3]), ("b", [4, 5, 6, 7])] {
        let mut writer = with_rows(&at(name), Dtype::F32, 8);
        writer.set_weights("random:1").unwrap();
        writer.commit(group(&own, Dtype::F32)).unwrap();
    }
    let parts = [at("a"), at("b")];
    merge(&at("whole"), &parts, Wait::Moment).unwrap();
    let want = files(&at("whole"));
    let manifest = |cache: &Path| fs::read(cache.join("manifest.json")).unwrap();

    // The new rows are written and the manifest knows nothing of them; an earlier version had put
    // them into place by then.
    for (name, rows_file) in [("pending", PENDING), ("earlier", "rows.csv")] {
        drop(open(&at(name), Dtype::F32));
        fs::copy(at("whole").join("rows.csv"), at(name).join(rows_file)).unwrap();
        if name == "earlier" {
            let mut old: serde_json::Value = serde_json::from_slice(&manifest(&at(name))).unwrap();
            old.as_object_mut().unwrap().remove("rows_sha256");
            fs::write(at(name).join("manifest.json"), old.to_string()).unwrap();
        }
        let merged = merge(&at(name), &parts, Wait::Moment).unwrap();
        assert!(merged.missing.is_empty());
        assert_eq!(files(&at(name)), want, "{name}");
    }
    // The rows count, and shards of the first part were copied.
    let mut writer = open(&at("rows"), Dtype::F32);
    writer.set_weights("random:1").unwrap();
    writer.set_rows(rows(8), classes(), 8, vec![]).unwrap();
    drop(writer);
    fs::create_dir_all(at("rows/features/gap")).unwrap();
    fs::copy(at("a/features/gap/v0-00000.safetensors"), at("rows/features/gap/v0-00000.safetensors")).unwrap();
    merge(&at("rows"), &parts, Wait::Moment).unwrap();
    assert_eq!(files(&at("rows")), want);
}
