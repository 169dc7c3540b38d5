//! Kinds of files that the `image` crate decodes.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::limits::check_size;
use crate::data::Pixels;

/// Decodes a file of a known format.
pub(super) fn decode(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, String> {
    let reason = |e| match e {
        ImageError::Unsupported(e) => format!("{e}: convert it to PNG or JPEG"),
        e => e.to_string(),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(Limits::no_limits());
    let decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    DynamicImage::from_decoder(decoder).map_err(reason)
}

/// Three bytes a pixel: alpha dropped, sixteen bits brought to eight by `narrow`.
pub(super) fn pixels(image: DynamicImage, narrow: fn(u16) -> u8) -> Result<Pixels, String> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let rgb = match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.iter().flat_map(|&v| [v; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect(),
        DynamicImage::ImageLuma16(image) => image.iter().flat_map(|&v| [narrow(v); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [narrow(p.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.iter().map(|&v| narrow(v)).collect(),
        DynamicImage::ImageRgba16(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(narrow)).collect(),
        _ => return Err("holds floating-point samples, whose range is not known: convert it to 8 or 16 bits".into()),
    };
    Ok(Pixels { width, height, rgb })
}
