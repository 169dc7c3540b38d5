//! Gradient clipping.

/// Factor that PyTorch's `clip_grad_norm_` applies to a gradient of this norm.
pub(crate) fn clip_factor(norm: f64, largest: Option<f64>) -> f32 {
    largest.map_or(1.0, |largest| (largest / (norm + 1e-6)).min(1.0)) as f32
}
