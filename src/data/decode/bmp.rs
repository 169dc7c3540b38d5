//! BMP, with its file header or without (DIB), as Pillow reads it: 5- and 6-bit samples are scaled
//! by division, what run lengths leave out is of the first colour. The `image` crate differs in
//! both and refuses OS/2 headers.

use super::limits::check_size;
use crate::data::Pixels;

/// Bytes of the file header before the bitmap's own.
const FILE_HEADER: usize = 14;
/// Colours of the largest palette.
const MOST_COLOURS: usize = 1 << 16;

/// Pixels of a file that begins with `BM`.
pub(super) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let start = bytes.get(10..14).map_or(0, |b| number(b) as usize);
    Bitmap::read(bytes, FILE_HEADER, start)?.pixels(bytes)
}

/// Pixels of a bitmap without a file header.
pub(super) fn headless_pixels(bytes: &[u8]) -> Result<Pixels, String> {
    Bitmap::read(bytes, 0, 0)?.pixels(bytes)
}

/// Whether a file may be a bitmap without a file header: a known length of the header, and a known
/// depth in it.
pub(super) fn is_headless(head: &[u8]) -> bool {
    let depth = match head.get(..4).map(number) {
        Some(12) => head.get(10..12),
        Some(40 | 52 | 56 | 64 | 108 | 124) => head.get(14..16),
        _ => None,
    };
    depth.is_some_and(|depth| matches!(number(depth), 1 | 4 | 8 | 16 | 24 | 32))
}

/// How a bitmap is stored.
struct Bitmap {
    width: usize,
    height: usize,
    top_down: bool,
    bits: usize,
    packing: Packing,
    /// Colours, for depths up to 8 bits.
    palette: Vec<[u8; 3]>,
    /// Where the pixels start in the file.
    start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// Rows of pixels, each filled up to four bytes.
    Rows,
    /// Run lengths; of two colours in turn where pixels have four bits.
    Runs,
    /// Rows of pixels whose red, green and blue are found by masks.
    Masks([u32; 3]),
}

impl Bitmap {
    fn read(bytes: &[u8], at: usize, start: usize) -> Result<Bitmap, String> {
        let size = number(bytes.get(at..at + 4).ok_or(SHORT)?) as usize;
        let header = bytes.get(at..at.saturating_add(size)).ok_or(SHORT)?;
        let field = |from: usize, width: usize| number(&header[from..from + width]);
        let (width, height, bits, packing, colours, step) = match size {
            12 => (field(4, 2), field(6, 2), field(10, 2), 0, 0, 3),
            40 | 52 | 56 | 64 | 108 | 124 => (field(4, 4), field(8, 4), field(14, 2), field(16, 4), field(32, 4), 4),
            _ => return Err(format!("is a BMP whose header has {size} bytes, which is not a known kind")),
        };
        let top_down = size > 12 && header[11] == 0xFF;
        let height = if top_down { height.wrapping_neg() } else { height };
        check_size(width.into(), height.into())?;
        let bits = bits as usize;
        if ![1, 2, 4, 8, 16, 24, 32].contains(&bits) {
            return Err(format!("is a BMP of {bits} bits a pixel, which is not a known kind"));
        }
        let mut end = at + size;
        let packing = match packing {
            0 if bits == 16 => Packing::Masks([0x7C00, 0x3E0, 0x1F]),
            0 => Packing::Rows,
            1 | 2 if bits <= 8 => Packing::Runs,
            3 if bits >= 16 => {
                // Longer headers hold the masks, the shortest is followed by them.
                let masks = if size >= 52 { &header[40..52] } else { bytes.get(end..end + 12).ok_or(SHORT)? };
                end += if size >= 52 { 0 } else { 12 };
                let masks = [number(&masks[..4]), number(&masks[4..8]), number(&masks[8..])];
                match (masks, bits) {
                    ([0, 0, 0], 32) => Packing::Rows,
                    ([0, 0, 0], _) => return Err(format!("is a BMP of {bits} bits whose colours have no bits: the file is damaged")),
                    _ => Packing::Masks(masks),
                }
            }
            4 => return Err("is a BMP around a JPEG: convert it to PNG or JPEG".into()),
            5 => return Err("is a BMP around a PNG: convert it to PNG or JPEG".into()),
            other => return Err(format!("is a BMP of {bits} bits with compression {other}, which is not a known kind")),
        };
        let mut palette = vec![];
        let mut start = start;
        if bits <= 8 {
            let colours = if colours == 0 { 1 << bits } else { colours as usize };
            if colours > MOST_COLOURS {
                return Err(format!("is a BMP with a palette of {colours} colours: the file is damaged"));
            }
            // Some writers forget the palette when they say where the pixels start.
            if at > 0 && start == end {
                start += colours * step;
            }
            let stored = &bytes[end..bytes.len().min(end + colours * step)];
            palette = stored.chunks_exact(step).map(|colour| [colour[2], colour[1], colour[0]]).collect();
            end += colours * step;
        }
        let start = if start == 0 { end } else { start };
        Ok(Bitmap { width: width as usize, height: height as usize, top_down, bits, packing, palette, start })
    }

