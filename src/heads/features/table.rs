//! The trait of a feature table. Any store can fill it.

use std::ops::Range;

use crate::Result;

/// A row that is mixed into another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Its number.
    pub row: usize,
    /// Its share; the other row has the rest.
    pub share: f32,
}

/// A matrix of features that is read by rows: in memory, memory-mapped, or derived from another
/// one.
pub trait FeatureTable: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Number of columns: features of one row.
    fn dim(&self) -> usize;

    /// Copies columns `columns` of row `row` into `out`, as f32.
    ///
    /// # Panics
    /// Where `row` or `columns` lie outside the table, or `out` is not as long as `columns`.
    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]);

    /// Announces the rows that will be read next, mostly neighbours side by side. Requested
    /// together they come from disk many times as fast.
    fn will_read(&self, _rows: &[usize]) {}

    /// Number of values that are read for one row: more than its columns in a table that pools.
    fn stored_dim(&self) -> usize {
        self.dim()
    }

    /// The row itself if it lies in memory as f32, so that it need not be copied.
    fn row(&self, _row: usize) -> Option<&[f32]> {
        None
    }

    /// In a table that mixes rows: the row that is mixed into a training row in this epoch, and its
    /// share. Targets have to be mixed likewise.
    fn mixed(&self, _row: usize) -> Option<Mix> {
        None
    }

    /// Announces the next epoch to a table whose training rows differ from epoch to epoch.
    fn begin_epoch(&self, _epoch: usize) {}

    /// Checks that a table on disk is as it was written. Called before the first row is read.
    ///
    /// # Errors
    /// A damaged file, by name.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Checks that all rows could be read so far. Called before results count; costs next to
    /// nothing.
    ///
    /// # Errors
    /// A file that was truncated meanwhile or that the disk cannot read, by name.
    fn intact(&self) -> Result<()> {
        Ok(())
    }

    /// Rows that are stored together (a shard): a large table is shuffled by such blocks.
    fn block_rows(&self) -> usize {
        1024
    }
}
