//! Writer and reader together, and what a killed writer leaves behind.

mod hostile;
mod moments;
mod upkeep;

use std::fs;
use std::path::Path;

use super::key::tests::example;
use super::*;
use crate::data::{Digest, Split};

/// `count` rows of two classes, every fourth one in val.
pub(super) fn rows(count: u64) -> Vec<Row> {
    let row = |row: u64| Row {
        row,
        path: format!("{row:03}.png"),
        labels: vec![(row % 2) as usize],
        split: Some(if row % 4 == 3 { Split::Val } else { Split::Train }),
        digest: Some(Digest([row as u8; 32])),
        status: Status::Ok,
        group: None,
    };
    (0..count).map(row).collect()
}

fn classes() -> Vec<String> {
    vec!["cats".into(), "dogs".into()]
}

pub(super) fn open(folder: &Path, dtype: Dtype) -> Writer {
    Writer::open(folder, &CacheKey { store: dtype, ..example() }, "photos", Wait::Moment).unwrap()
}

pub(super) fn with_rows(folder: &Path, dtype: Dtype, count: u64) -> Writer {
    let mut writer = open(folder, dtype);
    writer.set_rows(rows(count), classes(), count, vec![]).unwrap();
    writer
}

/// Row `r` of tap `gap` is `[r, r + 0.5, view]`.
pub(super) fn shard(tap: &str, view: u32, rows: &[u64], dtype: Dtype) -> NewShard {
    let values: Vec<f32> = rows.iter().flat_map(|&r| [r as f32, r as f32 + 0.5, view as f32]).collect();
    NewShard::encode(tap, view, &[3], rows, &values, dtype).unwrap()
}

pub(super) fn group(rows: &[u64], dtype: Dtype) -> Group {
    Group { shards: vec![shard("gap", 0, rows, dtype)], ..Group::default() }
}

fn missing(writer: &Writer, tap: &str, view: u32) -> Vec<u64> {
    writer.manifest().missing(writer.rows(), tap, view)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let objects = LocalFiles::new(folder);
    let names = objects.list("").unwrap().into_iter().filter(|n| !n.ends_with(".lock") && !n.ends_with(".checked.csv"));
    names.map(|n| (n.clone(), fs::read(folder.join(&n)).unwrap())).collect()
}

#[test]
fn features_come_back_with_their_labels() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = with_rows(folder.path(), dtype, 8);
        writer.commit(Group { failed: vec![(2, "broken".into())], ..group(&[0, 1, 3], dtype) }).unwrap();
        writer.commit(group(&[4, 5, 6, 7], dtype)).unwrap();
        assert!(missing(&writer, "gap", 0).is_empty());
        assert_eq!(missing(&writer, "gap", 1), [0, 1, 3, 4, 5, 6, 7], "the failed row is not asked for");

        let cache = Cache::open(folder.path()).unwrap();
        let matrix = cache.features("gap", 0).unwrap();
        assert_eq!((matrix.len(), matrix.dim(), matrix.dtype()), (7, 3, dtype));
        assert_eq!(matrix.row_ids(), [0, 1, 3, 4, 5, 6, 7]);
        let mut out = [0.0; 6];
        matrix.gather(&[6, 2], &mut out);
        assert_eq!(out, [7.0, 7.5, 0.0, 3.0, 3.5, 0.0]);
        // Advice, in any order, changes nothing.
        [&[][..], &[6, 2, 2, 3], &[0, 1, 2, 3, 4, 5, 6]].into_iter().for_each(|positions| matrix.will_read(positions));

        let val = cache.table("gap", 0, Some(Split::Val)).unwrap();
        assert_eq!((val.rows, val.labels), (vec![3, 7], vec![vec![1], vec![1]]));
        assert_eq!(val.features.row(1).to_vec(), [7.0, 7.5, 0.0]);
        assert_eq!(cache.table("gap", 0, None).unwrap().rows.len(), 7);
    }
}

