//! The first image of a TIFF, strip by strip or tile by tile.

use std::borrow::Cow;

use super::colour::Colour;
use super::layout::Layout;
use crate::data::Pixels;
use crate::data::decode::ifd::Directory;
use crate::data::decode::turn::{turn_of_tiff, turned};

/// Pixels of the first image of a file, turned as its orientation asks for: Pillow turns TIFF
/// images, and no others, when it loads them.
pub(crate) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let directory = Directory::first(bytes).ok_or("the TIFF is truncated or damaged: it has no directory")?;
    let layout = Layout::read(&directory)?;
    let mut pixels = Pixels { width: layout.width, height: layout.height, rgb: vec![] };
    let pixels = if let Some(jpeg) = layout.old_jpeg(bytes)? {
        jpeg
    } else {
        pixels.rgb = layout.rgb(bytes)?;
        pixels
    };
    turned(pixels, turn_of_tiff(&directory))
}

/// Whether the first image is of gray of more than eight bits.
pub(crate) fn is_deep_gray(bytes: &[u8]) -> bool {
    let layout = Directory::first(bytes).and_then(|directory| Layout::read(&directory).ok());
    layout.is_some_and(|layout| matches!(layout.colour, Colour::Gray { .. }) && layout.bits > 8)
}

impl Layout {
    /// All strips or tiles, unpacked and joined.
    fn rgb(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut rgb = vec![];
        for down in 0..self.height.div_ceil(self.chunk.height) {
            let top = down * self.chunk.height;
            let rows = self.chunk.height.min(self.height - top);
            for across in 0..self.across() {
                let left = across * self.chunk.width;
                let columns = self.chunk.width.min(self.width - left);
                let number = down * self.across() + across;
                // A tile is whole even where the image ends in it; the last strip is not.
                let stored = if self.tiled { self.chunk.height } else { rows };
                let data = self.samples(bytes, number, stored)?;
                // The first chunk that is sound shows that it is worth to make room for all.
                rgb.resize(self.width * self.height * 3, 0);
                let row_bytes = data.len() / stored;
                for (y, row) in data.chunks_exact(row_bytes).take(rows).enumerate() {
                    let at = ((top + y) * self.width + left) * 3;
                    self.convert(row, columns, &mut rgb[at..at + columns * 3]);
                }
            }
        }
        Ok(rgb)
    }

    /// The samples of one strip or tile, pixel by pixel, whatever the order in which they are
    /// stored.
    fn samples<'b>(&self, bytes: &'b [u8], number: usize, rows: usize) -> Result<Cow<'b, [u8]>, String> {
        if !self.planar {
            return self.unpack(bytes, number, rows);
        }
        let chunks = self.across() * self.height.div_ceil(self.chunk.height);
        let width = self.bits / 8;
        let mut joined = vec![0; self.chunk.width * rows * width * self.samples];
        for plane in 0..self.samples {
            let data = self.unpack(bytes, plane * chunks + number, rows)?;
            let to = joined.chunks_exact_mut(width * self.samples);
            to.zip(data.chunks_exact(width)).for_each(|(pixel, sample)| pixel[plane * width..][..width].copy_from_slice(sample));
        }
        Ok(Cow::Owned(joined))
    }
}
