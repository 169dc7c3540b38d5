//! Ridge classification (scikit-learn: `RidgeClassifier`): least squares on targets of +1 for a
//! row's class and −1 for the others, with an unpenalised bias. All strengths come from one
//! eigendecomposition.

use faer::Mat;

use super::design::{ClassSums, Design};
use super::layer::layer;
use super::spectrum::Spectrum;
use crate::heads::fitted::layer::Layer;

/// Intermediate results that all strengths share.
pub(super) struct Ridge {
    /// VᵀXᵀY, `[rank, classes]`.
    products: Mat<f64>,
    /// Mean of each class's targets.
    targets: Vec<f64>,
}

impl Ridge {
    pub(super) fn new(design: &Design<'_>, spectrum: &Spectrum) -> Ridge {
        let ClassSums { counts, sums } = design.class_sums(&spectrum.mean);
        let targets = counts.iter().map(|&count| 2.0 * count as f64 / design.rows().max(1) as f64 - 1.0).collect();
        Ridge { products: spectrum.products(design, &sums), targets }
    }

    /// The optimum at one strength.
    pub(super) fn solve(&self, design: &Design<'_>, spectrum: &Spectrum, alpha: f64) -> Layer {
        let shrunk =
            Mat::from_fn(self.products.nrows(), self.products.ncols(), |i, c| self.products[(i, c)] / (spectrum.values[i] + alpha));
        layer(&spectrum.unrotate(design, &shrunk), &spectrum.mean, &self.targets)
    }
}
