//! From file bytes to RGB pixels, as near to Pillow's `Image.open(file).convert("RGB")` as the decoders allow.

mod bmp;
mod gif;
mod ifd;
mod jpeg;
mod tiff;
mod turn;
mod webp;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use serde::{Deserialize, Serialize};

use super::Pixels;
use super::passed::is_camera_raw;
use crate::{Error, Result};

pub use image::metadata::Orientation as Turn;
pub use turn::recorded_turn;

/// Version of the decoders, for the cache key. It has to be raised when any file gives other pixels; [`DECODER_CRATES`] are part of it.
pub const DECODER_VERSION: &str = "libjpeg-turbo-rs-0.9.0+image-0.25.10/2";

/// The crates that make pixels of files, in the versions that [`DECODER_VERSION`] stands for. Cargo.toml pins them.
#[cfg(test)]
const DECODER_CRATES: [(&str, &str); 7] = [
    ("fax", "0.2.7"),
    ("gif", "0.14.2"),
    ("image", "0.25.10"),
    ("image-webp", "0.2.4"),
    ("libjpeg-turbo-rs", "0.9.0"),
    ("png", "0.18.1"),
    ("weezl", "0.1.12"),
];

/// Pixels of the largest image that is decoded: Pillow's limit for decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// What to do with the orientation that a camera wrote into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Leave the pixels as they are stored, like Pillow and torchvision.
    #[default]
    AsStored,
    /// Turn and mirror the image as its EXIF data says.
    Exif,
}

impl Orientation {
    /// Its name in cache keys and in the metadata of models.
    pub const fn name(self) -> &'static str {
        match self {
            Orientation::AsStored => "as-stored",
            Orientation::Exif => "exif",
        }
    }
}

/// Decodes an image file; its format is found by content, whatever its name. `location` names it in errors.
///
/// JPEG, PNG, WebP, GIF (both: first frame), BMP and TIFF are read as Pillow's `convert("RGB")` reads them: alpha is dropped, not composited;
/// gray becomes three equal channels; colour profiles are ignored; a TIFF's own orientation is followed always. docs/image-files.md tells what is read
/// of each, and what differs.
///
/// # Errors
/// [`Error::Image`] with the reason: empty, truncated, damaged, of a kind that is not read, or of more than [`MAX_PIXELS`] pixels.
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
    let pixels = match sniff(bytes) {
        Some(ImageFormat::Jpeg) => jpeg::pixels(bytes)?,
        Some(ImageFormat::Tiff) if is_camera_raw(&mut Cursor::new(bytes)) => {
            return Err("is a camera's RAW file, of which only a small preview could be read: develop it to JPEG or TIFF".into());
        }
        Some(ImageFormat::Tiff) => tiff::pixels(bytes)?,
        Some(ImageFormat::Gif) => gif::pixels(bytes)?,
        Some(ImageFormat::Bmp) => bmp::pixels(bytes)?,
        Some(ImageFormat::WebP) => webp(bytes)?,
        Some(_) => png(bytes)?,
        None if bmp::is_headless(bytes) => bmp::headless_pixels(bytes)?,
        None => return Err("is no JPEG, PNG, WebP, BMP, GIF or TIFF image".into()),
    };
    match orientation {
        Orientation::AsStored => Ok(pixels),
        Orientation::Exif => turned(pixels, recorded_turn(bytes)),
    }
}

/// Whether a file holds gray of more than eight bits, which is cut off at 255: it comes out white, or black, unless its range was brought to
/// eight bits before. Reads the file's headers only.
pub fn is_deep_gray(bytes: &[u8]) -> bool {
    match sniff(bytes) {
        Some(ImageFormat::Png) => is_deep_gray_png(bytes),
        Some(ImageFormat::Tiff) => tiff::is_deep_gray(bytes),
        _ => false,
    }
}

/// Sixteen bits and no colour: the ninth and tenth byte of the first chunk.
fn is_deep_gray_png(bytes: &[u8]) -> bool {
    bytes.get(24..26) == Some(&[16, 0])
}

/// The format of a file by its first bytes, where it is one that this reads.
pub(super) fn sniff(head: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if ifd::is_tiff(head) {
        return Some(Tiff);
    }
    image::guess_format(head).ok().filter(|f| matches!(f, Jpeg | Png | WebP | Bmp | Gif))
}

/// Whether files of this extension (lower case, no dot) are taken for images without a look inside.
pub(super) fn is_image_extension(extension: &str) -> bool {
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff"].contains(&extension)
}

/// Refuses empty images and decompression bombs.
fn check_size(width: u64, height: u64) -> Result<(), String> {
    match width.saturating_mul(height) {
        0 => Err("has no pixels".into()),
        n if n > MAX_PIXELS => Err(format!("has {width}×{height} pixels, more than the {MAX_PIXELS} that are decoded")),
        _ => Ok(()),
    }
}

