//! Strips and tiles as they are stored: found, unpacked, differences undone.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use libjpeg_turbo_rs::PixelFormat;
use weezl::{BitOrder, LzwStatus};

use super::colour::Colour;
use super::fax;
use super::layout::{Compression, Format, Layout};
use crate::data::Pixels;
use crate::data::decode::jpeg::{self, Chroma};

const SHORT: &str = "the TIFF is truncated or damaged: its data ends too early";

impl Layout {
    /// The bytes of a strip or tile of `rows` rows.
    pub(super) fn unpack<'b>(&self, bytes: &'b [u8], number: usize, rows: usize) -> Result<Cow<'b, [u8]>, String> {
        let size = match &self.colour {
            Colour::YCbCr(ycbcr) if ycbcr.block != [1, 1] => ycbcr.packed_bytes(self.chunk.width, rows),
            _ => self.row_bytes() * rows,
        };
        let stored = self.stored(bytes, number, size)?;
        let stored = if self.reversed && self.compression != Compression::Jpeg {
            Cow::Owned(stored.iter().map(|byte| byte.reverse_bits()).collect())
        } else {
            Cow::Borrowed(stored)
        };
        let mut data = match self.compression {
            Compression::None => stored,
            Compression::PackBits => Cow::Owned(packbits(&stored, size)?),
            Compression::Lzw => Cow::Owned(lzw(&stored, size)?),
            Compression::Deflate => Cow::Owned(deflate(&stored, size)?),
            Compression::Jpeg => Cow::Owned(self.jpeg(&stored, rows)?),
            fax @ (Compression::Runs | Compression::Group3 { .. } | Compression::Group4) => {
                if self.bits != 1 {
                    return Err("is a TIFF with fax compression of more than black and white: the file is damaged".into());
                }
                Cow::Owned(fax::unpack(&stored, self.chunk.width, rows, fax))
            }
            Compression::OldJpeg => {
                return Err("is a TIFF with an old-style JPEG in pieces, which is not read: convert it to PNG or JPEG".into());
            }
        };
        // Differences go with these ways of packing only, whatever the tag says.
        if matches!(self.compression, Compression::Lzw | Compression::Deflate) && self.predictor > 1 {
            data.to_mut().chunks_exact_mut(self.row_bytes()).try_for_each(|row| self.undo_differences(row))?;
        }
        match &self.colour {
            Colour::YCbCr(ycbcr) if ycbcr.block != [1, 1] => Ok(Cow::Owned(ycbcr.unfold(&data, self.chunk.width, rows))),
            _ => Ok(data),
        }
    }

    /// What the file holds of a strip or tile that has `size` bytes when it is unpacked.
    fn stored<'b>(&self, bytes: &'b [u8], number: usize, size: usize) -> Result<&'b [u8], String> {
        let place = |values: &[u64], i: usize| values.get(i).and_then(|&n| usize::try_from(n).ok());
        let raw = self.compression == Compression::None;
        // Where one piece is all, the last of several that are named is meant, says Pillow.
        let alone = raw && !self.planar && self.chunk.width == self.width && self.chunk.height == self.height;
        let number = if alone { self.offsets.len().saturating_sub(1) } else { number };
        let from = place(&self.offsets, number).filter(|&from| from < bytes.len()).ok_or(SHORT)?;
        let length = if raw { size } else { place(&self.stored, number).unwrap_or(bytes.len() - from) };
        bytes.get(from..from.saturating_add(length)).ok_or_else(|| SHORT.into())
    }

    /// Undoes what the predictor did to a row.
    fn undo_differences(&self, row: &mut [u8]) -> Result<(), String> {
        let step = if self.planar { 1 } else { self.samples };
        match (self.predictor, self.bits, self.format) {
            (2, 8, _) => (step..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - step])),
            (2, 16, _) => self.add_up::<2>(row, step),
            (2, 32, _) => self.add_up::<4>(row, step),
            (3, 32, Format::Float) => {
                (step..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - step]));
                // The first bytes of all numbers come first, then all second ones, and so on, the
                // highest at the front.
                let count = row.len() / 4;
                let planes = row.to_vec();
                for (i, number) in row.chunks_exact_mut(4).enumerate() {
                    let bytes = [0, 1, 2, 3].map(|byte| planes[byte * count + i]);
                    number.copy_from_slice(&if self.big_endian { bytes } else { [bytes[3], bytes[2], bytes[1], bytes[0]] });
                }
            }
            (other, bits, _) => {
                return Err(format!("is a TIFF of {bits} bits with predictor {other}, which is not read: convert it to PNG or JPEG"));
            }
        }
        Ok(())
    }

    /// Adds to each number of `BYTES` bytes the one `step` before.
    fn add_up<const BYTES: usize>(&self, row: &mut [u8], step: usize) {
        let turned = |bytes: &[u8]| {
            let mut number = [0; 4];
            number[..BYTES].copy_from_slice(bytes);
            if self.big_endian {
                number[..BYTES].reverse()
            }
            number
        };
        for i in step..row.len() / BYTES {
            let number = |i: usize| u32::from_le_bytes(turned(&row[i * BYTES..(i + 1) * BYTES]));
            let sum = number(i).wrapping_add(number(i - step)).to_le_bytes();
            row[i * BYTES..(i + 1) * BYTES].copy_from_slice(&turned(&sum[..BYTES])[..BYTES]);
        }
    }

    /// A strip or tile that is a JPEG; what it shares with others stands in a tag. Rows that it
    /// lacks are black.
    fn jpeg(&self, stored: &[u8], rows: usize) -> Result<Vec<u8>, String> {
        let samples = if self.planar { 1 } else { self.samples };
        let format = match samples {
            1 => PixelFormat::Grayscale,
            3 => PixelFormat::Rgb,
            4 => PixelFormat::Cmyk,
            n => return Err(format!("is a TIFF of JPEGs of {n} samples, which is not read: convert it to PNG or JPEG")),
        };
        let stream = whole_jpeg(self.jpeg_tables.as_deref().unwrap_or_default(), stored, self.ycbcr_jpeg);
        let image = jpeg::image(&stream, format, Chroma::Smooth)?;
        let (width, mut data) = (image.width, image.data);
        if width != self.chunk.width || self.bits != 8 {
            return Err(format!("is a TIFF with a JPEG of {width}×{} pixels in the wrong place: the file is damaged", image.height));
        }
        data.resize(width * rows * samples, 0);
        Ok(data)
    }

    /// The image of a file whose strips are one JPEG in the way of TIFF 6.0, if it is such a file.
    pub(super) fn old_jpeg(&self, bytes: &[u8]) -> Result<Option<Pixels>, String> {
        let (Compression::OldJpeg, Some(from)) = (self.compression, self.old_jpeg) else { return Ok(None) };
        let stream = usize::try_from(from).ok().and_then(|from| bytes.get(from..)).filter(|stream| stream.starts_with(&[0xFF, 0xD8]));
        let image = jpeg::image(stream.ok_or(SHORT)?, PixelFormat::Rgb, Chroma::Blocks)?;
        let (width, height, rgb) = (image.width, image.height, image.data);
        if (width, height) != (self.width, self.height) {
            return Err(format!(
                "is a TIFF of {}×{} pixels around a JPEG of {width}×{height}: the file is damaged",
                self.width, self.height
            ));
        }
        Ok(Some(Pixels { width, height, rgb }))
    }
}

