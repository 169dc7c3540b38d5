//! Preprocesses in use: each for a network's size, with crop over resized side.

use crate::preprocess::{Interp, PreprocessSpec, Range, Resize};

/// Crop over resized side where nothing else is said: 224 of 256.
const CROP_PCT: f64 = 0.875;

/// torchvision's classic: shorter side, central crop, bilinear, ImageNet's mean and deviation.
pub(super) fn torchvision(size: usize) -> (PreprocessSpec, f64) {
    (PreprocessSpec::new(224, 224, Interp::Bilinear, Range::Torch).with_size(size, CROP_PCT), CROP_PCT)
}

/// Keras's for weights that come from Caffe: BGR less a mean.
pub(super) fn keras_caffe(size: usize) -> (PreprocessSpec, f64) {
    (squeezed(size, Range::Caffe), CROP_PCT)
}

/// Keras's for inputs in −1 .. 1.
pub(super) fn keras_tf(size: usize) -> (PreprocessSpec, f64) {
    (squeezed(size, Range::Tf), CROP_PCT)
}

/// Keras's loaders squeeze an image into a square, whatever its proportion.
fn squeezed(size: usize, range: Range) -> PreprocessSpec {
    let resize = Resize::Exact { height: size, width: size };
    PreprocessSpec { resize, crop: None, ..PreprocessSpec::new(size, size, Interp::Bilinear, range) }
}
