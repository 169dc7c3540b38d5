//! Ridge classification (scikit-learn: `RidgeClassifier`): least squares on targets of +1 for a row's class and −1 for the others, with an
//! unpenalised bias. All strengths come from one eigendecomposition.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef};

use super::design::Design;
use super::spectrum::{Spectrum, par};
use crate::heads::head::Layer;

/// What all strengths share.
pub(super) struct Ridge {
    /// VᵀXᵀY, `[rank, classes]`.
    products: Mat<f64>,
    /// Mean of each class's targets.
    targets: Vec<f64>,
}

impl Ridge {
    pub(super) fn new(design: &Design<'_>, spectrum: &Spectrum) -> Ridge {
        let (counts, mut sums) = design.class_sums(&spectrum.mean);
        // XᵀY: +1 for the class and −1 for the rest is twice the class less all, and all centred rows sum to 0.
        sums.iter_mut().for_each(|s| *s *= 2.0);
        let scatter = MatRef::from_column_major_slice(&sums, design.dim(), design.classes);
        let mut products = Mat::zeros(spectrum.values.len(), design.classes);
        matmul(&mut products, Accum::Replace, spectrum.vectors.transpose(), scatter, 1.0, par());
        let targets = counts.iter().map(|&count| 2.0 * count as f64 / design.rows().max(1) as f64 - 1.0).collect();
        Ridge { products, targets }
    }

    /// The optimum at one strength.
    pub(super) fn solve(&self, spectrum: &Spectrum, alpha: f64) -> Layer {
        let shrunk =
            Mat::from_fn(self.products.nrows(), self.products.ncols(), |i, c| self.products[(i, c)] / (spectrum.values[i] + alpha));
        super::layer(&spectrum.unrotate(shrunk.as_ref()), &spectrum.mean, &self.targets)
    }
}
