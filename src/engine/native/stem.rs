//! The first convolution of an image (the network's stem) in AMX tiles.
//!
//! *Shape class*: dense convolutions of a planar image of up to four channels. *Algorithm*: a row
//! of pixels is written as bf16 parts with the four channels of a pixel side by side, eight pixels
//! a line. In memory a row of a window then has the form of a tile's row: tiles are loaded directly
//! from there, their rows a stride's pixels apart and overlapping, and nothing is unfolded.
//! *Layout*: panels are `[part][row][pixel][4]`; weights as in [`super::split_bf16`], a step for
//! each row of the window and eight of its columns, zeros for absent columns and channels.

use super::dense::{DenseSpec, to_outputs};
use super::finish::{Finish, Segment};
use super::matrix;
use super::memory::{Operand, Unit};
use super::split::Split;
use super::split_bf16::{Walk, Weights};
use super::step::Kernel;
use crate::plan::ConvShape;
use crate::simd::{Amx, Isa, LANES, TILE_ROWS};

/// Channels of a pixel, absent ones included.
const CHANNELS: usize = 4;

/// Pixels of a line.
const PIXELS: usize = 8;

/// Bytes of a pixel in one part.
const PIXEL: usize = CHANNELS * size_of::<u16>();

/// A prepared convolution.
pub(super) struct Stem {
    amx: Amx,
    parts: Split,
    label: String,
    input: Operand,
    finish: Finish,
    conv: ConvShape,
    weights: Weights,
    /// Output rows of a task.
    rows: usize,
}

/// Steps of a row of the window.
fn chunks(conv: &ConvShape) -> usize {
    conv.kernel[1].div_ceil(PIXELS)
}

/// Whether tiles are faster, by the model of [`matrix`].
pub(super) fn worthwhile(conv: &ConvShape, parts: Split, output: [usize; 2]) -> bool {
    let positions = output[1].next_multiple_of(TILE_ROWS) as f64 / output[1] as f64;
    let wide = conv.output.next_multiple_of(2 * LANES) as f64;
    let product = 2.6 * parts.products() as f64 * (CHANNELS * PIXELS) as f64 * wide / 1024.0;
    let products = (conv.kernel[0] * chunks(conv)) as f64 * product * positions;
    conv.groups == 1 && conv.input <= CHANNELS && products + matrix::finish(wide) < matrix::direct(conv)
}

impl Stem {
    /// Packs weights.
    pub(super) fn new(amx: Amx, parts: Split, spec: DenseSpec<'_>) -> Stem {
        const POSITIONS: usize = 1024;
        let DenseSpec { conv, weight, bias, input, output, epilogue } = spec;
        assert!(input.map.lane == 1 && conv.input <= CHANNELS, "a planar image");
        assert!(conv.padding.iter().zip(input.map.halo).all(|(&p, h)| p <= h), "the halo holds the padding");
        Stem {
            amx,
            parts,
            label: format!("stem {}", parts.dtype()),
            input,
            finish: Finish::new(Isa::Amx(amx), output, epilogue, bias),
            weights: pack(&conv, parts, weight, conv.output.div_ceil(LANES)),
            conv,
            rows: (POSITIONS / output.map.width.next_multiple_of(TILE_ROWS)).clamp(1, output.map.height),
        }
    }

    /// Positions of a row of output: full tiles.
    fn positions(&self) -> usize {
        self.finish.output.map.width.next_multiple_of(TILE_ROWS)
    }

    /// Bytes of a row of the panel: up to the last tile's windows, in whole groups of sixteen
    /// pixels.
    fn row(&self) -> usize {
        let pixels = (self.positions() - 1) * self.conv.stride[1] + chunks(&self.conv) * PIXELS;
        pixels.next_multiple_of(TILE_ROWS) * PIXEL
    }

    /// Rows of input under the windows of `rows` rows of output.
    fn seen(&self, rows: usize) -> usize {
        (rows - 1) * self.conv.stride[0] + self.conv.kernel[0]
    }

    fn panel(&self) -> usize {
        self.parts.count() * self.seen(self.rows) * self.row() / size_of::<f32>()
    }

    /// Writes the input under the windows of some rows of output.
    fn fill(&self, unit: &Unit<'_>, image: usize, rows: &std::ops::Range<usize>, panel: &mut [f32]) {
        let map = self.input.map;
        let part = self.seen(rows.len()) * self.row();
        let left = map.halo[2] - self.conv.padding[2];
        // From the first window's first column to the last one's last, the halo included.
        let width = (map.halo[2] + map.width + map.halo[3] - left).min(self.row() / PIXEL);
        let above = map.halo[0] - self.conv.padding[0];
        let first = unit.at(&self.input, image).cast_const().wrapping_add(map.origin - map.halo[0] * map.row - map.halo[2] + left);
        for row in 0..self.seen(rows.len()) {
            let y = above + rows.start * self.conv.stride[0] + row;
            let planes = std::array::from_fn(|c| (c < map.channels).then(|| first.wrapping_add(c * map.block + y * map.row)));
            let at = row * self.row();
            // SAFETY: `Unit::at` checked that the map lies inside the arena; `width` values from
            // each plane's row on are inside the map, because shape inference has every window
            // inside the halo.
            unsafe { self.parts.interleave(self.amx.vectors(), planes, width, self.row() / PIXEL, panel, part, at) };
        }
    }
}

fn pack(conv: &ConvShape, parts: Split, weight: &[f32], blocks: usize) -> Weights {
    let [kh, kw] = conv.kernel;
    let mut weights = Weights::zeros(parts, kh * chunks(conv), blocks);
    for (block, channel) in (0..blocks).flat_map(|b| (0..conv.input).map(move |c| (b, c))) {
        for (y, x) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
            let values = to_outputs(conv, weight, block, channel, y * kw + x);
            let at = x % PIXELS * CHANNELS + channel;
            weights.put(block, y * chunks(conv) + x / PIXELS, at % 2, at / 2, &values);
        }
    }
    weights
}

impl Kernel for Stem {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.finish.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.finish.output.map.height.div_ceil(self.rows)
    }

    fn scratch(&self, _: usize) -> usize {
        self.panel() + 2 * self.positions() * LANES
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, scratch: &mut [f32]) {
        let map = self.finish.output.map;
        let per_image = map.height.div_ceil(self.rows);
        let (image, first) = (task / per_image, task % per_image * self.rows);
        let rows = first..(first + self.rows).min(map.height);
        let (panel, sums) = scratch.split_at_mut(self.panel());
        self.fill(unit, image, &rows, panel);
        let [sy, sx] = self.conv.stride;
        let steps = (0..self.conv.kernel[0]).flat_map(|y| (0..chunks(&self.conv)).map(move |c| y * self.row() + c * PIXELS * PIXEL));
        let steps: Vec<usize> = steps.collect();
        let configured = self.amx.tiles(TILE_ROWS);
        // A row at a time: its sums stay in the first-level cache.
        for y in 0..rows.len() {
            let tiles = (0..self.positions()).step_by(TILE_ROWS).map(|x| y * sy * self.row() + x * sx * PIXEL);
            let walk = Walk::new(self.seen(rows.len()) * self.row(), sx * PIXEL, tiles.collect(), steps.clone());
            let segment = Segment { row: 0, image, y: rows.start + y, x: 0, len: map.width };
            for pair in 0..self.weights.pairs() {
                self.weights.multiply(&configured, pair, panel, &walk, sums);
                self.finish.pair(unit, pair, sums, walk.rows(), std::slice::from_ref(&segment), [0, 0]);
            }
        }
    }
}
