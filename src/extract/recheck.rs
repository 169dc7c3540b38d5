//! `verify --sample K`: some images are read and computed again, and what comes out is held against
//! the cache.

use super::job::{ExtractionJob, JobTap};
use super::matched::{Differences, Image, Matched};
use super::prepare::{Preparation, Skip};
use crate::Result;
use crate::engine::{Batch, Engine, Fitting};
use crate::store::{Cache, Dtype, Status};

/// One image, tap and view that was computed again.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Recheck {
    /// The row.
    pub row: u64,
    /// Its path.
    pub path: String,
    /// The tap.
    pub tap: String,
    /// The view.
    pub view: u32,
    /// ‖again − stored‖ / ‖stored‖.
    pub error: f64,
}

/// What computing some images again found.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Rechecked {
    /// Each comparison.
    pub compared: Vec<Recheck>,
    /// Images that could not be read again, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Images whose file holds another one than the one that was computed: their features are of
    /// something that is not there any more.
    pub changed: Vec<String>,
    /// Images of the cache that are not in the data.
    pub missing: Vec<String>,
    /// Images of the data of which the cache has no features.
    pub unknown: usize,
}

impl Rechecked {
    /// Comparisons that are further apart than storage and another batch's rounding explain.
    pub fn differing(&self, dtype: Dtype) -> impl Iterator<Item = &Recheck> {
        // Half a unit in the last place of a stored value; for f32, what another order of summation
        // may do.
        let tolerance = match dtype {
            Dtype::F32 => 1e-4,
            Dtype::F16 => 2e-3,
            Dtype::BF16 => 8e-3,
        };
        self.compared.iter().filter(move |c| c.error.is_nan() || c.error > tolerance)
    }

    /// Images of the cache that could not be compared, for whatever reason.
    pub fn left_out(&self) -> usize {
        self.unreadable.len() + self.changed.len() + self.missing.len()
    }
}

/// Computes `sample` images again, spread evenly over the rows that have features of all the job's
/// taps and views, and compares. Writes nothing.
///
/// # Errors
/// A damaged cache; the engine's own failure.
pub(crate) fn recheck(job: &ExtractionJob<'_>, sample: usize) -> Result<Rechecked> {
    let cache = Cache::open(job.folder)?;
    let matched = Matched::new(job, cache.rows(), cache.manifest());
    let Differences { changed, missing, unreadable, unknown } = matched.differences(cache.rows(), job.dataset);
    let mut found = Rechecked { changed, missing, unreadable, unknown, ..Rechecked::default() };
    let mut rows = matched.listed();
    rows.retain(|row| cache.row(*row).is_some_and(|r| r.status == Status::Ok));
    for tap in job.taps {
        for view in 0..job.views {
            let there = cache.features(&tap.name, view)?;
            rows.retain(|row| there.row_ids().binary_search(row).is_ok());
        }
    }
    let count = sample.min(rows.len());
    let chosen: Vec<u64> = (0..count).map(|i| rows[i * rows.len() / count]).collect();
    let views: Vec<u32> = (0..job.views).collect();
    let preparation = Preparation::new(job, &views);
    let mut images = vec![];
    for row in chosen {
        let Image { uri, digest, .. } = matched.images.get(row);
        match preparation.read(uri).and_then(|bytes| preparation.views(uri, *digest, false, &bytes).0) {
            Ok(pixels) => images.push((row, *uri, pixels)),
            Err(Skip::Changed) => found.changed.push((*uri).into()),
            Err(Skip::Broken(reason) | Skip::Gone(reason) | Skip::Unreadable(reason)) => found.unreadable.push(((*uri).into(), reason)),
        }
    }
    if images.is_empty() {
        return Ok(found);
    }
    let taps: Vec<String> = job.taps.iter().map(|t| t.name.clone()).collect();
    let engine = Fitting::build(job.batch, |batch| (job.engine)(&taps, batch))?;
    let normalise = job.preprocess.normalise();
    for batch in images.chunks(job.batch.max(1)) {
        for &view in &views {
            let rgb: Vec<u8> = batch.iter().flat_map(|(_, _, pixels)| pixels[view as usize].iter().copied()).collect();
            let outputs = engine.run(Batch::Pixels { images: batch.len(), size: job.input, rgb: &rgb, normalise: &normalise })?;
            for (tap, values) in job.taps.iter().zip(&outputs) {
                let rows = batch.iter().map(|(row, uri, _)| (*row, *uri));
                compare(&cache, tap, view, rows, values, &mut found.compared)?;
            }
        }
    }
    Ok(found)
}

fn compare<'a>(
    cache: &Cache,
    tap: &JobTap,
    view: u32,
    rows: impl Iterator<Item = (u64, &'a str)>,
    again: &[f32],
    compared: &mut Vec<Recheck>,
) -> Result<()> {
    let matrix = cache.features(&tap.name, view)?;
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let mut stored = vec![0.0; matrix.dim()];
    for ((row, path), again) in rows.zip(again.chunks_exact(matrix.dim().max(1))) {
        let Ok(position) = matrix.row_ids().binary_search(&row) else { continue };
        matrix.gather(&[position], &mut stored);
        let difference = norm(&mut again.iter().zip(&stored).map(|(a, s)| f64::from(*a) - f64::from(*s)));
        let size = norm(&mut stored.iter().map(|s| f64::from(*s)));
        let error = if difference == 0.0 { 0.0 } else { difference / size };
        compared.push(Recheck { row, path: path.into(), tap: tap.name.clone(), view, error });
    }
    matrix.intact()
}