/// Pixels of a PNG. Pillow cuts off gray of sixteen bits at 255, but keeps the high byte of other samples.
fn png(bytes: &[u8]) -> Result<Pixels, String> {
    let image = with_image(bytes, ImageFormat::Png)?;
    pixels_of(image, if is_deep_gray_png(bytes) { |v| v.min(255) as u8 } else { |v| (v >> 8) as u8 })
}

/// Pixels of a WebP, or of an animation's first frame, which lies on a black canvas.
fn webp(bytes: &[u8]) -> Result<Pixels, String> {
    let decode = |bytes: &[u8]| pixels_of(with_image(bytes, ImageFormat::WebP)?, |v| (v >> 8) as u8);
    let Some(first) = webp::first_frame(bytes) else { return decode(bytes) };
    let frame = decode(&first.file)?;
    let (width, height) = (first.width, first.height);
    check_size(width as u64, height as u64)?;
    if first.left + frame.width > width || first.top + frame.height > height {
        return Err("the WebP is damaged: its first frame lies outside".into());
    }
    if (frame.width, frame.height) == (width, height) {
        return Ok(frame);
    }
    let mut rgb = vec![0; width * height * 3];
    for (y, row) in frame.rgb.chunks_exact(frame.width * 3).enumerate() {
        rgb[((first.top + y) * width + first.left) * 3..][..row.len()].copy_from_slice(row);
    }
    Ok(Pixels { width, height, rgb })
}

