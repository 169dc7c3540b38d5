//! PNG.

use image::ImageFormat;

use super::raster;
use crate::data::Pixels;

/// Pixels of a PNG. Pillow cuts off gray of sixteen bits at 255, but keeps the high byte of other
/// samples.
pub(super) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let image = raster::decode(bytes, ImageFormat::Png)?;
    raster::pixels(image, if is_deep_gray(bytes) { |v| v.min(255) as u8 } else { |v| (v >> 8) as u8 })
}

/// Sixteen bits and no colour: the ninth and tenth byte of the first chunk.
pub(super) fn is_deep_gray(bytes: &[u8]) -> bool {
    bytes.get(24..26) == Some(&[16, 0])
}
