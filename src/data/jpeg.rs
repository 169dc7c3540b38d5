//! JPEG: libjpeg-turbo's arithmetic in Rust, so pixels are Pillow's to the last bit.

use image::metadata::Orientation as Turn;
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};

use super::Pixels;
use super::decode::{MAX_PIXELS, check_size};

/// Pixels as stored, and the turn that EXIF data asks for. Data that ends early or breaks off is refused, never filled up with gray.
///
/// CMYK and YCCK are taken for Adobe's, whose ink is inverted, and turned to RGB as Pillow does.
pub(super) fn pixels(bytes: &[u8]) -> Result<(Pixels, Turn), String> {
    let mut decoder = Decoder::new(bytes).map_err(reason)?;
    let header = decoder.header();
    check_size(header.width.into(), header.height.into())?;
    if header.precision != 8 {
        return Err(format!("is a JPEG of {} bits a sample: convert it to 8", header.precision));
    }
    decoder.set_max_pixels(MAX_PIXELS as usize);
    decoder.set_output_format(PixelFormat::Rgb);
    let turn = decoder.exif_orientation().and_then(Turn::from_exif).unwrap_or(Turn::NoTransforms);
    let image = decoder.decode_image().map_err(reason)?;
    Ok((Pixels { width: image.width, height: image.height, rgb: image.data }, turn))
}

fn reason(error: JpegError) -> String {
    match error {
        JpegError::UnexpectedEof => "the JPEG is truncated or damaged: its data ends too early".into(),
        error => format!("damaged or unsupported JPEG: {error}"),
    }
}
