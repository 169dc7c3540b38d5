//! Batch norm without parameters.

/// Running statistics of a batch norm without parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Mean of each feature.
    pub mean: Vec<f32>,
    /// Unbiased variance of each feature.
    pub variance: Vec<f32>,
}

impl BatchNorm {
    /// PyTorch's default.
    pub const EPS: f32 = 1e-5;
    /// Share of a batch in the running statistics: PyTorch's default.
    pub const MOMENTUM: f32 = 0.1;

    /// Before the first batch.
    pub fn new(dim: usize) -> BatchNorm {
        BatchNorm { mean: vec![0.0; dim], variance: vec![1.0; dim] }
    }

    /// Normalises neighbouring features of a row, from column `first` on.
    pub fn apply(&self, first: usize, row: &mut [f32]) {
        for ((x, mean), variance) in row.iter_mut().zip(&self.mean[first..]).zip(&self.variance[first..]) {
            *x = (*x - mean) / (variance + BatchNorm::EPS).sqrt();
        }
    }

    /// Normalises the columns of a training batch, row-major, by their own statistics and updates
    /// the running ones.
    pub fn train(&mut self, rows: &mut [f32]) {
        let dim = self.mean.len();
        let n = (rows.len() / dim.max(1)) as f32;
        let (mut mean, mut variance) = (vec![0.0; dim], vec![0.0; dim]);
        rows.chunks_exact(dim.max(1)).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n));
        for row in rows.chunks_exact(dim.max(1)) {
            variance.iter_mut().zip(row).zip(&mean).for_each(|((v, x), m)| *v += (x - m) * (x - m) / n);
        }
        let unbias = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
        for (i, (m, v)) in mean.iter().zip(&mut variance).enumerate() {
            self.mean[i] += BatchNorm::MOMENTUM * (m - self.mean[i]);
            self.variance[i] += BatchNorm::MOMENTUM * (*v * unbias - self.variance[i]);
            *v = 1.0 / (*v + BatchNorm::EPS).sqrt();
        }
        for row in rows.chunks_exact_mut(dim.max(1)) {
            row.iter_mut().zip(&mean).zip(&variance).for_each(|((x, m), scale)| *x = (*x - m) * scale);
        }
    }
}
