//! What the tags of a TIFF say about how its pixels are stored, with Pillow's leniency.

use super::colour::{Colour, YCbCr};
use crate::data::decode::ifd::Directory;
use crate::data::decode::limits::{MAX_PIXELS, check_size};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const STRIP_BYTES: u16 = 279;
const PLANAR: u16 = 284;
const FAX_OPTIONS: u16 = 292;
const PREDICTOR: u16 = 317;
const PALETTE: u16 = 320;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
const FORMAT: u16 = 339;
const JPEG_TABLES: u16 = 347;
const OLD_JPEG: u16 = 513;
const LUMA: u16 = 529;
const SUBSAMPLING: u16 = 530;
const BLACK_AND_WHITE: u16 = 532;

/// Largest number of samples a pixel: an image with more is not a photo, and no file may ask for
/// unbounded memory.
const MOST_SAMPLES: u64 = 16;
/// Bytes that a strip or tile may have when it is unpacked.
const LARGEST_CHUNK: usize = 4 * MAX_PIXELS as usize;

/// How the pixels of an image are stored.
pub(super) struct Layout {
    pub width: usize,
    pub height: usize,
    /// Size of a strip or tile.
    pub chunk: Size,
    pub tiled: bool,
    /// Samples a pixel, extra ones included.
    pub samples: usize,
    /// Bits a sample.
    pub bits: usize,
    pub format: Format,
    pub colour: Colour,
    /// Whether colours are multiplied by an alpha that follows them.
    pub premultiplied: bool,
    /// Whether each sample has strips or tiles of its own.
    pub planar: bool,
    pub compression: Compression,
    pub predictor: u64,
    /// Whether the bits of a byte come in reverse.
    pub reversed: bool,
    pub big_endian: bool,
    pub offsets: Vec<u64>,
    /// Bytes of each strip or tile in the file, where it says so.
    pub stored: Vec<u64>,
    pub jpeg_tables: Option<Vec<u8>>,
    /// Whether JPEGs hold luminance and colour differences, which their decoder turns to RGB.
    pub ycbcr_jpeg: bool,
    /// Where an old-style JPEG starts.
    pub old_jpeg: Option<u64>,
}

/// Columns and rows.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub width: usize,
    pub height: usize,
}

/// What the bits of a sample mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Unsigned,
    Signed,
    Float,
}

/// What strips and tiles are packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Modified Huffman: rows of run lengths.
    Runs,
    /// Fax group 3, perhaps in two dimensions.
    Group3 {
        two_dimensional: bool,
    },
    Group4,
    Lzw,
    OldJpeg,
    Jpeg,
    Deflate,
    PackBits,
}

impl Compression {
    fn read(tags: &Directory<'_>) -> Result<Compression, String> {
        let name = match tags.first_number(COMPRESSION).unwrap_or(1) {
            1 => return Ok(Compression::None),
            2 => return Ok(Compression::Runs),
            3 => {
                let two_dimensional = tags.first_number(FAX_OPTIONS).is_some_and(|options| options & 1 == 1);
                return Ok(Compression::Group3 { two_dimensional });
            }
            4 => return Ok(Compression::Group4),
            5 => return Ok(Compression::Lzw),
            6 => return Ok(Compression::OldJpeg),
            7 => return Ok(Compression::Jpeg),
            8 | 32946 => return Ok(Compression::Deflate),
            32773 => return Ok(Compression::PackBits),
            32809 => "ThunderScan".into(),
            33003 | 33005 | 34712 => "JPEG 2000".into(),
            34676 | 34677 => "SGI Log".into(),
            34887 => "LERC".into(),
            34892 => "lossy JPEG of a RAW file".into(),
            34925 => "LZMA".into(),
            50000 => "Zstandard".into(),
            50001 => "WebP".into(),
            50002 => "JPEG XL".into(),
            other => format!("method {other}"),
        };
        Err(format!("is a TIFF compressed with {name}, which is not read: convert it to PNG or JPEG"))
    }
}

