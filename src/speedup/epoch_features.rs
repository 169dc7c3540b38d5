//! A table of features whose values change from epoch to epoch, as a base in the loop computes
//! them.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use crate::heads::FeatureTable;

/// A table of fixed size whose values are replaced before each epoch.
pub(super) struct EpochFeatures {
    rows: usize,
    dim: usize,
    block_rows: usize,
    now: RwLock<Option<Arc<dyn FeatureTable>>>,
}

impl EpochFeatures {
    /// A table of the shape and blocks of another, without values yet.
    pub(super) fn like(like: &dyn FeatureTable) -> EpochFeatures {
        EpochFeatures { rows: like.rows(), dim: like.dim(), block_rows: like.block_rows(), now: RwLock::default() }
    }

    /// A table without values, to plan with.
    pub(super) fn empty(rows: usize, dim: usize) -> EpochFeatures {
        EpochFeatures { rows, dim, block_rows: 1, now: RwLock::default() }
    }

    /// Sets the values of the coming epoch.
    pub(super) fn put(&self, values: Arc<dyn FeatureTable>) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Some(values);
    }
}

impl FeatureTable for EpochFeatures {
    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    /// Zeros until the first values are put.
    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        match &*self.now.read().unwrap_or_else(PoisonError::into_inner) {
            Some(values) => values.read(row, columns, out),
            None => out.fill(0.0),
        }
    }

    fn will_read(&self, rows: &[usize]) {
        if let Some(values) = &*self.now.read().unwrap_or_else(PoisonError::into_inner) {
            values.will_read(rows);
        }
    }

    fn block_rows(&self) -> usize {
        self.block_rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::Matrix;

    #[test]
    fn values_are_those_that_were_put_last() {
        let matrix = |of: f32| Arc::new(Matrix::new(2, vec![of, of + 1.0, of + 2.0, of + 3.0]).unwrap());
        let table = EpochFeatures::like(&*matrix(0.0));
        let mut out = [9.0; 2];
        let mut second = || {
            table.read(1, 0..2, &mut out);
            out
        };
        assert_eq!(second(), [0.0, 0.0]);
        table.put(matrix(1.0));
        assert_eq!(second(), [3.0, 4.0]);
        table.put(matrix(5.0));
        assert_eq!((second(), table.rows(), table.dim()), ([7.0, 8.0], 2, 2));
    }
}
