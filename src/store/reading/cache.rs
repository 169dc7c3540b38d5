//! Reading a cache: rows from `rows.csv`, features straight from mapped shards.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::matrix::{FeatureMatrix, Files};
use super::sound::open_shard;
use crate::data::Split;
use crate::error::steps::EXTRACT;
use crate::store::disk::commit;
use crate::store::disk::manifest::{MANIFEST, Manifest, ShardInfo};
use crate::store::disk::rows::{Row, Status};
use crate::{Error, Result};

/// A cache opened for reading. A writer may work on the same folder meanwhile: what was opened
/// stays as it was.
///
/// ```no_run
/// use headstart::Cache;
///
/// let cache = Cache::open("cache/photos/resnet18@0123456789ab")?;
/// let features = cache.features("gap", 0)?;
/// let mut rows = vec![0.0; features.dim()];
/// features.gather(&[0], &mut rows);
/// println!("{} rows; {}: {rows:?}", features.len(), cache.rows()[0].path);
/// # Ok::<(), headstart::Error>(())
/// ```
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    manifest: Manifest,
    rows: Vec<Row>,
}

/// Features and labels of one split, all in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Row numbers, ascending.
    pub rows: Vec<u64>,
    /// Labels of each row: indices into the manifest's classes.
    pub labels: Vec<Vec<usize>>,
    /// `[rows, dim]`.
    pub features: Array2<f32>,
}

impl Cache {
    /// Opens the cache in `folder`.
    ///
    /// # Errors
    /// No cache there, or a damaged one: the message names the file and the way out.
    pub fn open(folder: impl AsRef<Path>) -> Result<Cache> {
        let folder = folder.as_ref();
        let (manifest, rows) = commit::read(folder)?;
        Ok(Cache { folder: folder.into(), manifest, rows })
    }

    /// Opens the cache in `folder` and reads from it what `act` wants; once more where another
    /// process changed it meanwhile.
    ///
    /// # Errors
    /// As [`Cache::open`], and those of `act` where nothing changed.
    pub fn with<T>(folder: impl AsRef<Path>, act: impl Fn(&Cache) -> Result<T>) -> Result<T> {
        const TRIES: usize = 20;
        let mut tries = 0;
        loop {
            let cache = Cache::open(&folder)?;
            tries += 1;
            match act(&cache) {
                Err(_) if tries < TRIES && Manifest::read(&cache.folder).is_ok_and(|now| now != cache.manifest) => {}
                done => return done,
            }
        }
    }

    /// The cache's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the cache holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All rows by number, failed and deleted ones included.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether all that is decided by the digests of all images is decided: a part of an extraction
    /// has no splits before it is merged, and its copies are still in train.
    ///
    /// # Errors
    /// A part: names what is open, and the way out.
    pub fn settled(&self) -> Result<()> {
        let open = self.rows.iter().filter(|r| r.status == Status::Ok && r.split.is_none()).count();
        let problem = if open > 0 {
            format!("is one part of an extraction: {open} of its images have no split yet")
        } else if self.manifest.deferred.dedupe {
            "is one part of an extraction: copies are not taken out of train yet".to_string()
        } else {
            return Ok(());
        };
        let hint = "merge all parts, which settles that, or extract the features over all of the data";
        Err(Error::cache(&self.folder, problem, hint))
    }

    /// Whether the cache has any features: a merge that was stopped early leaves rows alone.
    ///
    /// # Errors
    /// None: names the folder, and the way out.
    pub(crate) fn has_features(&self) -> Result<()> {
        match self.manifest.taps.is_empty() {
            true => Err(Error::cache(&self.folder, "holds no features yet", EXTRACT)),
            false => Ok(()),
        }
    }

    /// One row by number.
    pub fn row(&self, number: u64) -> Option<&Row> {
        self.rows.binary_search_by_key(&number, |r| r.row).ok().map(|i| &self.rows[i])
    }

    /// Features of one tap and view: every row that counts and has them, ascending.
    ///
    /// # Errors
    /// A tap or view that is not there; a missing, truncated or damaged shard.
    pub fn features(&self, tap: &str, view: u32) -> Result<FeatureMatrix> {
        let about = self.manifest.tap(tap)?;
        let infos: Vec<&ShardInfo> = self.manifest.shards_of(tap, view).collect();
        if infos.is_empty() {
            let views: Vec<String> = self.manifest.views(tap).iter().map(u32::to_string).collect();
            let hint = format!(
                "there are: {}; to add it, extract the features with option `tap={tap}` and option `views={}`",
                views.join(", "),
                view.saturating_add(1)
            );
            return Err(Error::setting(format!("no view {view} of tap `{tap}` in {}", self.folder.display()), hint));
        }
        let open = |info: &&ShardInfo| open_shard(&self.folder, info, about);
        let shards = infos.iter().map(open).collect::<Result<Vec<_>>>().map_err(|e| self.if_unchanged(e))?;
        let counts = |row: u64| self.row(row).is_some_and(|r| r.status == Status::Ok);
        let files = Files::new(&self.folder, infos.into_iter().cloned().collect());
        Ok(FeatureMatrix::new(about.clone(), files, shards, counts))
    }

    /// Features of one tap and view and the labels that go with them, for one split or for all
    /// rows.
    ///
    /// # Errors
    /// As [`Cache::features`].
    pub fn table(&self, tap: &str, view: u32, split: Option<Split>) -> Result<Table> {
        let matrix = self.features(tap, view)?;
        let wanted = |row: &Row| split.is_none_or(|s| row.split == Some(s));
        let chosen: Vec<(usize, &Row)> =
            matrix.row_ids().iter().enumerate().filter_map(|(at, &id)| self.row(id).filter(|r| wanted(r)).map(|r| (at, r))).collect();
        let positions: Vec<usize> = chosen.iter().map(|(at, _)| *at).collect();
        Ok(Table {
            rows: chosen.iter().map(|(_, r)| r.row).collect(),
            labels: chosen.iter().map(|(_, r)| r.labels.clone()).collect(),
            features: matrix.rows(&positions),
        })
    }

    /// A shard may be gone because `gc` rewrote it since the manifest was read: that is not damage.
    fn if_unchanged(&self, error: Error) -> Error {
        match Manifest::read(&self.folder) {
            Ok(now) if now != self.manifest => {
                Error::cache(self.folder.join(MANIFEST), "was changed by another process while it was being read", "try again")
            }
            _ => error,
        }
    }
}
