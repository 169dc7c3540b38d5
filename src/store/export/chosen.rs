//! The rows that are exported, and the file that was made of them.

use std::path::Path;

use crate::data::Split;
use crate::store::disk::rows::Row;
use crate::store::reading::cache::Cache;
use crate::store::reading::matrix::FeatureMatrix;
use crate::{Error, Result};

/// Which features to export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The tap; `None` where the cache has only one.
    pub tap: Option<String>,
    /// The view.
    pub view: u32,
    /// The split; `None` for all rows.
    pub split: Option<Split>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// The tap.
    pub tap: String,
    /// Rows.
    pub rows: usize,
    /// Shape of one row's features.
    pub shape: Vec<usize>,
    /// Size of the file.
    pub bytes: u64,
}

/// The rows to export and where their features are.
pub(super) struct Chosen<'a> {
    pub(super) tap: String,
    pub(super) classes: &'a [String],
    pub(super) matrix: FeatureMatrix,
    pub(super) rows: Vec<(usize, &'a Row)>,
    /// Whether every image has exactly one label.
    pub(super) single: bool,
    /// Whether any image belongs to a group.
    pub(super) grouped: bool,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(cache: &'a Cache, selection: &Selection) -> Result<Chosen<'a>> {
        cache.has_features()?;
        let taps: Vec<&String> = cache.manifest().taps.keys().collect();
        let tap = match (&selection.tap, taps.as_slice()) {
            (Some(tap), _) => tap.clone(),
            (None, [only]) => only.to_string(),
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|t| t.as_str()).collect();
                let problem = format!("{} has several taps: {}", cache.folder().display(), names.join(", "));
                return Err(Error::setting(problem, "choose one with option `tap`"));
            }
        };
        if selection.split.is_some() {
            cache.settled()?;
        }
        let matrix = cache.features(&tap, selection.view)?;
        let all = matrix.row_ids().iter().enumerate().filter_map(|(at, &id)| Some((at, cache.row(id)?)));
        let rows: Vec<(usize, &Row)> = all.filter(|(_, row)| selection.split.is_none_or(|s| row.split == Some(s))).collect();
        if rows.is_empty() {
            let images = selection.split.map_or("any image".into(), |split| format!("images of {split}"));
            let problem = format!("{} has no features of {images} for tap `{tap}`, view {}", cache.folder().display(), selection.view);
            return Err(Error::setting(problem, "the summary of the cache shows what is there"));
        }
        matrix.check()?;
        let single = rows.iter().all(|(_, row)| row.labels.len() == 1);
        let grouped = rows.iter().any(|(_, row)| row.group.is_some());
        Ok(Chosen { tap, classes: &cache.manifest().classes, matrix, rows, single, grouped })
    }

    pub(super) fn done(&self, to: &Path, written: Result<()>) -> Result<Exported> {
        written?;
        let bytes = std::fs::metadata(to).map_err(Error::io("read", to))?.len();
        Ok(Exported { tap: self.tap.clone(), rows: self.rows.len(), shape: self.matrix.shape().to_vec(), bytes })
    }
}
