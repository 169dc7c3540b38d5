//! `manifest.json`: what a cache holds. It holds nothing that differs from run to run: the same
//! inputs leave the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::rows::{Row, Status};
use super::rowset::RowSet;
use crate::data::SplitRule;
use crate::store::key::CacheKey;
use crate::{Error, Result, files, nearest, steps};

/// Version of the format on disk that this library writes and reads.
pub(crate) const FORMAT: u32 = 2;

pub(crate) const MANIFEST: &str = "manifest.json";

/// More images than anybody has.
const MOST_ROWS: u64 = 1 << 40;
/// Most bytes of a shard that are not values: the length of safetensors' header is bounded.
const MOST_HEADER: u64 = 100_000_008;

/// What a cache holds, but for the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// Lower-case hex SHA-256 of the key; its first 12 digits are in the folder's name.
    pub key_digest: String,
    /// Everything that decides the values.
    pub key: CacheKey,
    /// The data set's name.
    pub dataset: String,
    /// The words that get the weights again: an entry's name, a path, `random:SEED`. For people and
    /// for `predict`; the key holds their digest.
    pub weights: String,
    /// Sorted class names; a label is an index into them.
    pub classes: Vec<String>,
    /// The number that the next new row gets: numbers are never used twice.
    pub next_row: u64,
    /// Digest of the rows that belong to it (lower-case hex SHA-256): those of `rows.csv`, or of
    /// `rows.next.csv` where a writer was stopped in between. Caches of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_sha256: Option<String>,
    /// What waits for the digests of all images, in a part of an extraction.
    #[serde(default, skip_serializing_if = "Deferred::is_nothing")]
    pub deferred: Deferred,
    /// Taps by name.
    pub taps: BTreeMap<String, Tap>,
    /// Shards, by tap, view and first row.
    pub shards: Vec<ShardInfo>,
    /// Images that could not be used, by row.
    pub failed: Vec<Failure>,
}

/// What a part of an extraction leaves to `merge`, since it has not read all images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deferred {
    /// How images whose split is open are split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitRule>,
    /// Whether copies are taken out of train.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dedupe: bool,
}

impl Deferred {
    /// Whether nothing is left to decide.
    pub fn is_nothing(&self) -> bool {
        *self == Deferred::default()
    }
}

/// What is stored of a tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    /// Shape of one image's features: `[D]`, or `[C, H, W]` for a map.
    pub shape: Vec<usize>,
    /// Type of the stored values.
    pub dtype: Dtype,
}

/// One file of features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Its tap.
    pub tap: String,
    /// Its view; 0 is the plain one.
    pub view: u32,
    /// Path below the cache's folder, with `/`.
    pub file: String,
    /// Rows that it holds.
    pub rows: RowSet,
    /// Size of the file.
    pub bytes: u64,
    /// Digest of the file (lower-case hex SHA-256).
    pub sha256: String,
}

/// An image that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its row.
    pub row: u64,
    /// Its path, as in `rows.csv`.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Whether the system could not read the file, not a fault of the image: the next run tries
    /// again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
    /// First row of the shards that it would have been in: made anew with it, they are what they
    /// would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<u64>,
}

impl Failure {
    /// An image that is itself to blame, until its file changes.
    pub(crate) fn of_image(row: u64, path: impl Into<String>, reason: impl Into<String>) -> Failure {
        Failure { row, path: path.into(), reason: reason.into(), retry: false, beside: None }
    }
}

impl Tap {
    /// Bytes of one row; `None` where no memory could hold them.
    fn row_bytes(&self) -> Option<u64> {
        let values = self.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent).filter(|&n| n > 0))?;
        let bytes = values.checked_mul(self.dtype.size()).filter(|&bytes| bytes <= isize::MAX as usize)?;
        (!self.shape.is_empty()).then_some(bytes as u64)
    }
}