/// A JPEG with its tables put in, and told apart from others by Adobe's mark: whether its samples
/// are to be converted from YCbCr, or left alone.
fn whole_jpeg(tables: &[u8], stored: &[u8], ycbcr: bool) -> Vec<u8> {
    let mut stream = vec![0xFF, 0xD8, 0xFF, 0xEE, 0, 14];
    stream.extend_from_slice(b"Adobe\0\x64\0\0\0\0");
    stream.push(ycbcr.into());
    let tables = tables.strip_prefix(&[0xFF, 0xD8]).unwrap_or(tables);
    stream.extend_from_slice(tables.strip_suffix(&[0xFF, 0xD9]).unwrap_or(tables));
    // Marks of applications would contradict the tags.
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = stored.get(at..at + 4) {
        let end = stored.len().min(at + 2 + usize::from(u16::from_be_bytes([high, low])));
        if marker == 0xDA || end <= at + 2 {
            break;
        }
        if !(0xE0..=0xEF).contains(&marker) {
            stream.extend_from_slice(&stored[at..end]);
        }
        at = end;
    }
    stream.extend_from_slice(stored.get(at..).unwrap_or_default());
    stream
}

fn packbits(data: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(size.min(data.len().saturating_mul(64)));
    let mut rest = data;
    while out.len() < size {
        let (&count, after) = rest.split_first().ok_or(SHORT)?;
        rest = after;
        match count {
            0..128 => {
                let (copied, after) = rest.split_at_checked(usize::from(count) + 1).ok_or(SHORT)?;
                out.extend_from_slice(copied);
                rest = after;
            }
            128 => {}
            129.. => {
                let (&value, after) = rest.split_first().ok_or(SHORT)?;
                out.resize(out.len() + 257 - usize::from(count), value);
                rest = after;
            }
        }
    }
    out.truncate(size);
    Ok(out)
}

fn lzw(data: &[u8], size: usize) -> Result<Vec<u8>, String> {
    // Writers of the eighties put the lowest bits first, which shows in their first code.
    let mut decoder = if data.len() > 1 && data[0] == 0 && data[1] & 1 == 1 {
        weezl::decode::Decoder::new(BitOrder::Lsb, 8)
    } else {
        weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    let mut out = vec![0; size];
    let (mut from, mut to) = (0, 0);
    while to < size {
        let step = decoder.decode_bytes(&data[from..], &mut out[to..]);
        from += step.consumed_in;
        to += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(_) => return Err("the TIFF is damaged: its LZW data makes no sense".into()),
        }
    }
    if to < size { Err(SHORT.into()) } else { Ok(out) }
}

fn deflate(data: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut out = vec![0; size];
    ZlibDecoder::new(data).read_exact(&mut out).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => SHORT.to_owned(),
        _ => format!("the TIFF is damaged: {e}"),
    })?;
    Ok(out)
}