#[test]
fn a_matrix_is_without_deleted_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = with_rows(folder.path(), Dtype::F32, 8);
    writer.commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
    writer.commit(group(&[4, 5, 6, 7], Dtype::F32)).unwrap();
    let mut fewer = rows(8);
    fewer[1].status = Status::Deleted;
    writer.set_rows(fewer, classes(), 8, vec![]).unwrap();

    let matrix = Cache::open(folder.path()).unwrap().features("gap", 0).unwrap();
    let first: Vec<f32> = matrix.rows(&[0, 1, 2, 3, 4, 5, 6]).column(0).to_vec();
    assert_eq!(first, [0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn a_group_that_was_never_listed_is_taken_up_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |rows: &[u64]| Group {
        shards: vec![shard("gap", 0, rows, Dtype::F32), shard("map", 0, rows, Dtype::F32)],
        failed: vec![(5, "broken".into())],
        ..Group::default()
    };
    let mut writer = with_rows(folder.path(), Dtype::F32, 6);
    writer.commit(group(&[0], Dtype::F32)).unwrap();
    let before = files(folder.path());
    writer.commit(pair(&[1, 2, 3, 4])).unwrap();
    let after = files(folder.path());
    drop(writer);

    // A kill between the shards and rows.csv.
    for (name, bytes) in before.iter().filter(|(n, _)| !n.starts_with("features")) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let writer = open(folder.path(), Dtype::F32);
    assert_eq!((missing(&writer, "gap", 0), missing(&writer, "map", 0)), (vec![], vec![0]));
    assert_eq!(writer.manifest().failed[0].reason, "broken");
    assert_eq!(files(folder.path()), after);
    drop(writer);

    // A kill between the two shards, and one while a third was written.
    for (name, bytes) in before.iter().filter(|(n, _)| !n.starts_with("features")) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    fs::remove_file(folder.path().join("features/map/v0-00001.safetensors")).unwrap();
    fs::write(folder.path().join("features/map/.tmp-123"), b"half").unwrap();
    drop(open(folder.path(), Dtype::F32));
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_lost_manifest_is_made_again_from_the_shards() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = with_rows(folder.path(), Dtype::F32, 6);
    writer.commit(Group { failed: vec![(2, "broken".into())], ..group(&[0, 1], Dtype::F32) }).unwrap();
    writer.commit(group(&[3, 4, 5], Dtype::F32)).unwrap();
    let whole = files(folder.path());
    drop(writer);
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let mut writer = open(folder.path(), Dtype::F32);
    let found = writer.rows().to_vec();
    assert_eq!(found.iter().filter(|r| r.status == Status::Failed).count(), 1);
    let labelled = rows(6).into_iter().zip(&found).map(|(r, f)| Row { status: f.status, ..r }).collect();
    writer.set_rows(labelled, classes(), 6, vec![]).unwrap();
    assert_eq!(files(folder.path()), whole);
}

#[test]
fn damaged_shards_are_dropped_and_missing_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = with_rows(folder.path(), Dtype::F32, 4);
    writer.commit(group(&[0, 1], Dtype::F32)).unwrap();
    writer.commit(group(&[2, 3], Dtype::F32)).unwrap();
    let whole = files(folder.path());
    let file = folder.path().join("features/gap/v0-00002.safetensors");
    let good = fs::read(&file).unwrap();
    let flipped: Vec<u8> = good.iter().enumerate().map(|(i, b)| if i == good.len() - 3 { b ^ 1 } else { *b }).collect();
    for bad in [&good[..good.len() - 4], &flipped, &[]] {
        fs::write(&file, bad).unwrap();
        writer.drop_damaged(|_, _| true).unwrap();
        assert_eq!(missing(&writer, "gap", 0), [2, 3]);
        assert!(writer.warnings().last().unwrap().contains("v0-00002.safetensors"), "{:?}", writer.warnings());
        writer.commit(group(&[2, 3], Dtype::F32)).unwrap();
        assert_eq!(files(folder.path()), whole);
    }
    writer.drop_damaged(|_, _| true).unwrap();
    assert!(missing(&writer, "gap", 0).is_empty());

    fs::write(&file, &good[..40]).unwrap();
    let error = Cache::open(folder.path()).unwrap().features("gap", 0).unwrap_err().to_string();
    assert!(error.contains("v0-00002.safetensors") && error.contains("recomputes the shard"), "{error}");
}

#[test]
fn another_key_or_missing_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    with_rows(folder.path(), Dtype::F32, 2).commit(group(&[0, 1], Dtype::F32)).unwrap();
    let other = CacheKey { seed: 1, ..example() };
    let error = Writer::open(folder.path(), &other, "photos", Wait::Moment).unwrap_err().to_string();
    assert!(error.contains("another way"), "{error}");
    fs::remove_file(folder.path().join("rows.csv")).unwrap();
    let error = Writer::open(folder.path(), &example(), "photos", Wait::Moment).unwrap_err().to_string();
    assert!(error.contains("rows.csv") && error.contains("is missing"), "{error}");
    assert!(Cache::open(folder.path()).unwrap_err().to_string().contains("rows.csv"));
}

#[test]
fn relabelling_touches_no_shard() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = with_rows(folder.path(), Dtype::F32, 4);
    writer.commit(group(&[0, 1, 2, 3], Dtype::F32)).unwrap();
    let before = files(folder.path());
    let mut relabelled = rows(4);
    relabelled[0].labels = vec![1];
    relabelled[1].split = Some(Split::Test);
    relabelled[2].path = "moved.png".into();
    writer.set_rows(relabelled, classes(), 4, vec![]).unwrap();
    let changed: Vec<String> = before.into_iter().zip(files(folder.path())).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
    assert_eq!(changed, ["manifest.json", "rows.csv"]);
}

#[test]
fn a_full_disk_leaves_what_was_there_and_nothing_half_written() {
    #[derive(Debug)]
    struct Full(LocalFiles);
    impl Objects for Full {
        fn put_if_absent(&self, name: &str, _: &[u8]) -> crate::Result<bool> {
            Err(crate::Error::io("write", name)(std::io::ErrorKind::StorageFull.into()))
        }
        fn list(&self, prefix: &str) -> crate::Result<Vec<String>> {
            self.0.list(prefix)
        }
        fn remove(&self, name: &str) -> crate::Result<()> {
            self.0.remove(name)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    with_rows(folder.path(), Dtype::F32, 4).commit(group(&[0, 1], Dtype::F32)).unwrap();
    let before = files(folder.path());
    let full = Box::new(Full(LocalFiles::new(folder.path())));
    let mut writer = Writer::open_in(folder.path(), &example(), "photos", Wait::Moment, full).unwrap();
    let error = writer.commit(group(&[2, 3], Dtype::F32)).unwrap_err().to_string();
    assert!(error.contains("v0-00002.safetensors") && error.contains("no storage space"), "{error}");
    assert_eq!(files(folder.path()), before);
}
