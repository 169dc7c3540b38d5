//! Read back: `.npz` by its own rules, Parquet by the crate's reader.

use std::io::Read;
use std::path::Path;

#[cfg(feature = "parquet")]
use ::parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::data::Split;
use crate::store::tests::{group, rows, shard, with_rows};
use crate::store::{Dtype, Group, Status};

/// A cache of tap `gap` with eight rows, of which 2 is deleted; row `r` is `[r, r + 0.5, 0]`.
fn cache(folder: &Path, dtype: Dtype, several_labels: bool) -> Cache {
    let mut writer = with_rows(folder, dtype, 8);
    writer.commit(group(&[0, 1, 2, 3, 4, 5, 6, 7], dtype)).unwrap();
    let mut rows = rows(8);
    rows[2].status = Status::Deleted;
    rows[5].path = "café, \"5\".png".into();
    if several_labels {
        rows[0].labels = vec![0, 1];
        rows[1].labels = vec![];
    }
    writer.set_rows(rows, vec!["cats".into(), "dogs".into()], 8, vec![]).unwrap();
    Cache::open(folder).unwrap()
}

/// Header and data of an array.
fn array(file: &Path, name: &str) -> (String, Vec<u8>) {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut bytes = vec![];
    zip.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert_eq!(data % 64, 0);
    (String::from_utf8(bytes[10..data].to_vec()).unwrap().trim_end().to_string(), bytes[data..].to_vec())
}

#[test]
fn npz_holds_features_labels_paths_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let cache = cache(&folder.path().join(dtype.name()), dtype, false);
        let file = folder.path().join("out.npz");
        let exported = export_npz(&cache, &Selection { split: Some(Split::Train), ..Selection::default() }, &file).unwrap();
        assert_eq!((exported.rows, exported.tap.as_str(), exported.shape), (5, "gap", vec![3]));
        let (header, data) = array(&file, "X");
        let (descr, size) = if dtype == Dtype::F16 { ("<f2", 2) } else { ("<f4", 4) };
        assert_eq!(header, format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (5, 3, ), }}"));
        let mut values = [0.0; 15];
        if size == 2 { Dtype::F16 } else { Dtype::F32 }.decode(&data, &mut values);
        assert_eq!(values[3..9], [1.0, 1.5, 0.0, 4.0, 4.5, 0.0], "{dtype}");
        let numbers = |name| array(&file, name).1.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect::<Vec<_>>();
        assert_eq!((numbers("row"), numbers("y")), (vec![0, 1, 4, 5, 6], vec![0, 1, 0, 1, 0]));
        let (header, data) = array(&file, "path");
        assert!(header.contains("'<U13', 'fortran_order': False, 'shape': (5, )"), "{header}");
        let text: String = data[3 * 52..4 * 52].as_chunks::<4>().0.iter().filter_map(|c| char::from_u32(u32::from_le_bytes(*c))).collect();
        assert_eq!(text, "café, \"5\".png");
    }
}

#[test]
fn groups_are_exported_where_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let plain = cache(&folder.path().join("plain"), Dtype::F32, false);
    let file = folder.path().join("out.npz");
    export_npz(&plain, &Selection::default(), &file).unwrap();
    assert!(zip::ZipArchive::new(std::fs::File::open(&file).unwrap()).unwrap().by_name("group.npy").is_err());

    let grouped = folder.path().join("plain");
    let mut writer = crate::store::tests::open(&grouped, Dtype::F32);
    let mut rows = writer.rows().to_vec();
    rows[1].group = Some("p7".into());
    let classes = writer.manifest().classes.clone();
    writer.set_rows(rows, classes, 8, vec![]).unwrap();
    let grouped = Cache::open(&grouped).unwrap();
    export_npz(&grouped, &Selection::default(), &file).unwrap();
    let (header, data) = array(&file, "group");
    assert!(header.contains("'<U2'") && header.contains("(7, )"), "{header}");
    assert_eq!(data[..16], [[0; 8], [b'p', 0, 0, 0, b'7', 0, 0, 0]].concat());
    #[cfg(feature = "parquet")]
    {
        let file = folder.path().join("out.parquet");
        export_parquet(&grouped, &Selection::default(), &file).unwrap();
        let lines = lines(&file);
        assert!(lines[0].contains("group: null") && lines[1].contains("group: \"p7\""), "{lines:?}");
    }
}

#[test]
fn several_labels_become_flags() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("cache"), Dtype::F32, true);
    let npz = folder.path().join("out.npz");
    export_npz(&cache, &Selection::default(), &npz).unwrap();
    let (header, data) = array(&npz, "y");
    assert!(header.contains("'|u1'") && header.contains("(7, 2, )"), "{header}");
    assert_eq!(data[..6], [1, 1, 0, 0, 0, 1]);
}

#[cfg(feature = "parquet")]
#[test]
fn several_labels_become_lists_in_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("cache"), Dtype::F32, true);
    let file = folder.path().join("out.parquet");
    export_parquet(&cache, &Selection::default(), &file).unwrap();
    let lines = lines(&file);
    assert!(lines[0].contains("class: \"cats|dogs\"") && lines[0].contains("labels: [0, 1]"), "{}", lines[0]);
    assert!(lines[1].contains("labels: []"), "{}", lines[1]);
}

#[cfg(feature = "parquet")]
fn lines(file: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("cache"), Dtype::F16, false);
    let file = folder.path().join("out.parquet");
    let exported = export_parquet(&cache, &Selection::default(), &file).unwrap();
    assert_eq!((exported.rows, exported.bytes), (7, std::fs::metadata(&file).unwrap().len()));
    let lines = lines(&file);
    assert_eq!(lines[1], r#"{row: 1, path: "001.png", class: "dogs", label: 1, split: "train", features: [1.0, 1.5, 0E0]}"#);
    assert_eq!(lines.len(), 7);
}

#[test]
fn what_cannot_be_exported_is_said_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let cache_folder = folder.path().join("cache");
    let cache = cache(&cache_folder, Dtype::F32, false);
    let to = folder.path().join("out.npz");
    let error = |selection: Selection| export_npz(&cache, &selection, &to).unwrap_err().to_string();
    assert!(error(Selection { tap: Some("gab".into()), ..Selection::default() }).contains("`gap`"));
    assert!(error(Selection { view: 3, ..Selection::default() }).contains("no view 3"));
    assert!(error(Selection { split: Some(Split::Test), ..Selection::default() }).contains("images of test"));
    assert!(!to.exists());
    let file = folder.path().join("file");
    std::fs::write(&file, b"1").unwrap();
    let error = export_npz(&cache, &Selection::default(), &file.join("out.npz")).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");

    let mut writer = crate::store::tests::open(&cache_folder, Dtype::F32);
    writer.commit(Group { shards: vec![shard("map", 0, &[0], Dtype::F32)], ..Group::default() }).unwrap();
    let two = Cache::open(&cache_folder).unwrap();
    let error = export_npz(&two, &Selection::default(), &to).unwrap_err().to_string();
    assert!(error.contains("gap, map") && error.contains("option `tap`"), "{error}");
}

/// A device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_an_npz_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), Dtype::F32, false);
    let chosen = Chosen::new(&cache, &Selection::default()).unwrap();
    let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(npz::write(&chosen, &mut full).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}