impl Layout {
    /// Reads the tags and refuses what is damaged, or of a kind that is not read.
    pub(super) fn read(tags: &Directory<'_>) -> Result<Layout, String> {
        let number = |tag, otherwise| tags.first_number(tag).unwrap_or(otherwise);
        let (width, height) = (number(WIDTH, 0), number(HEIGHT, 0));
        check_size(width, height)?;
        let (width, height) = (width as usize, height as usize);
        let compression = Compression::read(tags)?;
        let photometric = if compression == Compression::OldJpeg { 6 } else { number(PHOTOMETRIC, 0) };
        let planar = number(PLANAR, 1) == 2;
        let mut samples = number(SAMPLES, if compression == Compression::OldJpeg { 3 } else { 1 });
        let mut extra = tags.numbers(EXTRA_SAMPLES).unwrap_or_default();
        // Planes of their own that mean nothing in particular can be left out.
        if planar && extra.iter().all(|&meaning| meaning == 0) {
            samples = samples.saturating_sub(extra.len() as u64);
            extra.clear();
        }
        if samples == 0 || samples > MOST_SAMPLES {
            return Err(format!("is a TIFF of {samples} samples a pixel: no photo"));
        }
        let bits = tags.numbers(BITS).unwrap_or_else(|| vec![1]);
        let bits = bits[..bits.len().min(samples as usize)].to_vec();
        let formats = tags.numbers(FORMAT).unwrap_or_else(|| vec![1]);
        let formats = formats[..formats.len().min(samples as usize)].to_vec();
        let (&bit, &format) = (bits.first().unwrap_or(&1), formats.first().unwrap_or(&1));
        if bits.iter().any(|&other| other != bit) || formats.iter().any(|&other| other != format) {
            return Err("is a TIFF whose samples are of several kinds: convert it to PNG or JPEG".into());
        }
        let colour = Self::colour(tags, photometric, compression)?;
        let format = match format {
            1 | 4 => Format::Unsigned,
            2 => Format::Signed,
            3 => Format::Float,
            other => return Err(format!("is a TIFF whose samples are of format {other}: no photo")),
        };
        let tiled = tags.numbers(STRIP_OFFSETS).is_none_or(|offsets| offsets.is_empty()) && tags.numbers(TILE_OFFSETS).is_some();
        let chunk = if tiled {
            (number(TILE_WIDTH, 0), number(TILE_HEIGHT, 0))
        } else {
            (width as u64, number(ROWS_PER_STRIP, u64::MAX).min(height as u64))
        };
        if chunk.0 == 0 || chunk.1 == 0 {
            return Err("is a TIFF with empty strips or tiles: the file is damaged".into());
        }
        let size = |n| usize::try_from(n).unwrap_or(usize::MAX);
        let (offsets, stored) = if tiled { (TILE_OFFSETS, TILE_BYTES) } else { (STRIP_OFFSETS, STRIP_BYTES) };
        let layout = Layout {
            width,
            height,
            chunk: Size { width: size(chunk.0), height: size(chunk.1) },
            tiled,
            samples: samples as usize,
            bits: bit as usize,
            format,
            colour,
            premultiplied: extra.first() == Some(&1),
            planar: planar && samples > 1,
            compression,
            predictor: number(PREDICTOR, 1),
            reversed: number(FILL_ORDER, 1) == 2,
            big_endian: tags.big_endian,
            offsets: tags.numbers(offsets).unwrap_or_default(),
            stored: tags.numbers(stored).unwrap_or_default(),
            ycbcr_jpeg: photometric == 6,
            jpeg_tables: tags.data(JPEG_TABLES).map(<[u8]>::to_vec),
            old_jpeg: tags.first_number(OLD_JPEG),
        };
        layout.check().map(|()| layout)
    }

