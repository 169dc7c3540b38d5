//! What the samples of a TIFF mean.

/// What the samples of a pixel are.
pub(super) enum Colour {
    /// One sample; inverted where zero is white.
    Gray {
        inverted: bool,
    },
    /// One sample, a number in a palette.
    Palette(Vec<[u8; 3]>),
    Rgb,
    Cmyk,
    YCbCr(Box<YCbCr>),
    /// Lightness and two signed axes of colour.
    Lab,
}

impl Colour {
    /// Samples that make the colour; more may follow.
    pub(super) fn samples(&self) -> usize {
        match self {
            Colour::Gray { .. } | Colour::Palette(_) => 1,
            Colour::Rgb | Colour::YCbCr(_) | Colour::Lab => 3,
            Colour::Cmyk => 4,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Colour::Gray { .. } => "gray",
            Colour::Palette(_) => "palette",
            Colour::Rgb => "RGB",
            Colour::Cmyk => "CMYK",
            Colour::YCbCr(_) => "YCbCr",
            Colour::Lab => "Lab",
        }
    }
}

/// The conversion of luminance and colour differences, in tables.
pub(super) struct YCbCr {
    /// Columns and rows that share their colour differences.
    pub block: [usize; 2],
    luma: [i32; 256],
    red: [i32; 256],
    blue: [i32; 256],
    green_of_red: [i32; 256],
    green_of_blue: [i32; 256],
    /// Bits of the fractions of green.
    shift: u32,
}

impl YCbCr {
    /// Pillow's own, of files without compression.
    pub(super) fn of_pillow() -> YCbCr {
        // The tables hold 64ths, rounded towards zero from a half more.
        let table = |factor: f64| std::array::from_fn(|i| ((i as f64 - 128.0) * factor * 64.0 + 0.5) as i32);
        let whole = |factor: f64| table(factor).map(|value: i32| value >> 6);
        YCbCr {
            block: [1, 1],
            luma: std::array::from_fn(|i| i as i32),
            red: whole(1.402),
            blue: whole(1.772),
            green_of_red: table(-0.71414),
            green_of_blue: table(-0.34414),
            shift: 6,
        }
    }

    /// libtiff's: the file may name the weights of luminance, and what is black and white.
    pub(super) fn of_libtiff(block: [usize; 2], luma: Option<Vec<f32>>, range: Option<Vec<f32>>) -> YCbCr {
        let [red, green, blue] = luma.and_then(|luma| luma.first_chunk().copied()).unwrap_or([0.299, 0.587, 0.114]);
        let range = range.and_then(|range| range.first_chunk().copied()).unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        let fixed = |factor: f32| (factor.clamp(0.0, 2.0) * 65536.0 + 0.5) as i32;
        let (of_red, of_blue) = (2.0 - 2.0 * red, 2.0 - 2.0 * blue);
        let (green_of_red, green_of_blue) = (-fixed(red * of_red / green), -fixed(blue * of_blue / green));
        let spread = |code: f32, black: f32, white: f32, full: f32| {
            let width = if white == black { 1.0 } else { white - black };
            (((code - black) * full) / width).clamp(-4096.0, 4096.0) as i32
        };
        let difference = |i: usize, black: f32, white: f32| spread(i as f32 - 128.0, black - 128.0, white - 128.0, 127.0);
        let cb: [i32; 256] = std::array::from_fn(|i| difference(i, range[2], range[3]));
        let cr: [i32; 256] = std::array::from_fn(|i| difference(i, range[4], range[5]));
        YCbCr {
            block,
            luma: std::array::from_fn(|i| spread(i as f32, range[0], range[1], 255.0)),
            red: cr.map(|v| (fixed(of_red) * v + (1 << 15)) >> 16),
            blue: cb.map(|v| (fixed(of_blue) * v + (1 << 15)) >> 16),
            green_of_red: cr.map(|v| green_of_red * v),
            green_of_blue: cb.map(|v| green_of_blue * v + (1 << 15)),
            shift: 16,
        }
    }

    pub(super) fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let (y, cb, cr) = (self.luma[usize::from(y)], usize::from(cb), usize::from(cr));
        let green = (self.green_of_blue[cb] + self.green_of_red[cr]) >> self.shift;
        [y + self.red[cr], y + green, y + self.blue[cb]].map(|value| value.clamp(0, 255) as u8)
    }

    /// Bytes of a strip or tile in which blocks share their colour differences.
    pub(super) fn packed_bytes(&self, width: usize, rows: usize) -> usize {
        let [across, down] = self.block;
        width.div_ceil(across) * rows.div_ceil(down) * (across * down + 2)
    }

    /// Gives each pixel of a strip or tile its own three samples.
    pub(super) fn unfold(&self, data: &[u8], width: usize, rows: usize) -> Vec<u8> {
        let [across, down] = self.block;
        let bytes = across * down + 2;
        let mut pixels = vec![0; width * rows * 3];
        for (number, block) in data.chunks_exact(bytes).enumerate() {
            let (left, top) = (number % width.div_ceil(across) * across, number / width.div_ceil(across) * down);
            for y in top..rows.min(top + down) {
                for x in left..width.min(left + across) {
                    let pixel = [block[(y - top) * across + x - left], block[bytes - 2], block[bytes - 1]];
                    pixels[(y * width + x) * 3..][..3].copy_from_slice(&pixel);
                }
            }
        }
        pixels
    }
}
