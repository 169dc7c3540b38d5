//! Centred training rows, slab by slab: the data that logistic regression passes over repeatedly.

use std::ops::Range;

use rayon::prelude::*;

use super::design::Design;

/// Largest matrix that is held in memory. Rows of a larger one are read again on every pass.
const HELD_BYTES: usize = 256 << 20;
/// A matrix that may stay in memory between two strengths.
const LITTLE_BYTES: usize = 64 << 20;
/// Memory of a slab that is read.
const SLAB_BYTES: usize = 64 << 20;
/// Rows of a slab: few enough that sums in f32 over them keep their digits.
const SLAB_ROWS: usize = 8192;

/// Rows `[rows, dim]` of zero mean.
pub(super) struct Slabs {
    /// Features of a row.
    pub(super) dim: usize,
    /// Number of rows.
    pub(super) rows: usize,
    /// The mean that was subtracted from each feature.
    pub(super) mean: Vec<f32>,
    /// Rows of a slab.
    each: usize,
    held: Option<Vec<f32>>,
    /// Most bytes to be held.
    most: usize,
    /// Whether it is held in memory for good.
    always: bool,
}

impl Slabs {
    /// The rows of a design. `mean` may be a rounded one, as long as it is the one that is
    /// accounted for.
    pub(super) fn new(design: &Design<'_>, mean: Vec<f32>) -> Slabs {
        let (dim, rows) = (design.dim(), design.rows());
        let each = (SLAB_BYTES / (4 * dim.max(1))).clamp(1, SLAB_ROWS);
        Slabs { dim, rows, mean, each, held: None, most: HELD_BYTES, always: false }
    }

    /// Holds the rows in memory for the passes that follow, if they are not too many.
    pub(super) fn hold(&mut self, design: &Design<'_>) {
        if self.held.is_none() && 4 * self.rows * self.dim <= self.most {
            let mut all = vec![];
            self.read(design, &(0..self.rows).collect::<Vec<_>>(), &mut all);
            self.held = Some(all);
        }
    }

    /// Behaves as if the rows were too many to be held.
    #[cfg(test)]
    pub(super) fn never_hold(&mut self) {
        self.most = 0;
    }

    /// Gives back what was held, unless it is little.
    pub(super) fn release(&mut self) {
        self.held.take_if(|values| !self.always && 4 * values.len() > LITTLE_BYTES);
    }

    /// Rows of zero mean that are in memory already.
    pub(super) fn of(values: Vec<f32>, rows: usize, dim: usize) -> Slabs {
        Slabs { dim, rows, mean: vec![0.0; dim], each: SLAB_ROWS, held: Some(values), most: 0, always: true }
    }

    /// Calls `f` with each slab in turn: its rows and their features, row by row. How rows are cut
    /// depends on their shape alone.
    pub(super) fn for_each(&self, design: &Design<'_>, mut f: impl FnMut(Range<usize>, &[f32])) {
        let mut read = vec![];
        for start in (0..self.rows).step_by(self.each) {
            let rows = start..self.rows.min(start + self.each);
            match &self.held {
                Some(all) => f(rows.clone(), &all[rows.start * self.dim..rows.end * self.dim]),
                None => {
                    self.read(design, &rows.clone().collect::<Vec<_>>(), &mut read);
                    f(rows, &read);
                }
            }
        }
    }

    /// Some rows of the design, less the mean.
    pub(super) fn read(&self, design: &Design<'_>, rows: &[usize], out: &mut Vec<f32>) {
        out.resize(rows.len() * self.dim, 0.0);
        design.will_read(rows);
        out.par_chunks_exact_mut(self.dim.max(1)).zip(rows).for_each(|(out, &row)| {
            design.read_row(row, out);
            out.iter_mut().zip(&self.mean).for_each(|(x, mean)| *x -= mean);
        });
    }
}
