//! The nearest class mean (scikit-learn: `NearestCentroid`), as a linear layer: ‖x − m‖² has the
//! same ‖x‖² for every class.
//!
//! Probabilities are those of equally frequent Gaussian classes with one variance for all features,
//! the mean within-class one.

use super::design::{ClassSums, Design};
use super::layer::layer;
use crate::Result;
use crate::heads::fitted::layer::Layer;

/// The layer. A class without training rows is never the answer.
///
/// # Errors
/// Features that are not finite.
pub(super) fn solve(design: &Design<'_>) -> Result<Layer> {
    let (dim, n) = (design.dim(), design.rows());
    let mean = design.mean()?;
    let ClassSums { counts, sums } = design.class_sums(&mean);
    let mut centres = sums;
    for (centre, &count) in centres.chunks_exact_mut(dim).zip(&counts) {
        centre.iter_mut().for_each(|s| *s /= count.max(1) as f64);
    }
    let mut within = 0.0;
    design.for_each_block(|rows, features| {
        for (row, x) in rows.zip(features.chunks_exact(dim)) {
            let Some(&class) = design.labels(row).first() else { continue };
            let centre = &centres[class as usize * dim..][..dim];
            within += x.iter().zip(&mean).zip(centre).map(|((&x, m), c)| (f64::from(x) - m - c).powi(2)).sum::<f64>();
        }
    });
    let variance = within / (n * dim).max(1) as f64;
    // One row a class has no variance: any scale gives the same answers.
    let scale = if variance > 0.0 { 1.0 / variance } else { 1.0 };
    let norm = |centre: &[f64]| centre.iter().map(|c| c * c).sum::<f64>();
    let at_mean: Vec<f64> = centres.chunks_exact(dim).map(|c| -0.5 * scale * norm(c)).collect();
    let weight: Vec<f64> = centres.iter().map(|c| c * scale).collect();
    let mut layer = layer(&weight, &mean, &at_mean);
    for (bias, _) in layer.bias.iter_mut().zip(&counts).filter(|(_, count)| **count == 0) {
        *bias = f32::MIN;
    }
    Ok(layer)
}
