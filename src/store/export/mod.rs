//! Features for other tools: NumPy's `.npz` and Parquet.

mod npz;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::data::Split;
use crate::store::disk::rows::Row;
use crate::store::reading::cache::Cache;
use crate::store::reading::matrix::FeatureMatrix;
use crate::{Error, Result, files};

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

/// Writes a `.npz` that `numpy.load` reads: `X` `[n, …tap shape]`, `y` `[n]` (of several labels an image, `[n, classes]` of 0 and 1), `row`, `path`,
/// `split`, `group` where there are groups, and `classes`, the names behind `y`. bf16 becomes f32.
///
/// # Errors
/// A tap or view that is not there, no rows, a damaged shard, a file that cannot be written: nothing half-written is left.
pub fn export_npz(cache: &Cache, selection: &Selection, to: &Path) -> Result<Exported> {
    let chosen = Chosen::new(cache, selection)?;
    let to = &files::output(to)?;
    chosen
        .done(to, files::write(to, |file| npz::write(&chosen, file).map_err(Error::io("write", to)).and_then(|()| chosen.matrix.intact())))
}

/// Writes a Parquet file of one line an image: `row`, `path`, `class`, `label` (of several labels an image, the list `labels`), `split`, where there are groups
/// `group`, and the list `features` of floats, a map's in order C, H, W.
///
/// # Errors
/// As [`export_npz`].
#[cfg(feature = "parquet")]
pub fn export_parquet(cache: &Cache, selection: &Selection, to: &Path) -> Result<Exported> {
    let chosen = Chosen::new(cache, selection)?;
    let to = &files::output(to)?;
    chosen.done(
        to,
        files::write(to, |file| parquet::write(&chosen, file).map_err(Error::io("write", to)).and_then(|()| chosen.matrix.intact())),
    )
}

/// The rows to export and where their features are.
struct Chosen<'a> {
    tap: String,
    classes: &'a [String],
    matrix: FeatureMatrix,
    rows: Vec<(usize, &'a Row)>,
    /// Whether every image has exactly one label.
    single: bool,
    /// Whether any image belongs to a group.
    grouped: bool,
}

impl<'a> Chosen<'a> {
    fn new(cache: &'a Cache, selection: &Selection) -> Result<Chosen<'a>> {
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
            let split = selection.split.map_or("all".into(), |s| format!("the split {s}"));
            let problem = format!("{} has no features of tap `{tap}`, view {}, of {split} rows", cache.folder().display(), selection.view);
            return Err(Error::setting(problem, "the summary of the cache shows what is there"));
        }
        matrix.check()?;
        let single = rows.iter().all(|(_, row)| row.labels.len() == 1);
        let grouped = rows.iter().any(|(_, row)| row.group.is_some());
        Ok(Chosen { tap, classes: &cache.manifest().classes, matrix, rows, single, grouped })
    }

    fn done(&self, to: &Path, written: Result<()>) -> Result<Exported> {
        written?;
        let bytes = std::fs::metadata(to).map_err(Error::io("read", to))?.len();
        Ok(Exported { tap: self.tap.clone(), rows: self.rows.len(), shape: self.matrix.shape().to_vec(), bytes })
    }
}
