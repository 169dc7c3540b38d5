//! From the samples of a TIFF to RGB, in Pillow's and libtiff's arithmetic.

use super::colour::Colour;
use super::lab;
use super::layout::{Format, Layout};

impl Layout {
    /// Writes the first `columns` pixels of a row of samples as RGB.
    pub(super) fn convert(&self, row: &[u8], columns: usize, rgb: &mut [u8]) {
        let pixels = rgb.chunks_exact_mut(3).take(columns);
        // The high byte of sixteen bits is what counts.
        let wide = self.bits / 8;
        let high = if self.big_endian { 0 } else { wide.saturating_sub(1) };
        let samples = self.samples;
        let sample = |x: usize, n: usize| row[(x * samples + n) * wide + high];
        match &self.colour {
            Colour::Gray { inverted } => pixels.enumerate().for_each(|(x, rgb)| {
                let value = self.gray(row, x * samples, *inverted);
                let gray = if self.premultiplied && samples > 1 { divided(value, sample(x, 1)) } else { value };
                rgb.fill(gray);
            }),
            Colour::Palette(palette) => pixels.enumerate().for_each(|(x, rgb)| {
                let index = packed(row, x * samples, self.bits);
                rgb.copy_from_slice(&palette.get(index).copied().unwrap_or_default());
            }),
            Colour::Rgb if samples == 3 && self.bits == 8 => rgb.copy_from_slice(&row[..columns * 3]),
            Colour::Rgb if samples > 3 && self.premultiplied => pixels.enumerate().for_each(|(x, rgb)| {
                rgb.iter_mut().enumerate().for_each(|(n, value)| *value = divided(sample(x, n), sample(x, 3)));
            }),
            Colour::Rgb => pixels.enumerate().for_each(|(x, rgb)| {
                rgb.iter_mut().enumerate().for_each(|(n, value)| *value = sample(x, n));
            }),
            Colour::Cmyk => pixels.enumerate().for_each(|(x, rgb)| {
                let light = 255 - sample(x, 3);
                rgb.iter_mut().enumerate().for_each(|(n, value)| *value = light - product(sample(x, n), light));
            }),
            Colour::YCbCr(ycbcr) => {
                // Blocks of pixels are unfolded to three samples each.
                let step = if ycbcr.block == [1, 1] { samples } else { 3 };
                pixels.zip(row.chunks_exact(step)).for_each(|(rgb, v)| rgb.copy_from_slice(&ycbcr.rgb(v[0], v[1], v[2])));
            }
            Colour::Lab => pixels.enumerate().for_each(|(x, rgb)| {
                rgb.copy_from_slice(&lab::rgb([sample(x, 0), sample(x, 1), sample(x, 2)]));
            }),
        }
    }

    /// A gray sample in eight bits: fewer are spread, more are cut off at 255, as Pillow does.
    fn gray(&self, row: &[u8], number: usize, inverted: bool) -> u8 {
        let ordered = |bytes: &[u8]| if self.big_endian { fold(bytes.iter()) } else { fold(bytes.iter().rev()) };
        let wide = self.bits / 8;
        let value = || ordered(&row[number * wide..(number + 1) * wide]);
        match (self.bits, self.format) {
            (1 | 2 | 4 | 8, _) => {
                let largest = (1 << self.bits) - 1;
                let value = packed(row, number, self.bits);
                (if inverted { largest - value } else { value } * (255 / largest)) as u8
            }
            (12, _) => packed(row, number, 12).min(255) as u8,
            (16, Format::Signed) => (value() as i16).clamp(0, 255) as u8,
            (16, _) => value().min(255) as u8,
            (_, Format::Float) => f32::from_bits(value()) as u8,
            _ => (value() as i32).clamp(0, 255) as u8,
        }
    }
}

fn fold<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

/// The n-th number of up to twelve bits in a row, the highest bits first.
fn packed(row: &[u8], n: usize, bits: usize) -> usize {
    match bits {
        8 => usize::from(row[n]),
        12 => {
            let pair = usize::from(row[n * 3 / 2]) << 8 | usize::from(row[n * 3 / 2 + 1]);
            if n.is_multiple_of(2) { pair >> 4 } else { pair & 0xFFF }
        }
        _ => usize::from(row[n * bits / 8]) >> (8 - bits - n * bits % 8) & ((1 << bits) - 1),
    }
}

/// A colour that was multiplied by alpha, without it.
fn divided(value: u8, alpha: u8) -> u8 {
    match alpha {
        0 => 0,
        255 => value,
        alpha => (u32::from(value) * 255 / u32::from(alpha)).min(255) as u8,
    }
}

/// The product of two fractions of 255, rounded.
fn product(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}
