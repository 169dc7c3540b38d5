//! verify, gc, inspect, merge.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;

fn two_shards(folder: &Path) -> Writer {
    let mut writer = with_rows(folder, Dtype::F32, 8);
    writer.commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
    writer
        .commit(Group { shards: vec![shard("gap", 0, &[4, 5, 7], Dtype::F32)], failed: vec![(6, "broken".into())], ..Group::default() })
        .unwrap();
    writer
}

#[test]
fn verify_reads_digests_and_the_next_writer_believes_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(two_shards(folder.path()));
    let verified = verify(folder.path()).unwrap();
    assert_eq!((verified.shards, verified.damaged.len()), (2, 0));

    // A bit that flips on the disk leaves the modification time as it was.
    let file = folder.path().join("features/gap/v0-00004.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() - 9;
    bytes[middle] ^= 4;
    fs::write(&file, &bytes).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().append(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    let mut writer = open(folder.path(), Dtype::F32);
    writer.drop_damaged(|_, _| true).unwrap();
    assert!(writer.warnings().is_empty(), "a start does not read every digest");
    drop(writer);

    let damaged = verify(folder.path()).unwrap().damaged;
    assert_eq!(damaged.len(), 1);
    assert!(damaged[0].file.ends_with("v0-00004.safetensors") && damaged[0].problem.contains("digest"), "{damaged:?}");
    let mut writer = open(folder.path(), Dtype::F32);
    writer.drop_damaged(|_, _| true).unwrap();
    assert_eq!(missing(&writer, "gap", 0), [4, 5, 7]);
}

#[test]
fn gc_drops_deleted_rows_and_keeps_the_numbers_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = two_shards(folder.path());
    let mut rows = writer.rows().to_vec();
    [0, 4, 5, 7].into_iter().for_each(|i: usize| rows[i].status = Status::Deleted);
    writer.set_rows(rows, classes(), 8, vec![]).unwrap();
    drop(writer);
    fs::write(folder.path().join("features/gap/.tmp-dead"), [0; 100]).unwrap();

    let collected = gc(folder.path(), Wait::Moment).unwrap();
    assert_eq!((collected.rows, collected.rewritten, collected.removed), (4, 1, 1));
    assert!(collected.bytes > 100, "{collected:?}");
    let names: Vec<String> = files(folder.path()).into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["features/gap/v0-00000+1.safetensors", "manifest.json", "rows.csv"]);
    let cache = Cache::open(folder.path()).unwrap();
    assert_eq!(cache.rows().iter().map(|r| r.row).collect::<Vec<_>>(), [1, 2, 3, 6]);
    assert_eq!(cache.manifest().next_row, 8);
    let matrix = cache.features("gap", 0).unwrap();
    assert_eq!(matrix.rows(&[2]).into_raw_vec_and_offset().0, [3.0, 3.5, 0.0]);
    assert!(verify(folder.path()).unwrap().damaged.is_empty());

    assert_eq!(gc(folder.path(), Wait::Moment).unwrap(), Collected::default(), "nothing is left to do");
    let (file, aside) = (folder.path().join("features/gap/v0-00000+1.safetensors"), folder.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    let damaged = gc(folder.path(), Wait::Moment).unwrap().damaged;
    assert_eq!((damaged.len(), damaged[0].problem.as_str()), (1, "is missing"));
    fs::rename(&aside, &file).unwrap();
    let mut writer = open(folder.path(), Dtype::F32);
    let mut rows = writer.rows().to_vec();
    rows[0].status = Status::Deleted;
    writer.set_rows(rows, classes(), 8, vec![]).unwrap();
    drop(writer);
    gc(folder.path(), Wait::Moment).unwrap();
    assert_eq!(Cache::open(folder.path()).unwrap().features("gap", 0).unwrap().row_ids(), [2, 3]);
}

#[test]
fn gc_does_not_launder_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = two_shards(folder.path());
    let mut rows = writer.rows().to_vec();
    rows[1].status = Status::Deleted;
    writer.set_rows(rows, classes(), 8, vec![]).unwrap();
    drop(writer);
    let file = folder.path().join("features/gap/v0-00000.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let before = files(folder.path());
    let error = gc(folder.path(), Wait::Moment).unwrap_err().to_string();
    assert!(error.contains("v0-00000.safetensors") && error.contains("recomputes"), "{error}");
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_reader_that_gc_overtakes_is_told_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = two_shards(folder.path());
    let mut rows = writer.rows().to_vec();
    rows[1].status = Status::Deleted;
    writer.set_rows(rows, classes(), 8, vec![]).unwrap();
    drop(writer);
    let early = Cache::open(folder.path()).unwrap();
    let mapped = early.features("gap", 0).unwrap();
    gc(folder.path(), Wait::Moment).unwrap();
    assert_eq!(mapped.rows(&[0]).into_raw_vec_and_offset().0, [0.0, 0.5, 0.0], "what is mapped stays");
    let error = early.features("gap", 0).unwrap_err().to_string();
    assert!(error.contains("another process") && error.contains("try again"), "{error}");
}