impl ShardInfo {
    /// Whether that many rows of a tap make a file of that size.
    fn fits(&self, tap: &Tap) -> bool {
        let row = tap.row_bytes().and_then(|bytes| bytes.checked_add(size_of::<u64>() as u64));
        let data = row.and_then(|row| row.checked_mul(self.rows.len() as u64));
        data.and_then(|data| self.bytes.checked_sub(data)).is_some_and(|header| (8..=MOST_HEADER).contains(&header))
    }
}

impl Manifest {
    /// A cache without rows.
    pub(crate) fn new(key: CacheKey, dataset: impl Into<String>) -> Manifest {
        Manifest {
            format: FORMAT,
            key_digest: key.digest(),
            key,
            dataset: dataset.into(),
            weights: String::new(),
            classes: vec![],
            next_row: 0,
            rows_sha256: None,
            deferred: Deferred::default(),
            taps: BTreeMap::new(),
            shards: vec![],
            failed: vec![],
        }
    }

    /// Reads `manifest.json` of a cache's folder.
    ///
    /// # Errors
    /// No cache there, a damaged manifest, or one in a format that this version does not know.
    pub fn read(folder: &Path) -> Result<Manifest> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(no_cache(folder)),
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        let damaged = |problem: String| {
            let hint = "put back a copy, or delete manifest.json and extract the features again: shards that are there are found";
            Error::cache(&path, problem, hint)
        };
        let Version { format } = serde_json::from_slice(&text).map_err(|e| damaged(format!("is not the manifest of a cache: {e}")))?;
        if format != FORMAT {
            return Err(other_format(folder, format));
        }
        Manifest::parse(&text).map_err(damaged)
    }

    fn parse(text: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_slice(text).map_err(|e| format!("is damaged: {e}"))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.key.digest() != self.key_digest {
            return Err("is damaged: the key's digest does not fit the key".into());
        }
        self.plausible().map_err(|problem| format!("is damaged: {problem}"))
    }

    /// Whether the numbers can be those of a cache: readers count and allocate by them.
    fn plausible(&self) -> Result<(), String> {
        let hex = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        if self.next_row > MOST_ROWS || self.failed.iter().any(|f| f.row >= self.next_row) {
            return Err(format!("its next row cannot be {}", self.next_row));
        }
        if self.rows_sha256.as_ref().is_some_and(|digest| !hex(digest)) {
            return Err("the digest of its rows is none".into());
        }
        if self.classes.iter().collect::<BTreeSet<_>>().len() != self.classes.len() {
            return Err("a class stands there twice".into());
        }
        for (name, tap) in &self.taps {
            if tap.dtype != self.key.store || tap.row_bytes().is_none() {
                return Err(format!("tap `{name}` cannot hold {} values of shape {:?}", tap.dtype, tap.shape));
            }
        }
        for shard in &self.shards {
            let Some(tap) = self.taps.get(&shard.tap) else { return Err(format!("{} belongs to no tap", shard.file)) };
            let climbs = Path::new(&shard.file).components().any(|c| !matches!(c, std::path::Component::Normal(_)));
            let makes_sense = !climbs && shard.rows.is_canonical() && hex(&shard.sha256);
            if !makes_sense || shard.rows.end() > self.next_row || !shard.fits(tap) {
                return Err(format!("the entry of {} makes no sense", shard.file));
            }
        }
        self.each_once()
    }

    /// No row is in two shards of a tap and view, no file is two shards, and all together have a
    /// size.
    fn each_once(&self) -> Result<(), String> {
        let mut rows: BTreeMap<(&str, u32), Vec<&RowSet>> = BTreeMap::new();
        let (mut files, mut bytes) = (BTreeSet::new(), Some(0u64));
        for shard in &self.shards {
            rows.entry((&shard.tap, shard.view)).or_default().push(&shard.rows);
            bytes = bytes.and_then(|sum| sum.checked_add(shard.bytes));
            if !files.insert(&shard.file) || bytes.is_none() {
                return Err(format!("the entry of {} makes no sense", shard.file));
            }
        }
        match rows.into_iter().find(|(_, sets)| RowSet::union(sets.iter().copied()).is_none()) {
            Some(((tap, view), _)) => Err(format!("two shards of tap `{tap}`, view {view} have the same row")),
            None => Ok(()),
        }
    }

    /// Writes it, whole or not at all.
    pub(in crate::store) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::internal(format!("a manifest cannot be written: {e}")))?;
        text.push(b'\n');
        files::replace(&path, &text)
    }

    /// What is known of a tap.
    ///
    /// # Errors
    /// A tap that is not in the cache: names those that are.
    pub fn tap(&self, tap: &str) -> Result<&Tap> {
        self.taps.get(tap).ok_or_else(|| {
            let known: Vec<&str> = self.taps.keys().map(String::as_str).collect();
            let hint = match nearest(tap, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}; to add it, extract the features with option `tap={tap}`", known.join(", ")),
            };
            Error::setting(format!("no tap `{tap}` in this cache"), hint)
        })
    }

    /// Shards of one tap and view, by first row.
    pub fn shards_of(&self, tap: &str, view: u32) -> impl Iterator<Item = &ShardInfo> {
        self.shards.iter().filter(move |s| s.tap == tap && s.view == view)
    }

    /// Rows that count and have no features of this tap and view, ascending.
    pub(crate) fn missing(&self, rows: &[Row], tap: &str, view: u32) -> Vec<u64> {
        let there = self.rows_of(tap, view);
        let counts = rows.iter().filter(|r| r.status == Status::Ok).map(|r| r.row);
        counts.filter(|row| !there.contains(*row)).collect()
    }

    /// Rows that have features of a tap and view.
    pub(crate) fn rows_of(&self, tap: &str, view: u32) -> RowSet {
        RowSet::union(self.shards_of(tap, view).map(|s| &s.rows)).unwrap_or_default()
    }

    /// Views of a tap that have shards, ascending.
    pub fn views(&self, tap: &str) -> Vec<u32> {
        let views: std::collections::BTreeSet<u32> = self.shards.iter().filter(|s| s.tap == tap).map(|s| s.view).collect();
        views.into_iter().collect()
    }

    /// Puts shards and failures in their order, so that the manifest does not tell in which order
    /// they came.
    pub(in crate::store) fn sort(&mut self) {
        self.shards.sort_by(|a, b| (&a.tap, a.view, a.rows.first(), &a.file).cmp(&(&b.tap, b.view, b.rows.first(), &b.file)));
        self.failed.sort_by_key(|f| f.row);
    }
}