    fn colour(tags: &Directory<'_>, photometric: u64, compression: Compression) -> Result<Colour, String> {
        Ok(match photometric {
            0 => Colour::Gray { inverted: true },
            1 => Colour::Gray { inverted: false },
            2 => Colour::Rgb,
            3 => {
                let map = tags.numbers(PALETTE).ok_or("is a TIFF whose palette is missing: the file is damaged")?;
                let high = |i: usize| (map[i] >> 8) as u8;
                let n = map.len() / 3;
                Colour::Palette((0..n).map(|i| [high(i), high(n + i), high(2 * n + i)]).collect())
            }
            5 => Colour::Cmyk,
            6 if tags.first_number(SAMPLES) == Some(1) => Colour::Gray { inverted: false },
            // The conversion is libjpeg's own.
            6 if compression == Compression::Jpeg && tags.first_number(PLANAR) != Some(2) => Colour::Rgb,
            6 => {
                let blocks = tags.numbers(SUBSAMPLING).filter(|blocks| blocks.len() >= 2);
                // Without compression Pillow converts by itself, and takes what is not said for one
                // value a pixel.
                let otherwise = if compression == Compression::None { 1 } else { 2 };
                let block = blocks.map_or([otherwise; 2], |blocks| [blocks[0], blocks[1]]);
                if !block.iter().all(|n| [1, 2, 4].contains(n)) {
                    return Err("is a TIFF whose colours are shared by odd blocks of pixels: the file is damaged".into());
                }
                let block = block.map(|n| n as usize);
                Colour::YCbCr(if compression == Compression::None && block == [1, 1] {
                    Box::new(YCbCr::of_pillow())
                } else {
                    Box::new(YCbCr::of_libtiff(block, tags.fractions(LUMA), tags.fractions(BLACK_AND_WHITE)))
                })
            }
            8 => Colour::Lab,
            32803 => return Err("holds the raw samples of a camera's sensor, not a photo: develop it to JPEG or PNG".into()),
            other => return Err(format!("is a TIFF of colours of kind {other}, which is not read: convert it to PNG or JPEG")),
        })
    }

    /// Refuses what [`Layout::convert`] does not know, and what would take too much memory.
    fn check(&self) -> Result<(), String> {
        use Format::{Float, Signed, Unsigned};
        let single = matches!(self.colour, Colour::Gray { .. } | Colour::Palette(_));
        let known = match (&self.colour, self.bits, self.format) {
            (Colour::Gray { .. } | Colour::Palette(_), 1 | 2 | 4 | 12, Unsigned) => self.samples == 1,
            (Colour::Gray { .. }, 8 | 16 | 32, Unsigned | Signed) | (Colour::Gray { .. }, 32, Float) => true,
            (Colour::Palette(_), 8, Unsigned) => true,
            (Colour::Rgb | Colour::Cmyk, 8 | 16, Unsigned) => true,
            (Colour::YCbCr(ycbcr), 8, Unsigned) => ycbcr.block == [1, 1] || !self.planar && self.samples == 3,
            (Colour::Lab, 8, Unsigned) => true,
            _ => false,
        };
        if !known || self.samples < self.colour.samples() {
            let kind = match self.format {
                Unsigned => "unsigned",
                Signed => "signed",
                Float => "floating point",
            };
            let colour = if single { self.colour.name().to_owned() } else { format!("{} of {} samples", self.colour.name(), self.samples) };
            return Err(format!("is a TIFF of {}-bit {kind} {colour}, which is not read: convert it to PNG or JPEG", self.bits));
        }
        let planes = if self.planar { self.samples } else { 1 };
        let bytes = self.row_bytes().checked_mul(self.chunk.height).and_then(|bytes| bytes.checked_mul(planes));
        if bytes.is_none_or(|bytes| bytes > LARGEST_CHUNK) {
            return Err(format!("is a TIFF in one piece of {}×{} pixels: too large to be unpacked", self.chunk.width, self.chunk.height));
        }
        Ok(())
    }

    /// Strips or tiles beside each other.
    pub(super) fn across(&self) -> usize {
        self.width.div_ceil(self.chunk.width)
    }

    /// Bytes of a row of a strip or tile, of one plane where planes are apart.
    pub(super) fn row_bytes(&self) -> usize {
        let samples = if self.planar { 1 } else { self.samples };
        self.chunk.width.saturating_mul(self.bits * samples).div_ceil(8)
    }
}
