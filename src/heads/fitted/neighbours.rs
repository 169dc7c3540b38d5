//! Weighted k nearest neighbours, as DINO evaluates features (Caron et al., "Emerging properties in
//! self-supervised vision transformers", ICCV 2021): the k training rows of the largest cosine
//! similarity vote for their classes, each with exp(similarity / temperature).

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::heads::features::labels::Labels;

/// Training rows that are compared together.
const TOGETHER: usize = 4096;

/// The training rows of a nearest-neighbour head.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Features of each row, of unit length.
    pub rows: Vec<f32>,
    /// Classes of each row.
    pub labels: Labels,
}

impl Neighbours {
    /// Shape and bytes of the classes of each row as 64-bit numbers, padded with −1.
    pub(crate) fn votes(&self) -> ([usize; 2], Vec<u8>) {
        let n = self.labels.len();
        let width = (0..n).map(|row| self.labels.of(row).len()).max().unwrap_or(0).max(1);
        let row = |row| self.labels.of(row).iter().map(|&c| i64::from(c)).chain(std::iter::repeat(-1)).take(width);
        ([n, width], (0..n).flat_map(row).flat_map(i64::to_le_bytes).collect())
    }

    /// Shares of the votes `[n, classes]` for rows `[n, dim]`.
    pub fn probabilities(&self, k: usize, temperature: f64, classes: usize, mut x: Vec<f32>) -> Vec<f32> {
        let known = self.labels.len();
        let dim = self.rows.len() / known.max(1);
        x.chunks_exact_mut(dim.max(1)).for_each(normalise);
        let n = x.len() / dim.max(1);
        let x = MatRef::from_row_major_slice(&x, n, dim);
        let k = k.clamp(1, known.max(1));
        let (mut found, mut similar) = (vec![vec![]; n], vec![]);
        for first in (0..known).step_by(TOGETHER) {
            let count = TOGETHER.min(known - first);
            let rows = MatRef::from_row_major_slice(&self.rows[first * dim..(first + count) * dim], count, dim);
            similar.resize(n * count, 0.0);
            matmul(MatMut::from_row_major_slice_mut(&mut similar, n, count), Accum::Replace, x, rows.transpose(), 1.0, Par::Seq);
            found.iter_mut().zip(similar.chunks_exact(count)).for_each(|(found, similar)| nearest(found, similar, first, k));
        }
        let mut shares = vec![0.0; n * classes];
        found.iter().zip(shares.chunks_exact_mut(classes)).for_each(|(found, shares)| self.vote(found, temperature, shares));
        shares
    }

    fn vote(&self, nearest: &[(f32, usize)], temperature: f64, shares: &mut [f32]) {
        let first = nearest.first().map_or(0.0, |n| f64::from(n.0));
        // Relative to the nearest one, so that no power overflows.
        let weights: Vec<f64> = nearest.iter().map(|(s, _)| ((f64::from(*s) - first) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (weight, &(_, row)) in weights.iter().zip(nearest) {
            self.labels.of(row).iter().for_each(|&class| shares[class as usize] += (weight / total) as f32);
        }
        // NaN stays NaN, which `f32::min` does not guarantee.
        shares.iter_mut().filter(|s| **s > 1.0).for_each(|s| *s = 1.0);
    }
}

/// Keeps the `k` largest similarities with their rows, in order, among those found so far and those
/// of the rows from `first` on. Ties go to the first row.
fn nearest(found: &mut Vec<(f32, usize)>, similar: &[f32], first: usize, k: usize) {
    found.extend(similar.iter().copied().zip(first..));
    let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if k < found.len() {
        found.select_nth_unstable_by(k, order);
        found.truncate(k);
    }
    found.sort_unstable_by(order);
}

/// Divides a row by its length.
pub(crate) fn normalise(row: &mut [f32]) {
    let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if norm > 0.0 {
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
}
