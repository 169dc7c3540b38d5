//! Features straight from the mapped shards of a cache.

use std::ops::Range;

use crate::Result;
use crate::heads::features::table::FeatureTable;
use crate::store::FeatureMatrix;

impl FeatureTable for FeatureMatrix {
    fn rows(&self) -> usize {
        self.len()
    }

    fn dim(&self) -> usize {
        FeatureMatrix::dim(self)
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        FeatureMatrix::read(self, row, columns, out);
    }

    fn will_read(&self, rows: &[usize]) {
        FeatureMatrix::will_read(self, rows);
    }

    fn row(&self, row: usize) -> Option<&[f32]> {
        FeatureMatrix::row(self, row)
    }

    fn check(&self) -> Result<()> {
        FeatureMatrix::check(self)
    }

    fn intact(&self) -> Result<()> {
        FeatureMatrix::intact(self)
    }
}
