//! What the caches of one data set have in common: the photos that they know, and the folder or CSV
//! file that these came from.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{Digest, Entry};
use crate::store::disk::manifest;
use crate::store::disk::manifest::MANIFEST;
use crate::store::disk::rows::{self, Row, Status};
use crate::store::reading::cache::Cache;
use crate::{Error, Result, files};

const ORIGIN: &str = "origin.json";

/// How the data of a run stands to the caches of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No cache holds anything yet.
    New,
    /// They were made from it.
    Same,
    /// They were made from another place, or it is not known from where; most of their photos are
    /// here.
    Moved {
        /// Where they were made from.
        from: Option<PathBuf>,
        /// Their photos that are here.
        here: usize,
        /// All of their photos (of a part of the data: all photos of that part).
        of: usize,
    },
}

/// `origin.json`: private to this machine, like `files.csv`.
#[derive(Serialize, Deserialize)]
struct Record {
    data: String,
}

/// The rows that the caches of a data set know and whose split is settled, those of the cache in
/// `own` before those of others, live ones before deleted ones, and what the user should know.
/// Other caches are asked only where `own` does not know every image of `wanted`.
pub(crate) fn known_rows(own: &Path, wanted: &[Option<Digest>]) -> (Vec<Row>, Vec<String>) {
    let rows = rows_in(own).unwrap_or_default();
    known_rows_with(own, rows, wanted)
}

/// As [`known_rows`], where the rows of the cache in `own` are at hand.
pub(in crate::store) fn known_rows_with(own: &Path, mut rows: Vec<Row>, wanted: &[Option<Digest>]) -> (Vec<Row>, Vec<String>) {
    let mut warnings = vec![];
    rows.retain(|row| row.split.is_some());
    rows.sort_by_key(|row| (row.status == Status::Deleted, row.row));
    let mut known: HashSet<Digest> = rows.iter().filter_map(|row| row.digest).collect();
    if wanted.iter().flatten().all(|digest| known.contains(digest)) {
        return (rows, warnings);
    }
    for folder in caches_beside(own).into_iter().filter(|folder| folder != own) {
        match rows_in(&folder) {
            Ok(mut others) => {
                others.retain(|row| row.split.is_some() && row.digest.is_some_and(|d| !known.contains(&d)));
                others.sort_by_key(|row| (row.status == Status::Deleted, row.row));
                rows.extend(others);
                known.extend(rows.iter().filter_map(|row| row.digest));
            }
            Err(e) => warnings.push(format!("the splits of a damaged cache are not taken over: {e}")),
        }
    }
    (rows, warnings)
}

/// Compares `data`, whose images these are, with what the caches beside `own` were made from. An
/// image without a digest is known by its path. `partial`: the images are a part of the data.
///
/// # Errors
/// The caches hold another data set of the same name.
pub(crate) fn check_origin(own: &Path, data: &Path, entries: &[Entry], digests: &[Option<Digest>], partial: bool) -> Result<Origin> {
    let folder = own.parent().unwrap_or(own);
    let from = read(folder);
    if from.as_deref() == Some(text(data).as_str()) {
        return Ok(Origin::Same);
    }
    let (mut live, mut paths): (HashSet<Digest>, HashSet<String>) = Default::default();
    for mut rows in caches_beside(own).iter().filter_map(|folder| rows_in(folder).ok()) {
        rows.retain(|row| row.status != Status::Deleted);
        live.extend(rows.iter().filter_map(|row| row.digest));
        paths.extend(rows.into_iter().map(|row| row.path));
    }
    let listed: HashSet<Digest> = digests.iter().flatten().copied().collect();
    let unread = || entries.iter().zip(digests).filter(|(_, digest)| digest.is_none()).map(|(entry, _)| &entry.uri);
    let here = listed.intersection(&live).count() + unread().filter(|path| paths.contains(*path)).count();
    let of = if partial { listed.len() + unread().count() } else { live.len() };
    if paths.is_empty() {
        return Ok(Origin::New);
    }
    if 2 * here >= of {
        return Ok(Origin::Moved { from: from.map(PathBuf::from), here, of });
    }
    let made_from = from.unwrap_or_else(|| "another place".into());
    let whose = if partial { "the photos here" } else { "its photos" };
    let problem = format!("is not what {} was made from ({made_from}): {here} of {of} of {whose} are the same", folder.display());
    let hint = "give this data set a name of its own with option `name`; if it shall take the other's place, delete that folder first";
    Err(Error::data(data, problem, hint))
}

/// Folders of the caches beside `own` that an earlier version made: their features cannot be used,
/// and no longer belong to any key.
pub(crate) fn earlier_caches(own: &Path) -> Vec<PathBuf> {
    caches_beside(own).into_iter().filter(|folder| manifest::is_earlier(folder)).collect()
}

/// The rows of a cache, of an earlier version's too: a photo keeps its split.
fn rows_in(folder: &Path) -> Result<Vec<Row>> {
    if !manifest::is_earlier(folder) {
        return Ok(Cache::open(folder)?.rows().to_vec());
    }
    let file = folder.join(rows::ROWS);
    let text = fs::read(&file).map_err(Error::io("read", &file))?;
    Ok(rows::salvage(&text, &rows::all_names(&text)).0)
}

