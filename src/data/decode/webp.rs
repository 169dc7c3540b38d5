//! Animated WebP: the first frame on a black canvas, as Pillow reads it. (The decoder of animations blends it with the background instead.)

use super::turn::webp_chunks;

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
