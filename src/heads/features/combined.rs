//! Tables made of others: side by side, and pooled.

use std::ops::Range;
use std::sync::Arc;

use super::table::FeatureTable;
use crate::{Error, Result};

/// Rows of several tables side by side: taps or caches joined into one feature vector.
pub(crate) struct Joined(Vec<Arc<dyn FeatureTable>>);

impl Joined {
    /// Joins tables with the same number of rows.
    ///
    /// # Errors
    /// No table, or tables of different lengths.
    pub(crate) fn new(parts: Vec<Arc<dyn FeatureTable>>) -> Result<Joined> {
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
pub(crate) struct Pooled {
    map: Arc<dyn FeatureTable>,
    channels: usize,
}

impl Pooled {
    /// Pools a table of maps.
    ///
    /// # Errors
    /// A shape other than `[C, H, W]` of the table.
    pub(crate) fn new(map: Arc<dyn FeatureTable>, shape: &[usize]) -> Result<Pooled> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::features::matrix::Matrix;

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