/// Remembers that the caches beside `own` are made from `data`.
///
/// # Errors
/// The system's own.
pub(crate) fn remember_origin(own: &Path, data: &Path) -> Result<()> {
    let folder = own.parent().unwrap_or(own);
    let data = text(data);
    if read(folder).as_ref() == Some(&data) {
        return Ok(());
    }
    let file = folder.join(ORIGIN);
    let json = serde_json::to_vec(&Record { data }).map_err(|e| Error::internal(format!("origin.json cannot be written: {e}")))?;
    files::replace(&file, &json)
}

/// Where the data of a cache is, as the last extraction left it.
///
/// # Errors
/// It is not known.
pub(crate) fn origin_of(cache: &Path) -> Result<PathBuf> {
    let cache = cache.canonicalize().map_err(Error::io("find", cache))?;
    let from = cache.parent().and_then(read).map(PathBuf::from);
    from.ok_or_else(|| Error::cache(&cache, "does not say where its images are", "name their place with option `data`"))
}

/// A path as it is written: names that are not UTF-8 come close enough to be told apart.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn read(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join(ORIGIN)).ok()?;
    serde_json::from_slice::<Record>(&text).ok().map(|record| record.data)
}

/// The caches in the folder of a data set, by name.
fn caches_beside(own: &Path) -> Vec<PathBuf> {
    let Some(listed) = own.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return vec![] };
    let mut found: Vec<PathBuf> = listed.flatten().map(|e| e.path()).filter(|p| p.join(MANIFEST).is_file()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::with_rows;
    use crate::store::{Dtype, Writer};

    fn digests(range: std::ops::Range<u8>) -> Vec<Option<Digest>> {
        range.map(|n| Some(Digest([n; 32]))).collect()
    }

    fn entries(range: std::ops::Range<u8>) -> Vec<Entry> {
        range.map(|n| Entry { uri: format!("{n:03}.png"), labels: vec![], split: None, group: None }).collect()
    }

    fn of(own: &Path, data: &Path, range: std::ops::Range<u8>, partial: bool) -> Result<Origin> {
        check_origin(own, data, &entries(range.clone()), &digests(range), partial)
    }

    #[test]
    fn another_data_set_of_the_same_name_is_refused_and_a_moved_one_recognised() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("photos/a@1");
        let (first, second) = (Path::new("/first/photos"), Path::new("/second/photos"));
        assert_eq!(of(&own, first, 0..10, false).unwrap(), Origin::New);
        let _: Writer = with_rows(&own, Dtype::F32, 10);
        remember_origin(&own, first).unwrap();
        assert_eq!(of(&own, first, 50..60, false).unwrap(), Origin::Same);

        let error = of(&own, second, 8..60, false).unwrap_err().to_string();
        assert!(error.contains("/first/photos") && error.contains("2 of 10 of its photos") && error.contains("option `name`"), "{error}");
        let moved = Origin::Moved { from: Some(first.into()), here: 8, of: 10 };
        assert_eq!(of(&own, second, 2..60, false).unwrap(), moved, "grown meanwhile");
        assert!(of(&own, second, 0..3, false).is_err(), "a subset would delete the rest");
        assert!(of(&own, second, 0..3, true).is_ok(), "a part of it deletes nothing");
        let unread = |range: std::ops::Range<u8>| check_origin(&own, second, &entries(range.clone()), &vec![None; range.len()], true);
        assert_eq!(unread(5..15).unwrap(), Origin::Moved { from: Some(first.into()), here: 5, of: 10 }, "by their paths");
        assert!(unread(6..16).is_err());

        remember_origin(&own, second).unwrap();
        assert_eq!(of(&root.path().join("photos/b@2"), second, 0..1, false).unwrap(), Origin::Same, "for all caches");
        fs::remove_file(root.path().join("photos/origin.json")).unwrap();
        let moved = Origin::Moved { from: None, here: 10, of: 10 };
        assert_eq!(of(&own, second, 0..10, false).unwrap(), moved, "caches made before");
    }

    #[test]
    fn photos_keep_the_splits_of_a_cache_that_an_earlier_version_made() {
        let root = tempfile::tempdir().unwrap();
        let [earlier, own] = ["photos/a@1", "photos/a@2"].map(|name| root.path().join(name));
        drop(with_rows(&earlier, Dtype::F32, 5));
        let before = Cache::open(&earlier).unwrap().rows().to_vec();
        fs::write(earlier.join("manifest.json"), r#"{"format": 1, "key": {"backbone": "a"}}"#).unwrap();
        assert_eq!(known_rows(&own, &digests(0..5)), (before, vec![]));
        assert_eq!(earlier_caches(&own), [earlier]);
        assert!(of(&own, Path::new("/other"), 50..60, false).is_err());
    }

    #[test]
    fn caches_beside_are_asked_for_what_the_own_does_not_know() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("photos/a@1"), root.path().join("photos/b@2"));
        drop(with_rows(&a, Dtype::F32, 3));
        drop(with_rows(&b, Dtype::F32, 5));
        let count = |own: &Path, wanted| known_rows(own, &digests(wanted)).0.len();
        assert_eq!(count(&a, 0..3), 3);
        assert_eq!(count(&a, 0..4), 5);
        assert_eq!(count(&root.path().join("photos/c@3"), 0..1), 5);
        fs::write(b.join("manifest.json"), "{").unwrap();
        assert_eq!(known_rows(&a, &digests(0..4)).1.len(), 1, "a damaged one is named");
    }
}
