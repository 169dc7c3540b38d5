//! Features in memory.

use std::ops::Range;

use super::prefetch::for_each_row;
use super::table::FeatureTable;
use crate::{Error, Result};

/// A row-major matrix in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    dim: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// A matrix of `data.len() / dim` rows.
    ///
    /// # Errors
    /// A length that is not a multiple of `dim`, or `dim == 0`.
    pub fn new(dim: usize, data: Vec<f32>) -> Result<Matrix> {
        if dim == 0 || !data.len().is_multiple_of(dim) {
            let problem = format!("{} values do not make rows of {dim} features", data.len());
            return Err(Error::setting(problem, "give rows · features values"));
        }
        Ok(Matrix { dim, data })
    }

    /// All rows of a table, read once.
    pub fn of(table: &dyn FeatureTable) -> Matrix {
        let dim = table.dim();
        let mut data = Vec::with_capacity(table.rows() * dim);
        for_each_row(table, &(0..table.rows()).collect::<Vec<_>>(), |_, x| data.extend_from_slice(x));
        Matrix { dim, data }
    }

    /// The values, row by row.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

impl FeatureTable for Matrix {
    fn rows(&self) -> usize {
        self.data.len() / self.dim
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        out.copy_from_slice(&self.data[row * self.dim..][columns]);
    }

    fn row(&self, row: usize) -> Option<&[f32]> {
        Some(&self.data[row * self.dim..][..self.dim])
    }
}
