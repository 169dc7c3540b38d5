//! Photos as small data URIs: read, decoded and shrunk with the same code that features are made
//! with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use crate::data::{ImageSource, Orientation, decode, patiently};
use crate::preprocess::{Interp, PreprocessSpec, Range};

/// Side of a thumbnail in pixels: sharp on a dense screen, where it is shown at half of it.
const SIDE: usize = 128;
const QUALITY: u8 = 80;

/// A square thumbnail as a data URI, turned as the model saw the photo; `None` where the source
/// does not have it, or it is no longer an image.
pub(super) fn thumbnail(source: &dyn ImageSource, uri: &str, orientation: Orientation) -> Option<String> {
    let bytes = patiently(|| source.read(uri)).ok()?;
    let pixels = decode(&bytes, &source.locate(uri), orientation).ok()?;
    let spec = PreprocessSpec::new(SIDE, SIDE, Interp::Bilinear, Range::Unit);
    let mut rgb = vec![];
    spec.apply(&pixels, &mut rgb);
    let jpeg = compress(&rgb, SIDE, SIDE, PixelFormat::Rgb, QUALITY, Subsampling::S420).ok()?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}
