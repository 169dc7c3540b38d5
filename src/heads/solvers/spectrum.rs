//! The eigendecomposition behind ridge regression, and behind logistic regression where rows are
//! fewer than features.
//!
//! With X the centred features, `[n, dim]`: either of XᵀX (primal) or of XXᵀ (dual), whichever is
//! smaller. From it, ridge is a division by eigenvalue plus strength; and in the basis of its
//! eigenvectors there are min(n, dim) features, uncorrelated ones. Features are read block by
//! block, so they need not fit into memory.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par, Spec};

use super::design::{Design, not_finite};
use crate::Result;
use crate::heads::features::prefetch::BLOCK;

/// Largest matrix that is decomposed: beyond, minutes become hours and 2 GiB are not enough.
pub(super) const LARGEST: usize = 8192;
/// Memory of the columns that are read together for XXᵀ.
const COLUMNS_BYTES: usize = 256 << 20;

/// Eigenvalues and eigenvectors of the scatter matrix XᵀX of the centred features.
#[derive(Debug)]
pub(super) struct Spectrum {
    /// Mean of each feature.
    pub(super) mean: Vec<f64>,
    /// The eigenvalues that are not 0 but for rounding.
    pub(super) values: Vec<f64>,
    basis: Basis,
}

/// The eigenvectors V.
#[derive(Debug)]
enum Basis {
    /// Themselves, `[dim, rank]`.
    Vectors(Mat<f64>),
    /// As sums of rows: V = XᵀA with these A, `[n, rank]`.
    Rows(Mat<f64>),
}

/// Workers of a product. A constant: how work is cut must not depend on the machine's number of
/// threads.
pub(super) fn par() -> Par {
    Par::rayon(8)
}

impl Spectrum {
    /// Decomposes the scatter of some rows.
    ///
    /// # Errors
    /// Features that are not finite.
    pub(super) fn of(design: &Design<'_>) -> Result<Spectrum> {
        let mean = design.mean()?;
        if design.rows() < design.dim() { Spectrum::dual(design, mean) } else { Spectrum::primal(design, mean) }
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
        let vectors = vectors.subcols(first, values.len() - first).to_owned();
        Ok(Spectrum { mean, values: values[first..].to_vec(), basis: Basis::Vectors(vectors) })
    }

    fn dual(design: &Design<'_>, mean: Vec<f64>) -> Result<Spectrum> {
        let (n, dim) = (design.rows(), design.dim());
        let mut products = Mat::<f64>::zeros(n, n);
        let together = (COLUMNS_BYTES / (8 * n.max(1))).max(1);
        let (mut x, mut row) = (vec![], vec![]);
        for first in (0..dim).step_by(together) {
            let columns = first..dim.min(first + together);
            x.clear();
            for i in 0..n {
                row.resize(columns.len(), 0.0);
                design.read_columns(i, columns.clone(), &mut row);
                x.extend(row.iter().zip(&mean[columns.clone()]).map(|(&x, m)| f64::from(x) - m));
            }
            let x = MatRef::from_row_major_slice(&x, n, columns.len());
            add_lower(&mut products, x, x.transpose());
        }
        let (values, left) = decompose(products)?;
        let first = first_above_rounding(&values);
        let values = values[first..].to_vec();
        let mut left = left.subcols(first, values.len()).to_owned();
        left.col_iter_mut().zip(&values).for_each(|(mut u, value)| u *= faer::Scale(1.0 / value.sqrt()));
        Ok(Spectrum { mean, values, basis: Basis::Rows(left) })
    }

    /// Coordinates of the training rows in the basis of the eigenvectors, `[n, rank]`, row by row,
    /// where they are fewer than features.
    pub(super) fn coordinates(&self) -> Option<Vec<f32>> {
        let Basis::Rows(left) = &self.basis else { return None };
        // XV = XXᵀA = A times the eigenvalues.
        let row = |i| self.values.iter().enumerate().map(move |(j, value)| (left[(i, j)] * value) as f32);
        Some((0..left.nrows()).flat_map(row).collect())
    }

    /// VᵀXᵀY, `[rank, classes]`, where Y is +1 for a row's class and −1 for the others.
    pub(super) fn products(&self, design: &Design<'_>, class_sums: &[f64]) -> Mat<f64> {
        // All centred rows sum to 0, so XᵀY is twice the sum of the class.
        let (dim, classes) = (design.dim(), design.classes);
        let mut products = Mat::zeros(self.values.len(), classes);
        match &self.basis {
            Basis::Vectors(vectors) => {
                let sums = MatRef::from_column_major_slice(class_sums, dim, classes);
                matmul(&mut products, Accum::Replace, vectors.transpose(), sums, 2.0, par());
            }
            Basis::Rows(left) => {
                for (row, &class) in (0..left.nrows()).flat_map(|row| design.labels(row).iter().map(move |class| (row, class))) {
                    let column = products.col_mut(class as usize).iter_mut().zip(left.row(row).iter()).zip(&self.values);
                    column.for_each(|((product, a), value)| *product += 2.0 * a * value);
                }
            }
        }
        products
    }

    /// Weights of the features, `[classes, dim]`, from weights of the coordinates, `[rank,
    /// classes]`.
    pub(super) fn unrotate(&self, design: &Design<'_>, weights: &Mat<f64>) -> Vec<f64> {
        let (dim, classes) = (self.mean.len(), weights.ncols());
        let mut out = vec![0.0; classes * dim];
        let mut columns = MatMut::from_column_major_slice_mut(&mut out, dim, classes);
        match &self.basis {
            Basis::Vectors(vectors) => matmul(columns, Accum::Replace, vectors, weights, 1.0, par()),
            Basis::Rows(left) => {
                let shares = left * weights;
                let mut x = vec![];
                design.for_each_block(|rows, features| {
                    centre(features, &self.mean, &mut x);
                    let x = MatRef::from_row_major_slice(&x, rows.len(), dim);
                    let shares = shares.subrows(rows.start, rows.len());
                    matmul(columns.as_mut(), Accum::Add, x.transpose(), shares, 1.0, par());
                });
            }
        }
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
    self_adjoint_evd(matrix.as_ref(), values.as_mut(), Some(vectors.as_mut()), par(), stack, params).map_err(|_| not_finite())?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

/// Where the eigenvalues begin that are not 0 but for rounding.
fn first_above_rounding(values: &[f64]) -> usize {
    let largest = values.last().copied().unwrap_or(0.0);
    values.iter().take_while(|&&v| v <= largest * 1e-13).count()
}