fn with_image(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, String> {
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
fn pixels_of(image: DynamicImage, narrow: fn(u16) -> u8) -> Result<Pixels, String> {
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
        _ => return Err("holds floating-point samples, whose range nobody knows: convert it to 8 or 16 bits".into()),
    };
    Ok(Pixels { width, height, rgb })
}

fn turned(pixels: Pixels, turn: Turn) -> Result<Pixels, String> {
    if turn == Turn::NoTransforms {
        return Ok(pixels);
    }
    let image = RgbImage::from_raw(pixels.width as u32, pixels.height as u32, pixels.rgb).ok_or("has less data than pixels")?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(turn);
    Ok(Pixels { width: image.width() as usize, height: image.height() as usize, rgb: image.into_rgb8().into_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Philox;

    const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/decode");

    fn goldens() -> Vec<serde_json::Value> {
        let read = |name: &str| -> Vec<serde_json::Value> {
            serde_json::from_str(&std::fs::read_to_string(format!("{GOLDENS}/{name}")).unwrap()).unwrap()
        };
        [read("expected.json"), read("kinds.json")].concat()
    }

    fn bytes(entry: &serde_json::Value) -> (String, Vec<u8>) {
        let name = entry["file"].as_str().unwrap().to_string();
        let bytes = std::fs::read(format!("{GOLDENS}/{name}")).unwrap();
        (name, bytes)
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = decode(bytes, "some/photo.jpg", Orientation::AsStored).unwrap_err();
        assert!(matches!(error, Error::Image { .. }) && error.is_unusable_input());
        error.to_string()
    }

    #[test]
    fn every_kind_of_file_gives_the_pixels_of_pillow() {
        for entry in goldens() {
            let (name, bytes) = bytes(&entry);
            let stored = decode(&bytes, &name, Orientation::AsStored).unwrap();
            assert!(stored == Pixels::from_golden(&entry), "{name}");
            let turned = decode(&bytes, &name, Orientation::Exif).unwrap();
            assert!(turned == Pixels::from_golden(entry.get("turned").unwrap_or(&entry)), "{name}, turned");
        }
    }

    /// As [`decode`], but a panic is one.
    fn unguarded(bytes: &[u8]) -> Result<Pixels, String> {
        pixels(bytes, Orientation::Exif)
    }

    #[test]
    fn damaged_files_are_errors_and_never_panics() {
        for (kind, entry) in goldens().iter().enumerate() {
            let (name, whole) = bytes(entry);
            for trial in 0..60 {
                let mut draws = Philox::new(kind as u64, 0).draws([trial, 0]);
                let mut damaged = whole.clone();
                if draws.below(3) == 0 {
                    damaged.truncate(draws.below(whole.len() as u32) as usize);
                }
                // The header, which says the size, is left alone: a large image is slow rather than wrong.
                for _ in 0..draws.below(6) {
                    let at = draws.below(whole.len() as u32) as usize;
                    if at > 64 && at < damaged.len() {
                        damaged[at] = draws.bits() as u8;
                    }
                }
                if let Ok(pixels) = decode(&damaged, &name, Orientation::Exif) {
                    assert_eq!(pixels.rgb.len(), pixels.width * pixels.height * 3, "{name}");
                }
            }
        }
    }

    #[test]
    fn what_is_decoded_here_does_not_panic_wherever_a_byte_is_wrong() {
        // Every byte of every file, its header included. Low bits only: they do not make a small image a huge one, which is slow rather than wrong.
        for entry in goldens() {
            let (name, whole) = bytes(&entry);
            if ![".tif", ".bmp", ".dib", ".gif"].iter().any(|kind| name.ends_with(kind)) {
                continue;
            }
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= [0x01, 0x02, 0x04][at % 3];
                let _ = recorded_turn(&damaged);
                if let Ok(pixels) = unguarded(&damaged) {
                    assert_eq!(pixels.rgb.len(), pixels.width * pixels.height * 3, "{name} at {at}");
                }
            }
            for length in (0..whole.len()).step_by(7) {
                let _ = unguarded(&whole[..length]);
            }
        }
    }

    #[test]
    fn a_turn_is_told_without_decoding() {
        let turn = |name: &str| recorded_turn(&std::fs::read(format!("{GOLDENS}/{name}")).unwrap());
        for name in ["odd-turned-long.jpg", "exif-6.png", "odd-turned-xmp.png", "odd-turned-parts.jpg"] {
            assert_eq!(turn(name), Turn::Rotate90, "{name}");
        }
        // Read, but of no meaning; of no account beside EXIF data; turned already when it is decoded.
        for name in ["rgb.png", "odd-turned-nowhere.jpg", "odd-upright-both.jpg", "odd-turned-long.tif", "odd-unannounced.webp"] {
            assert_eq!(turn(name), Turn::NoTransforms, "{name}");
        }
        assert_eq!(recorded_turn(b"\xff\xd8\xff\xe1\0"), Turn::NoTransforms);
    }

    #[test]
    fn gray_that_is_cut_off_is_told_without_decoding() {
        let deep = |name: &str| is_deep_gray(&std::fs::read(format!("{GOLDENS}/{name}")).unwrap());
        for name in ["gray16.png", "odd-gray16-transparent.png", "odd-gray-12.tif", "odd-gray-16-mm.tif", "odd-gray-float.tif"] {
            assert!(deep(name), "{name}");
        }
        for name in ["gray.png", "gray-alpha16.png", "rgb16.png", "odd-rgb16.tif", "odd-gray-8.tif", "gray.jpg"] {
            assert!(!deep(name), "{name}");
        }
    }

    #[test]
    fn decoders_are_those_that_the_version_stands_for() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
        let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        for (name, version) in DECODER_CRATES {
            let locked: Vec<&str> = lock
                .split("[[package]]")
                .filter(|package| package.contains(&format!("\nname = \"{name}\"\n")))
                .filter_map(|package| package.split("\nversion = \"").nth(1)?.split('"').next())
                .collect();
            let help =
                "raise DECODER_VERSION and the version in DECODER_CRATES: other decoders may give other pixels, so they need another key";
            assert_eq!(locked, [version], "{name} has moved in Cargo.lock: {help}");
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
            assert!(
                line.is_some_and(|line| line.contains(&format!("\"={version}\""))),
                "{name} is not pinned exactly in Cargo.toml: {line:?}"
            );
        }
    }

    #[test]
    fn half_a_file_is_refused_whatever_its_kind() {
        for entry in goldens() {
            let (name, bytes) = bytes(&entry);
            let text = refusal(&bytes[..bytes.len() / 2]);
            assert!(text.starts_with("some/photo.jpg: "), "{name}: {text}");
        }
    }

    #[test]
    fn what_is_no_image_says_so() {
        assert_eq!(refusal(b""), "some/photo.jpg: the file is empty");
        assert_eq!(refusal(b"<html>"), "some/photo.jpg: is no JPEG, PNG, WebP, BMP, GIF or TIFF image");
        assert!(refusal(b"\xff\xd8\xff").contains("ends too early"));
    }

    #[test]
    fn an_image_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
        let mut bomb = std::fs::read(format!("{GOLDENS}/rgb.bmp")).unwrap();
        bomb[18..22].copy_from_slice(&20_000_i32.to_le_bytes());
        bomb[22..26].copy_from_slice(&20_000_i32.to_le_bytes());
        let text = refusal(&bomb);
        assert!(text.contains("20000×20000 pixels, more than the 178956970"), "{text}");

        let mut bomb = std::fs::read(format!("{GOLDENS}/baseline.jpg")).unwrap();
        let frame = bomb.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        bomb[frame + 5..frame + 9].fill(0xFA);
        let text = refusal(&bomb);
        assert!(text.contains("64250×64250 pixels"), "{text}");
    }
}
