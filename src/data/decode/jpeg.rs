//! JPEG: libjpeg-turbo's arithmetic in Rust, so pixels are Pillow's to the last bit.

use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};

use super::{MAX_PIXELS, Pixels, check_size};

/// Pixels as stored. Data that ends early or breaks off is refused, never filled up with gray.
///
/// CMYK and YCCK are taken for Adobe's, whose ink is inverted, and turned to RGB as Pillow does.
pub(super) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let mut decoder = Decoder::new(bytes).map_err(reason)?;
    let header = decoder.header();
    check_size(header.width.into(), header.height.into())?;
    if header.precision != 8 {
        return Err(format!("is a JPEG of {} bits a sample: convert it to 8", header.precision));
    }
    decoder.set_max_pixels(MAX_PIXELS as usize);
    decoder.set_output_format(PixelFormat::Rgb);
    let image = decoder.decode_image().map_err(reason)?;
    Ok(Pixels { width: image.width, height: image.height, rgb: image.data })
}

fn reason(error: JpegError) -> String {
    match error {
        JpegError::UnexpectedEof => "the JPEG is truncated or damaged: its data ends too early".into(),
        error => format!("damaged or unsupported JPEG: {error}"),
    }
}
