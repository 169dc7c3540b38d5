//! What heads are trained on: feature rows, labels and a partition into train, val and test. Any store can fill it.

use std::ops::Range;
use std::sync::Arc;

use crate::data::Split;
use crate::heads::features::prefetch::for_each_row;
use crate::{Error, Result};

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
    /// A length that is no multiple of `dim`, or `dim == 0`.
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

/// Rows of several tables side by side: taps or caches joined into one feature vector.
pub struct Joined(Vec<Arc<dyn FeatureTable>>);

impl Joined {
    /// Joins tables of equally many rows.
    ///
    /// # Errors
    /// No table, or tables of different lengths.
    pub fn new(parts: Vec<Arc<dyn FeatureTable>>) -> Result<Joined> {
        let rows = parts.first().map(|p| p.rows());
        if rows.is_none() || parts.iter().any(|p| Some(p.rows()) != rows) {
            let lengths: Vec<usize> = parts.iter().map(|p| p.rows()).collect();
            return Err(Error::setting(format!("tables of {lengths:?} rows cannot be joined"), "join caches of the same images"));
        }
        Ok(Joined(parts))
    }
}

impl FeatureTable for Joined {
    fn rows(&self) -> usize {
        self.0[0].rows()
    }

    fn dim(&self) -> usize {
        self.0.iter().map(|p| p.dim()).sum()
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let mut start = 0;
        for part in &self.0 {
            let end = start + part.dim();
            let (from, to) = (columns.start.max(start), columns.end.min(end));
            if from < to {
                part.read(row, from - start..to - start, &mut out[from - columns.start..to - columns.start]);
            }
            start = end;
        }
    }

    fn will_read(&self, rows: &[usize]) {
        self.0.iter().for_each(|part| part.will_read(rows));
    }

    fn stored_dim(&self) -> usize {
        self.0.iter().map(|part| part.stored_dim()).sum()
    }
}

/// Maps `[C, H, W]` reduced to their channel means: global average pooling of a map tap.
pub struct Pooled {
    map: Arc<dyn FeatureTable>,
    channels: usize,
}

impl Pooled {
    /// Pools a table of maps.
    ///
    /// # Errors
    /// A shape that is no map.
    pub fn new(map: Arc<dyn FeatureTable>, shape: &[usize]) -> Result<Pooled> {
        match *shape {
            [channels, h, w] if channels * h * w == map.dim() => Ok(Pooled { map, channels }),
            _ => {
                Err(Error::setting(format!("features of shape {shape:?} cannot be pooled"), "pool a tap of shape [C, H, W], such as `map`"))
            }
        }
    }
}

impl FeatureTable for Pooled {
    fn rows(&self) -> usize {
        self.map.rows()
    }

    fn dim(&self) -> usize {
        self.channels
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let area = self.map.dim() / self.channels;
        let mut map = vec![0.0; columns.len() * area];
        self.map.read(row, columns.start * area..columns.end * area, &mut map);
        for (mean, pixels) in out.iter_mut().zip(map.chunks_exact(area)) {
            *mean = pixels.iter().sum::<f32>() / area as f32;
        }
    }

    fn will_read(&self, rows: &[usize]) {
        self.map.will_read(rows);
    }

    fn stored_dim(&self) -> usize {
        self.map.stored_dim()
    }
}

/// The classes of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// Exactly one class a row.
    One(Vec<u32>),
    /// Any number of classes a row.
    Many(Vec<Vec<u32>>),
}

impl Labels {
    /// One class a row where that is so, else several.
    pub fn new(labels: Vec<Vec<u32>>) -> Labels {
        if labels.iter().all(|l| l.len() == 1) { Labels::One(labels.iter().map(|l| l[0]).collect()) } else { Labels::Many(labels) }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Labels::One(l) => l.len(),
            Labels::Many(l) => l.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes of one row.
    pub fn of(&self, row: usize) -> &[u32] {
        match self {
            Labels::One(l) => std::slice::from_ref(&l[row]),
            Labels::Many(l) => &l[row],
        }
    }

    /// Whether rows may have several classes.
    pub fn are_many(&self) -> bool {
        matches!(self, Labels::Many(_))
    }
}

/// Row numbers by what they serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    /// For training.
    pub train: Vec<usize>,
    /// For choosing.
    pub val: Vec<usize>,
    /// Looked at once.
    pub test: Vec<usize>,
}

impl Partition {
    /// Sorts row numbers by their split.
    pub fn new(splits: &[Split]) -> Partition {
        let of = |split| (0..splits.len()).filter(|&row| splits[row] == split).collect();
        Partition { train: of(Split::Train), val: of(Split::Val), test: of(Split::Test) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_tables_read_across_their_seam() {
        let a = Arc::new(Matrix::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap());
        let b = Arc::new(Matrix::new(3, vec![5.0, 6.0, 7.0, 8.0, 9.0, 10.0]).unwrap());
        let both = Joined::new(vec![a, b]).unwrap();
        let mut out = [0.0; 3];
        both.read(1, 1..4, &mut out);
        assert_eq!(out, [4.0, 8.0, 9.0]);
    }

    #[test]
    fn pooling_takes_the_mean_of_each_channel() {
        let maps = Arc::new(Matrix::new(8, (0..16).map(|v| v as f32).collect()).unwrap());
        let pooled = Pooled::new(maps.clone(), &[2, 2, 2]).unwrap();
        let mut out = [0.0; 1];
        pooled.read(1, 1..2, &mut out);
        assert_eq!(out, [13.5]);
        assert!(Pooled::new(maps, &[8]).is_err());
    }
}
