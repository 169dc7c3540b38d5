//! The training rows of a task as a matrix that is read block by block and need not fit into
//! memory.

use std::ops::Range;

use crate::heads::features::labels::Labels;
use crate::heads::features::prefetch::{BLOCK, in_parts};
use crate::heads::features::task::Task;
use crate::{Error, Result};

/// Rows and features by class.
pub(super) struct ClassSums {
    /// Number of rows of each class.
    pub(super) counts: Vec<usize>,
    /// Sums of their features, `[classes, dim]`.
    pub(super) sums: Vec<f64>,
}

/// Training rows `[n, dim]` and their classes.
#[derive(Clone, Copy)]
pub(super) struct Design<'a> {
    task: Task<'a>,
    pub(super) classes: usize,
}

impl<'a> Design<'a> {
    pub(super) fn new(task: Task<'a>, classes: usize) -> Design<'a> {
        Design { task, classes }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.task.partition.train.len()
    }

    /// Number of features.
    pub(super) fn dim(&self) -> usize {
        self.task.features.dim()
    }

    /// Classes of a row.
    pub(super) fn labels(&self, row: usize) -> &'a [u32] {
        self.task.labels.of(self.task.partition.train[row])
    }

    /// Classes of all rows.
    pub(super) fn all_labels(&self) -> Labels {
        Labels::new((0..self.rows()).map(|row| self.labels(row).to_vec()).collect())
    }

    /// Features of a row.
    pub(super) fn read_row(&self, row: usize, out: &mut [f32]) {
        self.read_columns(row, 0..out.len(), out);
    }

    /// Announces the rows that will be read next.
    pub(super) fn will_read(&self, rows: &[usize]) {
        let train = &self.task.partition.train;
        self.task.features.will_read(&rows.iter().map(|&row| train[row]).collect::<Vec<_>>());
    }

    /// Some features of a row.
    pub(super) fn read_columns(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        self.task.features.read(self.task.partition.train[row], columns, out);
    }

    /// Calls `f` with each block in turn: its rows and their features.
    pub(super) fn for_each_block(&self, mut f: impl FnMut(Range<usize>, &[f32])) {
        let (table, dim) = (self.task.features, self.dim());
        let (mut features, mut start) = (vec![], 0);
        for rows in in_parts(table, &self.task.partition.train).flat_map(|part| part.chunks(BLOCK)) {
            features.resize(rows.len() * dim, 0.0);
            features.chunks_exact_mut(dim).zip(rows).for_each(|(out, &row)| table.read(row, 0..dim, out));
            f(start..start + rows.len(), &features);
            start += rows.len();
        }
    }

    /// Mean of each feature.
    ///
    /// # Errors
    /// Features that are not finite, recognised by their mean.
    pub(super) fn mean(&self) -> Result<Vec<f64>> {
        let mut mean = vec![0.0; self.dim()];
        self.for_each_block(|_, features| {
            features.chunks_exact(mean.len()).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x)));
        });
        mean.iter_mut().for_each(|m| *m /= self.rows().max(1) as f64);
        if mean.iter().all(|m| m.is_finite()) { Ok(mean) } else { Err(not_finite()) }
    }

    /// Mean square of each feature's distance from `mean`.
    pub(super) fn variance(&self, mean: &[f32]) -> Vec<f64> {
        let mut squares = vec![0.0; self.dim()];
        self.for_each_block(|_, features| {
            let row =
                |row: &[f32]| squares.iter_mut().zip(row).zip(mean).for_each(|((s, &x), &m)| *s += (f64::from(x) - f64::from(m)).powi(2));
            features.chunks_exact(mean.len()).for_each(row);
        });
        squares.iter_mut().for_each(|s| *s /= self.rows().max(1) as f64);
        squares
    }

    /// For each class, its number of rows and the sum of their features minus `mean`, `[classes,
    /// dim]`.
    pub(super) fn class_sums(&self, mean: &[f64]) -> ClassSums {
        let dim = self.dim();
        let (mut counts, mut sums) = (vec![0; self.classes], vec![0.0; self.classes * dim]);
        self.for_each_block(|rows, features| {
            for (row, x) in rows.zip(features.chunks_exact(dim)) {
                for &class in self.labels(row) {
                    counts[class as usize] += 1;
                    let sum = &mut sums[class as usize * dim..][..dim];
                    sum.iter_mut().zip(x).zip(mean).for_each(|((s, &x), m)| *s += f64::from(x) - m);
                }
            }
        });
        ClassSums { counts, sums }
    }
}

/// The error of features that are not finite.
pub(super) fn not_finite() -> Error {
    Error::setting("some features are not finite", "give features that are finite numbers")
}
