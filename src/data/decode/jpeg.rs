//! JPEG: libjpeg-turbo's arithmetic in Rust, so pixels are Pillow's to the last bit.

use libjpeg_turbo_rs::{DecodeWarning, Decoder, Image, JpegError, PixelFormat};

use super::limits::{MAX_PIXELS, check_size};
use crate::data::Pixels;

/// Pixels as stored. A file that breaks off is refused, never filled up with gray.
///
/// CMYK and YCCK are taken for Adobe's, whose ink is inverted, and turned to RGB as Pillow does.
pub(super) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let image = image(bytes, PixelFormat::Rgb, Chroma::Smooth)?;
    Ok(Pixels { width: image.width, height: image.height, rgb: image.data })
}

/// How colours that several pixels share are spread over them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Chroma {
    /// In slopes, as libjpeg does.
    Smooth,
    /// In blocks, as libtiff does in old-style JPEGs.
    Blocks,
}

/// Samples in a format of one's choice.
pub(super) fn image(bytes: &[u8], format: PixelFormat, chroma: Chroma) -> Result<Image, String> {
    let mut decoder = Decoder::new(bytes).map_err(reason)?;
    let header = decoder.header();
    check_size(header.width.into(), header.height.into())?;
    if header.precision != 8 {
        return Err(format!("is a JPEG of {} bits a sample: convert it to 8", header.precision));
    }
    decoder.set_max_pixels(MAX_PIXELS as usize);
    decoder.set_output_format(format);
    decoder.set_fast_upsample(chroma == Chroma::Blocks);
    match decoder.decode_image() {
        // libjpeg only warns of wrong codes, and of data that ends too early where the mark of the
        // end says that nothing is missing.
        Err(JpegError::UnexpectedEof | JpegError::CorruptData(_)) if has_end(bytes) => {
            decoder.set_lenient(true);
            let image = decoder.decode_image().map_err(reason)?;
            match image.warnings.iter().find(|warning| matches!(warning, DecodeWarning::UnsupportedRecovered { .. })) {
                Some(warning) => Err(format!("damaged or unsupported JPEG: {warning}")),
                None => Ok(image),
            }
        }
        done => done.map_err(reason),
    }
}

/// Whether the mark of the end stands behind the start of the pixels.
fn has_end(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xFF, marker]);
    last(0xD9).is_some_and(|end| last(0xDA).is_some_and(|scan| scan < end))
}

fn reason(error: JpegError) -> String {
    match error {
        JpegError::UnexpectedEof => "the JPEG is truncated or damaged: its data ends too early".into(),
        error => format!("damaged or unsupported JPEG: {error}"),
    }
}
