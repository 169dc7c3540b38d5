//! The eigendecomposition that ridge and logistic regression share.
//!
//! With X the centred features, `[n, dim]`: either of XᵀX (primal) or of XXᵀ (dual), whichever is smaller. From it, ridge is a division by
//! eigenvalue plus strength; and in the basis of its eigenvectors logistic regression has min(n, dim) features, uncorrelated ones.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par, Spec};

use super::design::{BLOCK, Design};
use crate::{Error, Result};

/// Largest matrix that is decomposed: beyond, minutes become hours and 2 GiB are not enough.
const LARGEST: usize = 12_000;

/// Eigenvalues and eigenvectors of the scatter matrix XᵀX of the centred features.
#[derive(Debug)]
pub(super) struct Spectrum {
    /// Mean of each feature.
    pub(super) mean: Vec<f64>,
    /// The eigenvalues that are not 0 but for rounding.
    pub(super) values: Vec<f64>,
    /// Their eigenvectors, `[dim, rank]`.
    pub(super) vectors: Mat<f64>,
}

/// Workers of a product. A constant: how work is cut must not depend on the machine's number of threads.
pub(super) fn par() -> Par {
    Par::rayon(8)
}

impl Spectrum {
    /// Decomposes the scatter of some rows.
    ///
    /// # Errors
    /// Too many rows and features, or features that are no numbers.
    pub(super) fn of(design: &Design<'_>) -> Result<Spectrum> {
        let (n, dim) = (design.rows(), design.dim());
        if n.min(dim) > LARGEST {
            let problem = format!("ridge and logreg would decompose a matrix of {0}×{0}, more than {LARGEST}", n.min(dim));
            return Err(Error::setting(problem, "use a tap of fewer features such as `gap`, or head `linear`"));
        }
        let mean = design.mean();
        if n < dim { Spectrum::dual(design, mean) } else { Spectrum::primal(design, mean) }
    }

    fn primal(design: &Design<'_>, mean: Vec<f64>) -> Result<Spectrum> {
        let dim = design.dim();
        let mut scatter = Mat::<f64>::zeros(dim, dim);
        let mut x = vec![];
        design.for_each_block(|_, features| {
            centre(features, &mean, &mut x);
            let x = MatRef::from_row_major_slice(&x, features.len() / dim, dim);
            add_lower(&mut scatter, x.transpose(), x);
        });
        let (values, vectors) = decompose(scatter)?;
        let first = first_above_rounding(&values);
        Ok(Spectrum { mean, values: values[first..].to_vec(), vectors: vectors.subcols(first, values.len() - first).to_owned() })
    }

    fn dual(design: &Design<'_>, mean: Vec<f64>) -> Result<Spectrum> {
        let (n, dim) = (design.rows(), design.dim());
        let (mut x, mut block) = (Vec::with_capacity(n * dim), vec![]);
        design.for_each_block(|_, features| {
            centre(features, &mean, &mut block);
            x.extend_from_slice(&block);
        });
        let x = MatRef::from_row_major_slice(&x, n, dim);
        let mut products = Mat::<f64>::zeros(n, n);
        add_lower(&mut products, x, x.transpose());
        let (values, left) = decompose(products)?;
        let first = first_above_rounding(&values);
        let values = values[first..].to_vec();
        let mut left = left.subcols(first, values.len()).to_owned();
        left.col_iter_mut().zip(&values).for_each(|(mut u, value)| u *= faer::Scale(1.0 / value.sqrt()));
        let mut vectors = Mat::zeros(dim, values.len());
        matmul(&mut vectors, Accum::Replace, x.transpose(), &left, 1.0, par());
        Ok(Spectrum { mean, values, vectors })
    }

    /// Coordinates of the training rows in the basis of the eigenvectors, `[n, rank]`, row by row.
    pub(super) fn rotate(&self, design: &Design<'_>) -> Vec<f32> {
        let (dim, rank) = (self.mean.len(), self.values.len());
        let basis = Mat::<f32>::from_fn(dim, rank, |i, j| self.vectors[(i, j)] as f32);
        let mut rotated = vec![0.0; design.rows() * rank];
        let mut x = vec![];
        design.for_each_block(|rows, features| {
            x.clear();
            x.extend(features.chunks_exact(dim).flat_map(|row| row.iter().zip(&self.mean).map(|(&x, &m)| (f64::from(x) - m) as f32)));
            let out = &mut rotated[rows.start * rank..rows.end * rank];
            let out = faer::MatMut::from_row_major_slice_mut(out, rows.len(), rank);
            matmul(out, Accum::Replace, MatRef::from_row_major_slice(&x, rows.len(), dim), &basis, 1.0, par());
        });
        rotated
    }

    /// Weights of the features, `[classes, dim]`, from weights of the coordinates, `[rank, classes]`.
    pub(super) fn unrotate(&self, weights: MatRef<'_, f64>) -> Vec<f64> {
        let (dim, classes) = (self.mean.len(), weights.ncols());
        let mut out = vec![0.0; classes * dim];
        let columns = faer::MatMut::from_column_major_slice_mut(&mut out, dim, classes);
        matmul(columns, Accum::Replace, &self.vectors, weights, 1.0, par());
        out
    }
}

fn centre(features: &[f32], mean: &[f64], out: &mut Vec<f64>) {
    out.clear();
    out.reserve(BLOCK * mean.len());
    out.extend(features.chunks_exact(mean.len()).flat_map(|row| row.iter().zip(mean).map(|(&x, m)| f64::from(x) - m)));
}

/// Adds the lower half of a symmetric product.
fn add_lower(out: &mut Mat<f64>, a: MatRef<'_, f64>, b: MatRef<'_, f64>) {
    let full = BlockStructure::Rectangular;
    triangular::matmul(out, BlockStructure::TriangularLower, Accum::Add, a, full, b, full, 1.0, par());
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix whose lower half is given.
fn decompose(matrix: Mat<f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let n = matrix.nrows();
    let params: Spec<SelfAdjointEvdParams, f64> = Spec::default();
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let mut memory = MemBuffer::new(self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par(), params));
    let stack = MemStack::new(&mut memory);
    let refuse = |_| Error::setting("the features cannot be decomposed: some are no numbers", "check the cache: `headstart verify CACHE`");
    self_adjoint_evd(matrix.as_ref(), values.as_mut(), Some(vectors.as_mut()), par(), stack, params).map_err(refuse)?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

/// Where the eigenvalues begin that are not 0 but for rounding.
fn first_above_rounding(values: &[f64]) -> usize {
    let largest = values.last().copied().unwrap_or(0.0);
    values.iter().take_while(|&&v| v <= largest * 1e-13).count()
}