#[test]
fn inspect_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = two_shards(folder.path());
    let mut rows = writer.rows().to_vec();
    rows[1].status = Status::Deleted;
    writer.set_rows(rows, classes(), 8, vec![]).unwrap();
    fs::remove_file(folder.path().join("features/gap/v0-00004.safetensors")).unwrap();
    let summary = inspect(folder.path()).unwrap();
    assert_eq!(summary.rows, RowCounts { ok: 6, failed: 1, deleted: 1 });
    assert_eq!(summary.classes[1], ClassCounts { class: "dogs".into(), train: 1, val: 2, test: 0, open: 0 });
    assert_eq!((summary.taps[0].views.clone(), summary.taps[0].shards), ([(0, 6)].into(), 2));
    assert_eq!(summary.damaged, ["features/gap/v0-00004.safetensors"]);
    assert_eq!(serde_json::to_value(&summary).unwrap()["failed"][0]["reason"], "broken");
}

#[test]
fn parts_merge_into_what_one_run_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut whole = two_shards(&at("whole"));
    whole.set_weights("random:1").unwrap();
    let mut a = with_rows(&at("a"), Dtype::F32, 8);
    a.commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
    a.set_weights("random:1").unwrap();
    let mut b = with_rows(&at("b"), Dtype::F32, 8);
    b.commit(Group { shards: vec![shard("gap", 0, &[4, 5, 7], Dtype::F32)], failed: vec![(6, "broken".into())], ..Group::default() })
        .unwrap();
    let merged = merge(&at("all"), &[at("a"), at("b")], Wait::Moment).unwrap();
    assert_eq!((merged.shards, merged.present), (2, 0));
    assert_eq!(files(&at("all")), files(whole.folder()));
    assert_eq!(merge(&at("all"), &[at("b")], Wait::Moment).unwrap().present, 1);

    let mut other = with_rows(&at("other"), Dtype::F32, 9);
    other.commit(group(&[8], Dtype::F32)).unwrap();
    let error = merge(&at("all"), &[at("other")], Wait::Moment).unwrap_err().to_string();
    assert!(error.contains("other images") && error.contains("1 of 9 rows") && error.contains("008.png"), "{error}");
    let mut overlap = with_rows(&at("overlap"), Dtype::F32, 8);
    overlap.commit(group(&[3, 6], Dtype::F32)).unwrap();
    let error = merge(&at("all"), &[at("overlap")], Wait::Moment).unwrap_err().to_string();
    assert!(error.contains("there already"), "{error}");
    assert!(merge(&at("all"), &[], Wait::Moment).is_err());
}

#[test]
fn merge_looks_for_copies_and_takes_the_weights_of_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let copied = || {
        let mut rows = rows(8);
        rows[1].digest = rows[0].digest;
        rows
    };
    for (name, own) in [("a", [0, 1, 2, 3]), ("b", [4, 5, 6, 7])] {
        let mut writer = open(&at(name), Dtype::F32);
        writer.set_rows(copied(), classes(), 8, vec![]).unwrap();
        writer.set_weights("random:1").unwrap();
        writer.commit(group(&own, Dtype::F32)).unwrap();
    }
    // Rows without the manifest that would name the weights.
    open(&at("all"), Dtype::F32).set_rows(copied(), classes(), 8, vec![]).unwrap();
    let merged = merge(&at("all"), &[at("a"), at("b")], Wait::Moment).unwrap();
    assert_eq!(Cache::open(at("all")).unwrap().manifest().weights, "random:1");
    let rows = copied();
    assert_eq!(merged.warnings, [format!("the same image stands in several classes: {}, {}", rows[0].path, rows[1].path)]);
    assert!(merged.copies_stay, "{merged:?}");
}

#[test]
fn merge_leaves_a_folder_of_other_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (part, photos) = (folder.path().join("part"), folder.path().join("photos"));
    with_rows(&part, Dtype::F32, 4).commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("cat.png"), "precious").unwrap();
    let error = merge(&photos, std::slice::from_ref(&part), Wait::Moment).unwrap_err().to_string();
    assert!(error.contains("is not a cache") && error.contains("a new folder"), "{error}");
    assert_eq!(fs::read_dir(&photos).unwrap().count(), 1);
    // Nothing but a lock, as a merge that was stopped at once leaves it.
    fs::rename(photos.join("cat.png"), photos.join(".lock")).unwrap();
    assert_eq!(merge(&photos, &[part], Wait::Moment).unwrap().shards, 1);
}

#[test]
fn a_cache_of_rows_alone_says_that_it_holds_no_features() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_rows(folder.path(), Dtype::F32, 4));
    let cache = Cache::open(folder.path()).unwrap();
    let error = export_npz(&cache, &Selection::default(), &folder.path().join("x.npz")).unwrap_err().to_string();
    assert!(error.contains("holds no features yet") && error.contains(&folder.path().display().to_string()), "{error}");
}

#[test]
fn gc_without_work_frees_nothing_whoever_held_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    drop(two_shards(folder.path()));
    fs::write(folder.path().join(".lock"), "12345678901234567890").unwrap();
    assert_eq!(gc(folder.path(), Wait::Moment).unwrap(), Collected::default());
}
