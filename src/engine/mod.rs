//! Engines run a planned backbone on a batch of images: same graph in, same taps out, nothing else known.

mod accuracy;
mod candle;
mod choice;
pub mod native;

use crate::Result;
use crate::preprocess::Normalise;

pub use accuracy::centred_error;
pub use candle::{CandleEngine, Parameters, describe, device, forward, parameters};
pub use choice::DeviceChoice;

/// A batch of images of one size.
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
        /// How bytes become the numbers that the backbone was trained on.
        normalise: &'a Normalise,
    },
    /// Input tensors as they are, `[n, channels, height, width]`.
    Floats {
        /// Number of images.
        images: usize,
        /// Channels, height, width.
        shape: [usize; 3],
        /// `images · channels · height · width` values.
        data: &'a [f32],
    },
}

impl Batch<'_> {
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
pub trait Engine: Send + Sync {
    /// `native` or `candle`.
    fn name(&self) -> &'static str;

    /// The device in words: `cpu`, `cuda:0`, `metal`.
    fn device(&self) -> String;

    /// Computes the planned taps, in their order, for a batch: for each a row-major `[n, tap shape…]`.
    ///
    /// # Errors
    /// A batch of another shape than planned, or the device's own failure (out of memory).
    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>>;
}