/// What every format of the manifest has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Whether an earlier version made the cache in `folder`: its key is not one of ours, its rows are
/// written as ours are.
pub(in crate::store) fn is_earlier(folder: &Path) -> bool {
    format_of(folder).is_some_and(|format| format < FORMAT)
}

/// Whether `folder` is a cache of any format: other programs have a `manifest.json` too.
pub(crate) fn is_cache(folder: &Path) -> bool {
    format_of(folder).is_some()
}

fn format_of(folder: &Path) -> Option<u32> {
    let text = fs::read(folder.join(MANIFEST)).ok()?;
    serde_json::from_slice(&text).ok().map(|Version { format }| format)
}

fn other_format(folder: &Path, format: u32) -> Error {
    if format > FORMAT {
        let problem = format!("was made by a later version of headstart: it is in format {format}, this one reads {FORMAT}");
        return Error::cache(folder, problem, "use that version");
    }
    let problem = format!("was made by an earlier version of headstart: it is in format {format}, this one reads {FORMAT}");
    Error::cache(folder, problem, format!("{}, which makes another folder; this one may be deleted then", steps::EXTRACT_AGAIN))
}

fn no_cache(folder: &Path) -> Error {
    let caches: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().join(MANIFEST).is_file())
        .map(|e| e.path().display().to_string())
        .collect();
    let hint = match caches.as_slice() {
        [] => {
            "a cache is a folder such as cache/<dataset>/<backbone>@<key>; to make one, extract the features with option `data=DIR` and option `backbone=NAME`".into()
        }
        some => format!("did you mean {}?", some.join(" or ")),
    };
    Error::cache(folder, "is not a cache: it has no manifest.json", hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::key::tests::example;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(example(), "photos");
        manifest.taps.insert("gap".into(), Tap { shape: vec![8], dtype: Dtype::F32 });
        let shard = |view, first: u64| ShardInfo {
            tap: "gap".into(),
            view,
            file: format!("features/gap/v{view}-{first:05}.safetensors"),
            rows: (first..first + 4).collect(),
            bytes: 4 * 40 + 200,
            sha256: "0".repeat(64),
        };
        manifest.shards = vec![shard(1, 0), shard(0, 4), shard(0, 0)];
        manifest.next_row = 8;
        manifest.sort();
        manifest
    }

    #[test]
    fn comes_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        manifest().write(folder.path()).unwrap();
        let read = Manifest::read(folder.path()).unwrap();
        assert_eq!(read, manifest());
        assert_eq!(read.views("gap"), [0, 1]);
        assert_eq!(read.shards_of("gap", 0).map(|s| s.rows.first().unwrap()).collect::<Vec<_>>(), [0, 4]);
    }

    #[test]
    fn mistakes_name_the_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let good = serde_json::to_value(manifest()).unwrap();
        let cases: [(&str, serde_json::Value, &str); 12] = [
            ("/key/seed", 1.into(), "key's digest"),
            ("/shards/0/file", "../../etc/passwd".into(), "makes no sense"),
            ("/shards/1/tap", "map".into(), "no tap"),
            ("/shards/0/rows", serde_json::json!([[1, 1u64 << 63]]), "makes no sense"),
            ("/shards/0/rows", serde_json::json!([[4, 8]]), "the same row"),
            ("/shards/0/bytes", 1.into(), "makes no sense"),
            ("/shards/0/bytes", u64::MAX.into(), "makes no sense"),
            ("/shards/0/sha256", "é".repeat(32).into(), "makes no sense"),
            ("/next_row", 7.into(), "makes no sense"),
            ("/next_row", u64::MAX.into(), "next row"),
            ("/taps/gap/shape", serde_json::json!([1u64 << 62, 8]), "tap `gap`"),
            ("/taps/gap/shape", serde_json::json!([]), "tap `gap`"),
        ];
        for (place, value, says) in cases {
            let mut bad = good.clone();
            *bad.pointer_mut(place).unwrap() = value;
            fs::write(folder.path().join(MANIFEST), bad.to_string()).unwrap();
            let error = Manifest::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("manifest.json"), "{error}");
        }
        fs::write(folder.path().join(MANIFEST), "{").unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("is not the manifest"));
    }

    #[test]
    fn caches_of_other_versions_say_so_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let written = |format: u32| {
            // Another version's key is another one.
            let text = serde_json::json!({ "format": format, "key": { "backbone": "fake" } });
            fs::write(folder.path().join(MANIFEST), text.to_string()).unwrap();
            Manifest::read(folder.path()).unwrap_err().to_string()
        };
        let earlier = written(1);
        assert!(
            earlier.contains("an earlier version of headstart: it is in format 1") && earlier.contains(steps::EXTRACT_AGAIN),
            "{earlier}"
        );
        assert_eq!(earlier.lines().count(), 2, "one line and one of help: {earlier}");
        assert!(is_earlier(folder.path()));
        assert!(written(9).contains("a later version of headstart: it is in format 9"));
        assert!(!is_earlier(folder.path()));
    }

    #[test]
    fn a_folder_of_caches_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("fake@0");
        fs::create_dir(&cache).unwrap();
        manifest().write(&cache).unwrap();
        let error = Manifest::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("fake@0"), "{error}");
    }

    #[test]
    fn unknown_taps_are_answered_with_the_known() {
        let error = manifest().tap("gab").unwrap_err().to_string();
        assert!(error.contains("`gap`"), "{error}");
    }
}
