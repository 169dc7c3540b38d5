//! Solutions as layers.

use crate::heads::fitted::layer::Layer;

/// A layer from columns of f64: `weight[dim · classes]` by class, for features whose mean is
/// `mean`, and the scores at that mean.
pub(super) fn layer(weight: &[f64], mean: &[f64], at_mean: &[f64]) -> Layer {
    let rows = weight.chunks_exact(mean.len());
    let bias = rows.zip(at_mean).map(|(w, at)| (at - w.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>()) as f32).collect();
    Layer { weight: weight.iter().map(|&w| w as f32).collect(), bias }
}
