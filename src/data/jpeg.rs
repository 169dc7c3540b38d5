//! JPEG through zune-jpeg, refusing what libjpeg (and so Pillow) refuses.

use image::metadata::Orientation as Turn;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::Pixels;
use super::decode::check_size;

/// Pixels as stored, and the turn that EXIF data asks for.
///
/// Adobe's CMYK and YCCK hold inverted ink; zune-jpeg's conversion to RGB is Pillow's to the last bit.
pub(super) fn pixels(bytes: &[u8]) -> Result<(Pixels, Turn), String> {
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| format!("not a readable JPEG: {e:?}"))?;
    let (width, height) = decoder.dimensions().ok_or("has no size")?;
    check_size(width as u64, height as u64)?;
    if !is_complete(bytes) {
        return Err("the JPEG is truncated: it ends before its end marker".into());
    }
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    decoder.set_options(options.jpeg_set_out_colorspace(if gray { ColorSpace::Luma } else { ColorSpace::RGB }));
    let turn = decoder.exif().and_then(|chunk| Turn::from_exif_chunk(chunk)).unwrap_or(Turn::NoTransforms);
    let mut rgb = decoder.decode().map_err(|e| format!("damaged JPEG: {e:?}"))?;
    if gray {
        rgb = rgb.into_iter().flat_map(|v| [v; 3]).collect();
    }
    if rgb.len() != width * height * 3 {
        return Err(format!("damaged JPEG: {} bytes decoded for {width}×{height} pixels", rgb.len()));
    }
    Ok((Pixels { width, height, rgb }, turn))
}

/// Whether an end marker follows the start of the first scan. Without one the decoder would fill up with gray, where libjpeg stops.
fn is_complete(bytes: &[u8]) -> bool {
    let Some(scan) = first_scan(bytes) else { return false };
    bytes[scan..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9])
}

/// Where the first start-of-scan segment begins: headers may hold a thumbnail, itself a JPEG with scan and end marker.
fn first_scan(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        match *bytes.get(at..at + 4)? {
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, 0xDA, ..] => return Some(at),
            [0xFF, 0x01 | 0xD0..=0xD7, ..] => at += 2,
            [0xFF, _, high, low] => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            // Stray bytes between segments.
            _ => at += 1,
        }
    }
}
