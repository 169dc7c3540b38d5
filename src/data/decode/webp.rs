//! Animated WebP: the first frame on a black canvas, as Pillow reads it. (The decoder of animations
//! blends it with the background instead.)

use image::ImageFormat;

use super::limits::check_size;
use super::raster;
use super::turn::webp_chunks;
use crate::data::Pixels;

/// Pixels of a WebP, or of an animation's first frame, which lies on a black canvas.
pub(super) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let decode = |bytes: &[u8]| raster::pixels(raster::decode(bytes, ImageFormat::WebP)?, |v| (v >> 8) as u8);
    let Some(first) = first_frame(bytes) else { return decode(bytes) };
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

/// The first frame of an animation as a file of its own, and where it belongs.
pub(super) struct FirstFrame {
    pub file: Vec<u8>,
    pub left: usize,
    pub top: usize,
    /// Of the whole canvas.
    pub width: usize,
    pub height: usize,
}

/// The first frame, where a file is an animation.
pub(super) fn first_frame(bytes: &[u8]) -> Option<FirstFrame> {
    let mut chunks = webp_chunks(bytes);
    let (_, header) = chunks.next().filter(|(name, header)| name == b"VP8X" && header.len() >= 10 && header[0] & 2 != 0)?;
    let (_, frame) = chunks.find(|(name, frame)| name == b"ANMF" && frame.len() > 16)?;
    let images = &frame[16..];
    // The header of a still image that may have transparent parts, of this frame's size.
    let mut file = b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0".to_vec();
    file.extend([if images.starts_with(b"ALPH") { 0x10 } else { header[0] & 0x10 }, 0, 0, 0]);
    file.extend(&frame[6..12]);
    file.extend(images);
    let length = u32::try_from(file.len() - 8).ok()?;
    file[4..8].copy_from_slice(&length.to_le_bytes());
    Some(FirstFrame {
        file,
        left: 2 * number(&frame[..3]),
        top: 2 * number(&frame[3..6]),
        width: number(&header[4..7]) + 1,
        height: number(&header[7..10]) + 1,
    })
}

/// A little-endian number.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte))
}
