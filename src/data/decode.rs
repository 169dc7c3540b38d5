//! From file bytes to RGB pixels, as near to Pillow's `Image.open(file).convert("RGB")` as the decoders allow.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation as Turn;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::{Pixels, jpeg};
use crate::{Error, Result};

/// The decoders and their versions, for the cache key: other versions may give other pixels.
pub const DECODER_VERSION: &str = "libjpeg-turbo-rs-0.9.0+image-0.25.10/1";

/// Pixels of the largest image that is decoded: Pillow's limit for decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// What to do with the orientation that a camera wrote into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    /// Leave the pixels as they are stored, like Pillow and torchvision.
    #[default]
    AsStored,
    /// Turn and mirror the image as its EXIF data says.
    Exif,
}

/// Decodes an image file; its format is found by content, whatever its name. `location` names it in errors.
///
/// JPEG (baseline, progressive, gray, CMYK and YCCK in Adobe's inverted way), PNG, WebP, BMP, GIF (first frame, on black) and TIFF (no palettes).
/// As in Pillow's `convert("RGB")`, alpha is dropped, not composited; gray becomes three equal channels; colour profiles are ignored; a TIFF's
/// own orientation is followed always. Of 16-bit samples the high byte is kept (Pillow does so for colour, but clips 16-bit *gray* at 255,
/// which leaves white).
///
/// # Errors
/// [`Error::Image`] with the reason: empty, truncated, damaged, of an unknown kind, or of more than [`MAX_PIXELS`] pixels.
pub fn decode(bytes: &[u8], location: &str, orientation: Orientation) -> Result<Pixels> {
    // The decoders are other people's and meet hostile files: should one panic, that is one broken image.
    catch_unwind(AssertUnwindSafe(|| pixels(bytes, orientation)))
        .unwrap_or_else(|_| Err("the decoder gave up on it: the file is damaged".into()))
        .map_err(|reason| Error::Image { path: location.into(), reason })
}

fn pixels(bytes: &[u8], orientation: Orientation) -> Result<Pixels, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let format = sniff(bytes).ok_or("is no JPEG, PNG, WebP, BMP, GIF or TIFF image")?;
    let (pixels, turn) = if format == ImageFormat::Jpeg { jpeg::pixels(bytes)? } else { with_image(bytes, format)? };
    match orientation {
        Orientation::AsStored => Ok(pixels),
        Orientation::Exif => turned(pixels, turn),
    }
}

/// The format of a file by its first bytes, where it is one that this reads.
pub(super) fn sniff(head: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    image::guess_format(head).ok().filter(|f| matches!(f, Jpeg | Png | WebP | Bmp | Gif | Tiff))
}

/// Whether files of this extension (lower case, no dot) are taken for images without a look inside.
pub(super) fn is_image_extension(extension: &str) -> bool {
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff"].contains(&extension)
}

/// Refuses empty images and decompression bombs.
pub(super) fn check_size(width: u64, height: u64) -> Result<(), String> {
    match width.saturating_mul(height) {
        0 => Err("has no pixels".into()),
        n if n > MAX_PIXELS => Err(format!("has {width}×{height} pixels, more than the {MAX_PIXELS} that are decoded")),
        _ => Ok(()),
    }
}

fn with_image(bytes: &[u8], format: ImageFormat) -> Result<(Pixels, Turn), String> {
    let reason = |e| match e {
        ImageError::Unsupported(e) => format!("{e}: convert it to PNG or JPEG"),
        e => e.to_string(),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(Limits::no_limits());
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    let turn = decoder.orientation().unwrap_or(Turn::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(reason)?;
    let pixels = Pixels { width: width as usize, height: height as usize, rgb: to_rgb(image)? };
    // Pillow turns TIFF images, and no others, when it loads them.
    if format == ImageFormat::Tiff { Ok((turned(pixels, turn)?, Turn::NoTransforms)) } else { Ok((pixels, turn)) }
}

/// Three bytes a pixel: alpha dropped, the high byte of 16.
fn to_rgb(image: DynamicImage) -> Result<Vec<u8>, String> {
    fn high(samples: &[u16]) -> impl Iterator<Item = u8> {
        samples.iter().map(|v| (v >> 8) as u8)
    }
    Ok(match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.iter().flat_map(|&v| [v; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect(),
        DynamicImage::ImageLuma16(image) => high(&image).flat_map(|v| [v; 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [(p.0[0] >> 8) as u8; 3]).collect(),
        DynamicImage::ImageRgb16(image) => high(&image).collect(),
        DynamicImage::ImageRgba16(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(|v| (v >> 8) as u8)).collect(),
        _ => return Err("holds floating-point samples, whose range nobody knows: convert it to 8 or 16 bits".into()),
    })
}

fn turned(pixels: Pixels, turn: Turn) -> Result<Pixels, String> {
    let image = RgbImage::from_raw(pixels.width as u32, pixels.height as u32, pixels.rgb).ok_or("has less data than pixels")?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(turn);
    Ok(Pixels { width: image.width() as usize, height: image.height() as usize, rgb: image.into_rgb8().into_raw() })
}
