//! Everything from decoded pixels to the input tensor: a geometric part on bytes, a numeric part
//! folded into one affine map.
//!
//! | file | what for |
//! |---|---|
//! | `spec.rs` | [`PreprocessSpec`]: a backbone's input as text |
//! | `geometry.rs` | resize and crop with torchvision's rounding |
//! | `resize.rs` | Pillow's resampling |
//! | `synthetic.rs` | images made by a formula |
//! | `views.rs`, `effects.rs` | augmentation: random draws, and their effects on pixels |

mod effects;
mod geometry;
mod resize;
mod spec;
mod synthetic;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use geometry::RESIZE_VERSION;
pub use spec::{Interp, Order, PreprocessSpec, Range, Resize};
#[doc(hidden)]
pub use synthetic::synthetic_images;
pub use views::Policy;
pub(crate) use views::View;

/// Bytes to numbers: `(byte · scale[c] + shift[c])`, channels taken in RGB or BGR order.
///
/// Every value range in use (torchvision, TensorFlow, Caffe, plain `/255`) is such a map, so an
/// engine can apply it while it copies pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(hidden)]
pub struct Normalise {
    /// Factor of each output channel.
    pub scale: [f32; 3],
    /// Offset of each output channel.
    pub shift: [f32; 3],
    /// Whether output channel 0 is blue.
    pub bgr: bool,
}

impl Normalise {
    /// `[n, h, w, 3]` RGB bytes to `[n, 3, h, w]` floats.
    pub(crate) fn planar(&self, rgb: &[u8], pixels_per_image: usize) -> Vec<f32> {
        let mut out = vec![0.0; rgb.len()];
        let images = rgb.chunks_exact(3 * pixels_per_image).zip(out.chunks_exact_mut(3 * pixels_per_image));
        for (bytes, planes) in images {
            for (c, plane) in planes.chunks_exact_mut(pixels_per_image).enumerate() {
                let from = if self.bgr { 2 - c } else { c };
                for (value, pixel) in plane.iter_mut().zip(bytes.chunks_exact(3)) {
                    *value = f32::from(pixel[from]) * self.scale[c] + self.shift[c];
                }
            }
        }
        out
    }
}
