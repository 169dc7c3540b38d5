//! An approximate second derivative of logistic regression, by which gradients are divided so that
//! few steps lead to the optimum.
//!
//! The Hessian's block of an output is the mean over rows of p (1 − p) x xᵀ, plus the penalty. With
//! the mean of p (1 − p) factored out, the covariance of the features remains, which is the same
//! for all outputs and strengths.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Conj, Mat, MatMut, MatRef, Spec};

use super::design::Design;
use super::slabs::Slabs;
use super::spectrum::par;

/// Largest number of features whose covariance is computed; beyond, their variances are used.
const MOST_FEATURES: usize = 8192;
/// Number of rows per feature that a covariance is estimated from: more would change little.
const ROWS_A_FEATURE: usize = 4;
/// Rows that are read together.
const TOGETHER: usize = 1024;
/// Factors that are kept.
const KEPT: usize = 2;
/// Smallest strength, relative to the mean variance, that f32 can factor with.
const SMALLEST: f64 = 1e-5;

/// The divisor of gradients.
pub(super) enum Curvature {
    /// Mean squares of uncorrelated features.
    Diagonal(Vec<f64>),
    /// Covariance of the features, and its factors at the most recent strengths.
    Full {
        /// Its lower half.
        covariance: Mat<f32>,
        /// The strengths, as exponents of 4, and the factors.
        factors: Vec<(i32, Mat<f32>)>,
    },
}

impl Curvature {
    /// Of the features of some rows.
    pub(super) fn of(design: &Design<'_>, slabs: &Slabs) -> Curvature {
        let dim = slabs.dim;
        if dim > MOST_FEATURES {
            return Curvature::Diagonal(design.variance(&slabs.mean));
        }
        let apart = (slabs.rows / (ROWS_A_FEATURE * dim).max(1)).max(1);
        let used: Vec<usize> = (0..slabs.rows).step_by(apart).collect();
        let (mut covariance, mut x) = (Mat::zeros(dim, dim), vec![]);
        for rows in used.chunks(TOGETHER) {
            slabs.read(design, rows, &mut x);
            let x = MatRef::from_row_major_slice(&x, rows.len(), dim);
            let (all, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
            triangular::matmul(&mut covariance, lower, Accum::Add, x.transpose(), all, x, all, 1.0 / used.len() as f32, par());
        }
        Curvature::Full { covariance, factors: vec![] }
    }

    /// Divides the gradient of weights, `[outputs, dim]`, where `spread` is the mean of p (1 − p)
    /// of each output.
    pub(super) fn divide(&mut self, gradient: &mut [f32], spread: &[f64], penalty: f64) {
        let dim = gradient.len() / spread.len();
        match self {
            Curvature::Diagonal(squares) => {
                for (row, s) in gradient.chunks_exact_mut(dim.max(1)).zip(spread) {
                    row.iter_mut().zip(&*squares).for_each(|(g, square)| *g = (f64::from(*g) / (s * square + penalty)) as f32);
                }
            }
            Curvature::Full { covariance, factors } => {
                let strengths: Vec<i32> = spread.iter().map(|s| exponent(penalty / s, covariance)).collect();
                let mut distinct = strengths.clone();
                distinct.sort_unstable();
                distinct.dedup();
                for exponent in distinct {
                    let factor = factor(covariance, factors, exponent);
                    let rows = gradient.chunks_exact_mut(dim).zip(spread).zip(&strengths).filter(|(_, strength)| **strength == exponent);
                    let mut rows: Vec<(&mut [f32], &f64)> = rows.map(|(row, _)| row).collect();
                    let mut columns: Vec<f32> = rows.iter().flat_map(|(row, s)| row.iter().map(|g| g * (1.0 / **s) as f32)).collect();
                    let together = MatMut::from_column_major_slice_mut(&mut columns, dim, rows.len());
                    let mut memory = MemBuffer::new(llt::solve::solve_in_place_scratch::<f32>(dim, rows.len(), par()));
                    llt::solve::solve_in_place_with_conj(factor.as_ref(), Conj::No, together, par(), MemStack::new(&mut memory));
                    rows.iter_mut().zip(columns.chunks_exact(dim)).for_each(|((row, _), column)| row.copy_from_slice(column));
                }
            }
        }
    }
}

/// The exponent of 4 next to a strength, or next to the smallest that f32 can factor with.
fn exponent(strength: f64, covariance: &Mat<f32>) -> i32 {
    let dim = covariance.nrows();
    let mean = (0..dim).map(|i| f64::from(covariance[(i, i)])).sum::<f64>() / dim.max(1) as f64;
    let least = (mean * SMALLEST).max(f64::from(f32::MIN_POSITIVE));
    (strength.clamp(least, 1e30).log2() / 2.0).round() as i32
}

/// The Cholesky factor of the covariance plus 4^exponent on its diagonal.
fn factor<'f>(covariance: &Mat<f32>, factors: &'f mut Vec<(i32, Mat<f32>)>, exponent: i32) -> &'f Mat<f32> {
    let at = match factors.iter().position(|(other, _)| *other == exponent) {
        Some(at) => at,
        None => {
            if factors.len() == KEPT {
                factors.remove(0);
            }
            let strength = 2f32.powi(2 * exponent);
            let dim = covariance.nrows();
            let mut made = covariance.clone();
            (0..dim).for_each(|i| made[(i, i)] += strength);
            // A pivot that rounding made too small is set to its value without the features.
            let regular = LltRegularization { dynamic_regularization_delta: strength, dynamic_regularization_epsilon: strength / 2.0 };
            let params: Spec<LltParams, f32> = Spec::default();
            let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f32>(dim, par(), params));
            let done = llt::factor::cholesky_in_place(made.as_mut(), regular, par(), MemStack::new(&mut memory), params);
            debug_assert!(done.is_ok(), "no pivot is too small");
            factors.push((exponent, made));
            factors.len() - 1
        }
    };
    &factors[at].1
}