    fn pixels(&self, bytes: &[u8]) -> Result<Pixels, String> {
        let data = bytes.get(self.start..).ok_or(SHORT)?;
        let mut rgb = Vec::with_capacity(self.width * self.height * 3);
        if self.packing == Packing::Runs {
            let indices = self.unfold(data, self.start % 2)?;
            self.each_row(|y| rgb.extend(indices[y * self.width..(y + 1) * self.width].iter().flat_map(|&i| self.colour(i))));
        } else {
            let stride = (self.width * self.bits).div_ceil(32) * 4;
            let row_bytes = (self.width * self.bits).div_ceil(8);
            // The last row need not be filled up.
            if data.len() < stride * (self.height - 1) + row_bytes {
                return Err(SHORT.into());
            }
            self.each_row(|y| self.unpack(&data[y * stride..y * stride + row_bytes], &mut rgb));
        }
        Ok(Pixels { width: self.width, height: self.height, rgb })
    }

    /// Rows as they are stored, in the order in which they are seen.
    fn each_row(&self, mut row: impl FnMut(usize)) {
        (0..self.height).for_each(|y| row(if self.top_down { y } else { self.height - 1 - y }));
    }

    fn colour(&self, index: u8) -> [u8; 3] {
        self.palette.get(usize::from(index)).copied().unwrap_or_default()
    }

    fn unpack(&self, row: &[u8], rgb: &mut Vec<u8>) {
        match (self.packing, self.bits) {
            (Packing::Masks(masks), bits) => {
                let channels = masks.map(Channel::new);
                let pixels = row.chunks_exact(bits / 8).map(number);
                rgb.extend(pixels.flat_map(|pixel| channels.map(|channel| channel.of(pixel))));
            }
            (_, bits @ (24 | 32)) => rgb.extend(row.chunks_exact(bits / 8).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])),
            (_, bits) => {
                let index = |x: usize| row[x * bits / 8] >> (8 - bits - x * bits % 8) & (0xFF >> (8 - bits));
                rgb.extend((0..self.width).flat_map(|x| self.colour(index(x))));
            }
        }
    }

    /// Indices from run lengths. What is passed over, or missing behind the mark of the end, is of
    /// the first colour. `odd`: where the data starts, since what is copied is filled up to an even
    /// place in the file.
    fn unfold(&self, data: &[u8], odd: usize) -> Result<Vec<u8>, String> {
        let total = self.width * self.height;
        let mut indices = Vec::with_capacity(total);
        let (mut at, mut x) = (0, 0);
        while indices.len() < total {
            let &[count, value] = data.get(at..at + 2).and_then(<[u8]>::first_chunk).ok_or(SHORT)?;
            at += 2;
            match (count, value) {
                (0, 0) => {
                    indices.resize(indices.len().next_multiple_of(self.width), 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let &[right, up] = data.get(at..at + 2).and_then(<[u8]>::first_chunk).ok_or(SHORT)?;
                    at += 2;
                    let gap = usize::from(right) + usize::from(up) * self.width;
                    indices.resize(total.min(indices.len() + gap), 0);
                    x = indices.len() % self.width;
                }
                (0, count) => {
                    let pixels = usize::from(count).min(total - indices.len());
                    let copied = data.get(at..at + (pixels * self.bits).div_ceil(8)).ok_or(SHORT)?;
                    indices.extend((0..pixels).map(|i| self.nth(copied, i)));
                    at += copied.len();
                    at += (at + odd) % 2;
                    x += usize::from(count);
                }
                (count, value) => {
                    // A run does not reach into the next row.
                    let pixels = usize::from(count).min(self.width.saturating_sub(x));
                    indices.extend((0..pixels).map(|i| self.nth(&[value], i % 2)));
                    x += pixels;
                }
            }
        }
        indices.resize(total, 0);
        Ok(indices)
    }

    /// The n-th index of a run: bytes, or halves of them.
    fn nth(&self, stored: &[u8], n: usize) -> u8 {
        match self.bits {
            4 => stored[n / 2] >> (4 - n % 2 * 4) & 0xF,
            _ => stored[n.min(stored.len() - 1)],
        }
    }
}

const SHORT: &str = "the BMP is truncated or damaged: its data ends too early";

/// Where a colour's bits lie in a pixel.
#[derive(Clone, Copy)]
struct Channel {
    shift: u32,
    largest: u64,
}

impl Channel {
    fn new(mask: u32) -> Channel {
        let shift = if mask == 0 { 0 } else { mask.trailing_zeros() };
        Channel { shift, largest: u64::from(mask >> shift) }
    }

    fn of(self, pixel: u32) -> u8 {
        let value = u64::from(pixel >> self.shift) & self.largest;
        (value * 255).checked_div(self.largest).unwrap_or(0) as u8
    }
}

/// A little-endian number of up to four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bitmap of one pixel whose colours are told by masks.
    fn masked(bits: u16, masks: [u32; 3]) -> Vec<u8> {
        let mut file = [40u32, 1, 1].map(u32::to_le_bytes).concat();
        file.extend([1, bits].map(u16::to_le_bytes).concat());
        file.extend([3, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat());
        file.extend(masks.map(u32::to_le_bytes).concat());
        file.extend([0x34, 0x12, 0x56, 0xFF]);
        file
    }

    #[test]
    fn masks_without_bits_are_refused_where_pillow_refuses_them() {
        assert_eq!(headless_pixels(&masked(32, [0; 3])).unwrap().rgb, [0x56, 0x12, 0x34]);
        assert_eq!(headless_pixels(&masked(16, [0xF800, 0x7E0, 0x1F])).unwrap().rgb, [16, 68, 164]);
        for bits in [16, 24] {
            assert!(headless_pixels(&masked(bits, [0; 3])).unwrap_err().contains("no bits"));
        }
    }
}
