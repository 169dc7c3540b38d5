//! A table whose values are exchanged between epochs: features as a base in the loop computes them anew.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use crate::heads::FeatureTable;

/// A table of fixed size whose values come and go.
pub(super) struct Swapped {
    rows: usize,
    dim: usize,
    block_rows: usize,
    now: RwLock<Option<Arc<dyn FeatureTable>>>,
}

impl Swapped {
    /// A table that is read in blocks as `like` is, without values yet.
    pub fn like(like: &dyn FeatureTable) -> Swapped {
        Swapped { rows: like.rows(), dim: like.dim(), block_rows: like.block_rows(), now: RwLock::default() }
    }

    /// A table without values: to plan with.
    pub fn empty(rows: usize, dim: usize) -> Swapped {
        Swapped { rows, dim, block_rows: 1, now: RwLock::default() }
    }

    /// Puts the values of the coming epoch in the place of those that were here.
    pub fn put(&self, values: Arc<dyn FeatureTable>) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Some(values);
    }
}

impl FeatureTable for Swapped {
    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    /// Where there are no values yet, all are 0.
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
        let table = Swapped::like(&*matrix(0.0));
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
