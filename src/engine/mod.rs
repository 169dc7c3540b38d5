//! Engines run a planned backbone on a batch of images: same graph in, same taps out.
//!
//! | file | what for |
//! |---|---|
//! | `native/` | the fast CPU engine |
//! | `cuda/` | the fast engine on NVIDIA GPUs |
//! | `candle/` | the reference on any device, op by op; also Metal, and transformers |
//! | `choice.rs`, `device.rs` | the device that a user asks for; opening it |
//! | `compute.rs` | the dtype that a backbone computes in |
//! | `fitting.rs` | batches halved where memory runs out |
//! | `bias_correction.rs` | biases corrected for weights rounded to bf16 |
//! | `accuracy.rs` | distance of features from the right ones |

mod accuracy;
mod bias_correction;
mod candle;
mod choice;
mod compute;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod device;
mod fitting;
#[doc(hidden)]
pub mod native;

use crate::Result;
use crate::preprocess::Normalise;

#[doc(hidden)]
pub use accuracy::centred_error;
pub(crate) use bias_correction::correct_biases_for_gpu;
#[doc(hidden)]
pub use bias_correction::correct_biases_for_native;
#[doc(hidden)]
pub use candle::CandleEngine;
#[cfg(test)]
pub(crate) use candle::{forward, parameters};
pub use choice::DeviceChoice;
pub use compute::Compute;
#[cfg(feature = "cuda")]
pub(crate) use cuda::CudaEngine;
#[cfg(feature = "cuda")]
pub use cuda::without_tf32;
#[doc(hidden)]
pub use device::device;
pub(crate) use device::{describe, resolve};
pub(crate) use fitting::Fitting;

/// A batch of images of one size.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Batch<'a> {
    /// Decoded and resized pixels, `[n, height, width, 3]` RGB; the engine normalises them.
    Pixels {
        /// Number of images.
        images: usize,
        /// Height and width.
        size: [usize; 2],
        /// `images · height · width · 3` bytes.
        rgb: &'a [u8],
        /// Map from bytes to the numbers that the backbone was trained on.
        normalise: &'a Normalise,
    },
    /// Input tensors, already normalised: `[n, channels, height, width]`.
    Floats {
        /// Number of images.
        images: usize,
        /// Channels, height, width.
        shape: [usize; 3],
        /// `images · channels · height · width` values.
        data: &'a [f32],
    },
}

impl<'a> Batch<'a> {
    /// Images `start ..` of it, at most `count`.
    pub fn part(self, start: usize, count: usize) -> Batch<'a> {
        let images = count.min(self.images() - start);
        let each: usize = self.shape().iter().product();
        let range = start * each..(start + images) * each;
        match self {
            Batch::Pixels { size, rgb, normalise, .. } => Batch::Pixels { images, size, rgb: &rgb[range], normalise },
            Batch::Floats { shape, data, .. } => Batch::Floats { images, shape, data: &data[range] },
        }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        match *self {
            Batch::Pixels { images, .. } | Batch::Floats { images, .. } => images,
        }
    }

    /// Channels, height and width of one input tensor.
    pub fn shape(&self) -> [usize; 3] {
        match *self {
            Batch::Pixels { size: [h, w], .. } => [3, h, w],
            Batch::Floats { shape, .. } => shape,
        }
    }
}

/// A backbone ready to run: planned for one input shape, a largest batch and a list of taps.
#[doc(hidden)]
pub trait Engine: Send + Sync {
    /// `native`, `candle` or `cuda`.
    fn name(&self) -> &'static str;

    /// The device in words: `cpu`, `cuda:0`, `metal`.
    fn device(&self) -> String;

    /// Number of calls of [`Engine::run`] worth making at the same time: two where copying one
    /// batch overlaps with computing another.
    fn in_flight(&self) -> usize {
        1
    }

    /// Preparation in words, for benchmarks: fused steps, memory.
    fn summary(&self) -> Option<String> {
        None
    }

    /// Computes the planned taps, in their order, for a batch: for each a row-major
    /// `[n, tap shape…]`.
    ///
    /// # Errors
    /// A batch of another shape than planned, or the device's own failure (out of memory).
    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>>;
}
