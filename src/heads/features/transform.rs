//! Features made ready for a head: rows of unit length, columns of zero mean and unit deviation.

use std::ops::Range;
use std::sync::Arc;

use crate::heads::features::prefetch::for_each_row;
use crate::heads::features::table::FeatureTable;
use crate::heads::settings::params::Params;

/// The transform of a row before a head sees it: division by its norm, then `(x − mean) · scale`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transform {
    /// Whether rows are divided by their Euclidean norm.
    pub l2: bool,
    /// Mean of each column, or empty.
    pub mean: Vec<f32>,
    /// One over the standard deviation of each column, or empty.
    pub scale: Vec<f32>,
}

impl Transform {
    /// Fits the transform that the settings ask for on some rows. Deviations are those of the
    /// population, as in scikit-learn's `StandardScaler`; a constant column keeps its scale.
    pub fn fit(params: &Params, table: &dyn FeatureTable, rows: &[usize]) -> Transform {
        let mut transform = Transform { l2: params.l2, ..Transform::default() };
        if params.standardise && !rows.is_empty() {
            let dim = table.dim();
            let (mut sum, mut squares) = (vec![0f64; dim], vec![0f64; dim]);
            let mut first = vec![0f32; dim];
            for_each_row(table, rows, |row, x| {
                transform.apply(x);
                if row == rows[0] {
                    first.copy_from_slice(x);
                }
                // Differences from the first row, so that a large mean costs no precision.
                for ((sum, squares), (x, first)) in sum.iter_mut().zip(&mut squares).zip(x.iter().zip(&first)) {
                    let d = f64::from(x - first);
                    *sum += d;
                    *squares += d * d;
                }
            });
            let n = rows.len() as f64;
            transform.mean = sum.iter().zip(&first).map(|(s, first)| (s / n + f64::from(*first)) as f32).collect();
            let deviation = |s: &f64, q: &f64| (q / n - (s / n) * (s / n)).max(0.0).sqrt();
            transform.scale = sum.iter().zip(&squares).map(|(s, q)| deviation(s, q)).map(inverse).collect();
        }
        transform
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        !self.l2 && self.mean.is_empty()
    }

    /// Transforms one row in place.
    pub fn apply(&self, row: &mut [f32]) {
        if self.l2 {
            let scale = inverse(norm(row));
            row.iter_mut().for_each(|x| *x *= scale);
        }
        for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *x = (*x - mean) * scale;
        }
    }

    /// The table as heads see it, transformed as it is read.
    pub fn table(&self, table: Arc<dyn FeatureTable>) -> Arc<dyn FeatureTable> {
        if self.is_identity() {
            return table;
        }
        let norms = if self.l2 { norms(&*table) } else { vec![] };
        Arc::new(Transformed { table, transform: self.clone(), norms })
    }
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

fn inverse(x: f64) -> f32 {
    if x > 0.0 { (1.0 / x) as f32 } else { 1.0 }
}

fn norms(table: &dyn FeatureTable) -> Vec<f32> {
    let mut norms = Vec::with_capacity(table.rows());
    for_each_row(table, &(0..table.rows()).collect::<Vec<_>>(), |_, x| norms.push(inverse(norm(x))));
    norms
}

/// A table that is transformed as it is read.
struct Transformed {
    table: Arc<dyn FeatureTable>,
    transform: Transform,
    /// One over each row's norm, or empty.
    norms: Vec<f32>,
}

impl FeatureTable for Transformed {
    fn rows(&self) -> usize {
        self.table.rows()
    }

    fn dim(&self) -> usize {
        self.table.dim()
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        self.table.read(row, columns.clone(), out);
        if let Some(scale) = self.norms.get(row) {
            out.iter_mut().for_each(|x| *x *= scale);
        }
        if !self.transform.mean.is_empty() {
            for ((x, mean), scale) in out.iter_mut().zip(&self.transform.mean[columns.clone()]).zip(&self.transform.scale[columns]) {
                *x = (*x - mean) * scale;
            }
        }
    }

    fn will_read(&self, rows: &[usize]) {
        self.table.will_read(rows);
    }

    fn stored_dim(&self) -> usize {
        self.table.stored_dim()
    }

    fn block_rows(&self) -> usize {
        self.table.block_rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::features::matrix::Matrix;

    #[test]
    fn standardised_columns_have_zero_mean_and_unit_deviation_on_the_fitted_rows() {
        let table =
            Arc::new(Matrix::new(3, (0..30).map(|i| ((i * i) % 17) as f32 + if i % 3 == 1 { 1e4 } else { 0.0 }).collect()).unwrap());
        let rows: Vec<usize> = (0..8).collect();
        let params = Params { standardise: true, ..Params::default() };
        let transform = Transform::fit(&params, &*table, &rows);
        let out = transform.table(table.clone());
        for c in 0..3 {
            let value = |&row: &usize| {
                let mut x = [0.0];
                out.read(row, c..c + 1, &mut x);
                f64::from(x[0])
            };
            let column: Vec<f64> = rows.iter().map(value).collect();
            let mean = column.iter().sum::<f64>() / 8.0;
            let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 8.0;
            assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        }
    }

    #[test]
    fn a_streamed_table_reads_what_a_whole_row_transformed_would_be() {
        let table = Arc::new(Matrix::new(4, (0..40).map(|i| (i as f32 * 0.7).sin()).collect()).unwrap());
        let params = Params { standardise: true, l2: true, ..Params::default() };
        let transform = Transform::fit(&params, &*table, &[0, 1, 2, 3, 4]);
        let streamed = Transformed { norms: norms(&*table), table: table.clone(), transform: transform.clone() };
        for row in 0..10 {
            let mut whole = table.row(row).unwrap().to_vec();
            transform.apply(&mut whole);
            let mut part = [0.0; 2];
            streamed.read(row, 1..3, &mut part);
            assert_eq!(part, whole[1..3]);
        }
    }
}
