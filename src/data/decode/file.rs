//! From the bytes of a file to RGB pixels.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::ImageFormat;

use super::raw::is_camera_raw;
use super::sniff::sniff;
use super::turn::{Orientation, recorded_turn, turned};
use super::{bmp, gif, jpeg, png, tiff, webp};
use crate::data::Pixels;
use crate::{Error, Result};

/// Version of the decoders, for the cache key. It has to be raised when any file gives other
/// pixels; the crates of `DECODER_CRATES` are part of it.
pub(crate) const DECODER_VERSION: &str = "libjpeg-turbo-rs-0.9.0+image-0.25.10/2";

/// The crates that make pixels of files, in the versions that [`DECODER_VERSION`] stands for.
/// Cargo.toml pins them.
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

/// Decodes an image file; its format is found by content, whatever its name. `location` names it in
/// errors.
///
/// JPEG, PNG, WebP, GIF (both: first frame), BMP and TIFF are read as Pillow's `convert("RGB")`
/// reads them: alpha is dropped, not composited; gray becomes three equal channels; colour profiles
/// are ignored; a TIFF's own orientation is followed always. docs/image-files.md tells what is read
/// of each, and what differs.
///
/// # Errors
/// [`Error::Image`] with the reason: empty, truncated, damaged, of a kind that is not read, or of
/// more than `MAX_PIXELS` pixels.
pub fn decode(bytes: &[u8], location: &str, orientation: Orientation) -> Result<Pixels> {
    // The decoders are other people's and meet hostile files: should one panic, that is one broken
    // image.
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
        Some(ImageFormat::WebP) => webp::pixels(bytes)?,
        Some(_) => png::pixels(bytes)?,
        None if bmp::is_headless(bytes) => bmp::headless_pixels(bytes)?,
        None => return Err("is not a JPEG, PNG, WebP, BMP, GIF or TIFF image".into()),
    };
    match orientation {
        Orientation::AsStored => Ok(pixels),
        Orientation::Exif => turned(pixels, recorded_turn(bytes)),
    }
}

/// Whether a file holds gray of more than eight bits, which is cut off at 255: it comes out white,
/// or black, unless its range was brought to eight bits before. Reads the file's headers only.
pub(crate) fn is_deep_gray(bytes: &[u8]) -> bool {
    match sniff(bytes) {
        Some(ImageFormat::Png) => png::is_deep_gray(bytes),
        Some(ImageFormat::Tiff) => tiff::is_deep_gray(bytes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Turn;
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
                // The header, which says the size, is left alone: a large image is slow rather than
                // wrong.
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
        // Every byte of every file, its header included. Low bits only: they do not make a small
        // image a huge one, which is slow rather than wrong.
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
        // Read, but of no meaning; of no account beside EXIF data; turned already when it is
        // decoded.
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
        assert_eq!(refusal(b"<html>"), "some/photo.jpg: is not a JPEG, PNG, WebP, BMP, GIF or TIFF image");
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
