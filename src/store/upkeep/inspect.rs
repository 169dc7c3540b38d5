//! What a cache holds, in numbers, for people and for `--json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::data::Split;
use crate::store::disk::dtype::Dtype;
use crate::store::disk::manifest::{Failure, Manifest};
use crate::store::disk::rows::Status;
use crate::store::key::CacheKey;
use crate::store::reading::cache::Cache;

/// Summary of a cache.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The cache's folder.
    #[serde(serialize_with = "crate::text::lossy")]
    pub folder: PathBuf,
    /// The data set's name.
    pub dataset: String,
    /// Everything that decides the values.
    pub key: CacheKey,
    /// Its digest.
    pub key_digest: String,
    /// The words that get the weights again.
    pub weights: String,
    /// Rows by status: ok, failed, deleted.
    pub rows: RowCounts,
    /// Images that count, by class and split. An image of several classes counts in each.
    pub classes: Vec<ClassCounts>,
    /// Taps by name.
    pub taps: Vec<TapSummary>,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Images that could not be used.
    pub failed: Vec<Failure>,
    /// Shards that are missing or have another size than the manifest says; `verify` looks closer.
    pub damaged: Vec<String>,
}

/// Rows by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct RowCounts {
    /// Rows that count.
    pub ok: usize,
    /// Rows whose image cannot be used.
    pub failed: usize,
    /// Rows whose image is gone.
    pub deleted: usize,
}

/// Images of a class, by split.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ClassCounts {
    /// The class's name.
    pub class: String,
    /// Images in train.
    pub train: usize,
    /// Images in val.
    pub val: usize,
    /// Images in test.
    pub test: usize,
    /// Images of a part whose split is open until it is merged.
    #[serde(skip_serializing_if = "is_zero")]
    pub open: usize,
}

/// What there is of a tap.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TapSummary {
    /// The tap's name.
    pub tap: String,
    /// Shape of one image's features.
    pub shape: Vec<usize>,
    /// Type of the stored values.
    pub dtype: Dtype,
    /// Rows that count and have features, for each view that is there.
    pub views: BTreeMap<u32, usize>,
    /// Files.
    pub shards: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Summarises the cache in `folder` from its manifest and rows; reads no features.
///
/// # Errors
/// No cache there, or a damaged one.
pub fn inspect(folder: &Path) -> Result<Summary> {
    let cache = Cache::open(folder)?;
    let manifest = cache.manifest();
    let mut rows = RowCounts::default();
    let mut classes: Vec<ClassCounts> = manifest.classes.iter().map(|c| ClassCounts { class: c.clone(), ..Default::default() }).collect();
    for row in cache.rows() {
        match row.status {
            Status::Ok => rows.ok += 1,
            Status::Failed => rows.failed += 1,
            Status::Deleted => rows.deleted += 1,
        }
        for &label in row.labels.iter().filter(|_| row.status == Status::Ok) {
            let class = &mut classes[label];
            *match row.split {
                Some(Split::Train) => &mut class.train,
                Some(Split::Val) => &mut class.val,
                Some(Split::Test) => &mut class.test,
                None => &mut class.open,
            } += 1;
        }
    }
    let whole = |file: &str, bytes: u64| fs::metadata(folder.join(file)).is_ok_and(|m| m.len() == bytes);
    Ok(Summary {
        folder: folder.into(),
        dataset: manifest.dataset.clone(),
        key: manifest.key.clone(),
        key_digest: manifest.key_digest.clone(),
        weights: manifest.weights.clone(),
        rows,
        classes,
        taps: manifest.taps.keys().map(|tap| tap_summary(&cache, manifest, tap)).collect::<Result<_>>()?,
        bytes: manifest.shards.iter().map(|s| s.bytes).sum(),
        failed: manifest.failed.clone(),
        damaged: manifest.shards.iter().filter(|s| !whole(&s.file, s.bytes)).map(|s| s.file.clone()).collect(),
    })
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn tap_summary(cache: &Cache, manifest: &Manifest, name: &str) -> Result<TapSummary> {
    let tap = manifest.tap(name)?;
    let with_features = |view: u32| {
        let there = manifest.rows_of(name, view);
        cache.rows().iter().filter(|r| r.status == Status::Ok && there.contains(r.row)).count()
    };
    let shards = || manifest.shards.iter().filter(|s| s.tap == name);
    Ok(TapSummary {
        tap: name.into(),
        shape: tap.shape.clone(),
        dtype: tap.dtype,
        views: manifest.views(name).into_iter().map(|view| (view, with_features(view))).collect(),
        shards: shards().count(),
        bytes: shards().map(|s| s.bytes).sum(),
    })
}
