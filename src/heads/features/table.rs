//! The trait of a feature table. Any store can fill it.

use std::ops::Range;

use crate::Result;

/// A matrix of features that is read by rows: in memory, memory-mapped, or derived from another one.
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

    /// Tells a table that lies on disk which rows, neighbours mostly side by side, will be read next: asked for together they come many times as
    /// fast.
    fn will_read(&self, _rows: &[usize]) {}

    /// Values that are read where a row of it is: more than its columns where they are pooled.
    fn stored_dim(&self) -> usize {
        self.dim()
    }

    /// The row itself where it lies in memory as f32, so that it need not be copied.
    fn row(&self, _row: usize) -> Option<&[f32]> {
        None
    }

    /// The row that is mixed into a training row this epoch and its share, in a table that mixes rows: their targets are to be mixed alike.
    fn mixed(&self, _row: usize) -> Option<(usize, f32)> {
        None
    }

    /// Tells a table whose training rows differ from epoch to epoch which one comes.
    fn begin_epoch(&self, _epoch: usize) {}

    /// Asked before the first row is read: whether a table on disk is as it was written.
    ///
    /// # Errors
    /// A damaged file, by name.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Asked before anything that was computed from rows counts: whether all of a table on disk could be read. Costs next to nothing.
    ///
    /// # Errors
    /// A file that was cut short meanwhile or that the disk cannot read, by name.
    fn intact(&self) -> Result<()> {
        Ok(())
    }

    /// Rows that are stored together (a shard): a large table is shuffled by such blocks.
    fn block_rows(&self) -> usize {
        1024
    }
}
