//! `manifest.json`: what a cache holds. It holds nothing that differs from run to run: the same inputs leave the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Dtype, Key, Row, RowSet, Status};
use crate::{Error, Result, files, nearest};

/// Version of the format on disk that this library writes and reads.
pub const FORMAT: u32 = 1;

pub(super) const MANIFEST: &str = "manifest.json";

/// What a cache holds, but for the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Lower-case hex SHA-256 of the key; its first 12 digits are in the folder's name.
    pub key_digest: String,
    /// Everything that decides the values.
    pub key: Key,
    /// The data set's name.
    pub dataset: String,
    /// The words that get the weights again: an entry's name, a path, `random:SEED`. For people and for `predict`; the key holds their digest.
    pub weights: String,
    /// Sorted class names; a label is an index into them.
    pub classes: Vec<String>,
    /// The number that the next new row gets: numbers are never used twice.
    pub next_row: u64,
    /// Taps by name.
    pub taps: BTreeMap<String, Tap>,
    /// Shards, by tap, view and first row.
    pub shards: Vec<ShardInfo>,
    /// Images that could not be used, by row.
    pub failed: Vec<Failure>,
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
}

impl Manifest {
    /// A cache without rows.
    pub fn new(key: Key, dataset: impl Into<String>) -> Manifest {
        Manifest {
            format: FORMAT,
            key_digest: key.digest(),
            key,
            dataset: dataset.into(),
            weights: String::new(),
            classes: vec![],
            next_row: 0,
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
        Manifest::parse(&text).map_err(|problem| {
            let hint = "put back a copy, or delete manifest.json and run `headstart features` again: it finds the shards that are there";
            Error::cache(path, problem, hint)
        })
    }

    fn parse(text: &[u8]) -> Result<Manifest, String> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(text).map_err(|e| format!("is no manifest of a cache: {e}"))?;
        if version.format != FORMAT {
            return Err(format!("is in format {}; this version of headstart reads format {FORMAT}", version.format));
        }
        let manifest: Manifest = serde_json::from_slice(text).map_err(|e| format!("is damaged: {e}"))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.key.digest() != self.key_digest {
            return Err("is damaged: the key's digest does not fit the key".into());
        }
        for shard in &self.shards {
            if !self.taps.contains_key(&shard.tap) {
                return Err(format!("is damaged: {} belongs to no tap", shard.file));
            }
            let climbs = Path::new(&shard.file).components().any(|c| !matches!(c, std::path::Component::Normal(_)));
            if climbs || !shard.rows.is_canonical() {
                return Err(format!("is damaged: the entry of {} makes no sense", shard.file));
            }
        }
        Ok(())
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::cache(&path, e, "this is a mistake in headstart"))?;
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
                None => format!("there are: {}; `headstart features --tap {tap}` adds it", known.join(", ")),
            };
            Error::setting(format!("no tap `{tap}` in this cache"), hint)
        })
    }

    /// Shards of one tap and view, by first row.
    pub fn shards_of(&self, tap: &str, view: u32) -> impl Iterator<Item = &ShardInfo> {
        self.shards.iter().filter(move |s| s.tap == tap && s.view == view)
    }

    /// Rows that count and have no features of this tap and view, ascending.
    pub fn missing(&self, rows: &[Row], tap: &str, view: u32) -> Vec<u64> {
        let mut there: Vec<u64> = self.shards_of(tap, view).flat_map(|s| s.rows.iter()).collect();
        there.sort_unstable();
        let counts = rows.iter().filter(|r| r.status == Status::Ok).map(|r| r.row);
        counts.filter(|row| there.binary_search(row).is_err()).collect()
    }

    /// Views of a tap that have shards, ascending.
    pub fn views(&self, tap: &str) -> Vec<u32> {
        let views: std::collections::BTreeSet<u32> = self.shards.iter().filter(|s| s.tap == tap).map(|s| s.view).collect();
        views.into_iter().collect()
    }

    /// Puts shards and failures in their order, so that the manifest does not tell in which order they came.
    pub(super) fn sort(&mut self) {
        self.shards.sort_by(|a, b| (&a.tap, a.view, a.rows.first(), &a.file).cmp(&(&b.tap, b.view, b.rows.first(), &b.file)));
        self.failed.sort_by_key(|f| f.row);
    }
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
            "a cache is a folder such as cache/<dataset>/<backbone>@<key>; `headstart features --data DIR --backbone NAME` makes one".into()
        }
        some => format!("did you mean {}?", some.join(" or ")),
    };
    Error::cache(folder, "is no cache: it has no manifest.json", hint)
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
            bytes: 1,
            sha256: "0".repeat(64),
        };
        manifest.shards = vec![shard(1, 0), shard(0, 4), shard(0, 0)];
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
        let cases: [(&str, serde_json::Value, &str); 4] = [
            ("/format", 9.into(), "format 9"),
            ("/key/seed", 1.into(), "key's digest"),
            ("/shards/0/file", "../../etc/passwd".into(), "makes no sense"),
            ("/shards/1/tap", "map".into(), "no tap"),
        ];
        for (place, value, says) in cases {
            let mut bad = good.clone();
            *bad.pointer_mut(place).unwrap() = value;
            fs::write(folder.path().join(MANIFEST), bad.to_string()).unwrap();
            let error = Manifest::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("manifest.json"), "{error}");
        }
        fs::write(folder.path().join(MANIFEST), "{").unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("is no manifest"));
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
