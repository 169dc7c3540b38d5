//! Convolutions as matrix products in AMX tiles.
//!
//! *Shape class*: dense convolutions of sixteen channels and more, any window and stride.
//! *Algorithm*: implicit GEMM. A task takes some output pixels (of several images where these go
//! through a layer together), writes the inputs under their windows as a panel of digits, a row for
//! each pixel, and multiplies it by the weights, two output blocks at a time; bias, residual and
//! activation follow at once. *Layout*: blocked maps with a halo; panels and weights as in
//! [`super::split_int8`], rows going through the cells of a window and the blocks of a cell.

use std::ops::Range;

use super::dense::{DenseSpec, to_outputs};
use super::finish::{Finish, Segment};
use super::memory::{Operand, Unit};
use super::split::Split;
use super::split_int8::{self, DEEP, Destination, Rows, Run, Weights};
use super::step::Kernel;
use crate::plan::ConvShape;
use crate::simd::{Amx, Isa, LANES, TILE_ROWS};

/// Most pixels of a task.
const MOST: usize = 512;

/// Pixels whose products are finished together: their sums stay in the first-level cache.
const TOGETHER: usize = 4 * TILE_ROWS;

/// A prepared convolution.
pub(super) struct Matrix {
    amx: Amx,
    label: String,
    digits: Split,
    input: Operand,
    finish: Finish,
    /// Rows and columns of output as they are walked: one row where none has a gap.
    output: [usize; 2],
    /// Offset of the first output pixel's window.
    window: usize,
    /// From there to the window of the pixel below, and of the next one.
    strides: [usize; 2],
    /// The runs of a window.
    runs: Vec<Run>,
    weights: Weights,
    /// Most pixels of a task.
    most: usize,
}

/// Whether tiles are faster than vectors.
pub(super) fn worthwhile(conv: &ConvShape, digits: Split, output: [usize; 2]) -> bool {
    let deep = conv.input.next_multiple_of(LANES) * conv.kernel[0] * conv.kernel[1];
    let fits = conv.groups == 1 && conv.input >= LANES && deep <= split_int8::DEEPEST && output[0] * output[1] > 1;
    fits && cost(conv, digits) < direct(conv)
}

// A model of cycles for an output pixel, its constants fitted to profiles.

/// Direct convolution by vectors.
pub(super) fn direct(conv: &ConvShape) -> f64 {
    1.05 * (conv.input * conv.kernel[0] * conv.kernel[1]) as f64 * conv.output.next_multiple_of(LANES) as f64 / 32.0
}

/// Direct convolution in tiles.
pub(super) fn cost(conv: &ConvShape, digits: Split) -> f64 {
    let deep = (split_int8::steps(conv.input.next_multiple_of(LANES) * conv.kernel[0] * conv.kernel[1]) * DEEP) as f64;
    let wide = conv.output.next_multiple_of(2 * LANES) as f64;
    deep + product(digits, deep, wide) + weights(digits, deep, wide) / MOST as f64 + finish(wide)
}

/// A row of a product.
pub(super) fn product(digits: Split, deep: f64, wide: f64) -> f64 {
    3.1 * digits.products() as f64 * deep * wide / 2048.0 + 0.1 * digits.count() as f64 * wide
}

/// Reading a product's weights from the third-level cache.
pub(super) fn weights(digits: Split, deep: f64, wide: f64) -> f64 {
    const BYTES: f64 = 4.6;
    deep * wide * digits.count() as f64 / BYTES
}

/// The end of a product.
pub(super) fn finish(wide: f64) -> f64 {
    4.0 * wide / LANES as f64
}

impl Matrix {
    /// Packs weights.
    pub(super) fn new(amx: Amx, digits: Split, spec: DenseSpec<'_>) -> Matrix {
        const PANEL: usize = 5 << 18;
        let DenseSpec { conv, weight, bias, input, output, epilogue } = spec;
        let (from, to) = (input.map, output.map);
        assert!(conv.padding.iter().zip(from.halo).all(|(&p, h)| p <= h), "the halo holds the padding");
        let residual_is_flat = epilogue.residual.is_none_or(|r| r.map.is_flat());
        let flat = conv.kernel == [1, 1] && conv.stride == [1, 1] && from.is_flat() && to.is_flat() && residual_is_flat;
        let cells = (0..conv.kernel[0]).flat_map(|y| (0..conv.kernel[1]).map(move |x| y * from.row + x * LANES));
        let runs: Vec<Run> = cells
            .flat_map(|cell| (0..from.blocks()).map(move |b| Run { offset: cell + b * from.block, lanes: from.wanted_lanes(b) }))
            .collect();
        // Panels that stay in the second-level cache, but enough rows to use each weight often.
        let row = digits.tile_floats(runs.len().div_ceil(4)) * size_of::<f32>() / TILE_ROWS;
        Matrix {
            amx,
            label: format!("tiles {}", digits.dtype()),
            digits,
            input,
            finish: Finish::new(Isa::Amx(amx), output, epilogue, bias),
            output: if flat { [1, to.pixels()] } else { [to.height, to.width] },
            window: from.origin - conv.padding[0] * from.row - conv.padding[2] * LANES,
            strides: [conv.stride[0] * from.row, conv.stride[1] * LANES],
            weights: pack(&conv, digits, weight, to.blocks()),
            runs,
            most: (PANEL / row).clamp(96, MOST).next_multiple_of(TOGETHER),
        }
    }

    /// Output pixels of an image.
    fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Some pixels as they lie side by side, their rows counted from the first.
    fn segments(&self, pixels: Range<usize>) -> Vec<Segment> {
        let width = self.output[1];
        let mut segments = vec![];
        let mut next = pixels.start;
        while next < pixels.end {
            let (image, pixel) = (next / self.pixels(), next % self.pixels());
            let (y, x) = (pixel / width, pixel % width);
            let len = (width - x).min(pixels.end - next);
            segments.push(Segment { row: next - pixels.start, image, y, x, len });
            next += len;
        }
        segments
    }

    /// Writes the input under the windows of up to sixteen pixels.
    fn fill(&self, unit: &Unit<'_>, pixels: Range<usize>, tile: &mut [f32]) {
        assert!(tile.len() >= self.digits.tile_floats(self.weights.steps()));
        let count = pixels.len();
        let mut from = [std::ptr::null(); TILE_ROWS];
        for Segment { row, image, y, x, len } in self.segments(pixels) {
            let first = unit.at(&self.input, image).cast_const().wrapping_add(self.window + y * self.strides[0] + x * self.strides[1]);
            from[row..row + len].iter_mut().enumerate().for_each(|(i, from)| *from = first.wrapping_add(i * self.strides[1]));
        }
        let last = from[count - 1];
        from[count..].fill(last);
        let rows = Rows { from, count, runs: &self.runs };
        // SAFETY: `Unit::at` checked the map, and shape inference has every window inside the halo;
        // the tile has the floats that are written, as asserted.
        unsafe { rows.fill(self.amx.vectors(), self.digits, &Destination { tile: tile.as_mut_ptr(), index: 0, panel: None }) };
    }
}

fn pack(conv: &ConvShape, digits: Split, weight: &[f32], blocks: usize) -> Weights {
    let cells = conv.kernel[0] * conv.kernel[1];
    // Channels as rows have them: whole blocks for each cell.
    let padded = conv.input.next_multiple_of(LANES);
    let mut weights = Weights::zeros(digits, cells * padded, blocks, 1);
    let writer = weights.writer(0);
    let mut values = vec![[0.0f32; LANES]; cells * padded];
    // Layers are packed in parallel already.
    for block in 0..blocks {
        for (channel, cell) in (0..conv.input).flat_map(|c| (0..cells).map(move |k| (c, k))) {
            values[cell * padded + channel] = to_outputs(conv, weight, block, channel, cell);
        }
        // SAFETY: this thread alone fills the matrix.
        unsafe { writer.put(block, &values) };
    }
    weights
}

impl Kernel for Matrix {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.finish.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        let all = images * self.pixels();
        all.div_ceil(self.most).max(workers.min(all / (2 * TILE_ROWS))).max(1)
    }

    fn scratch(&self, images: usize) -> usize {
        let rows = self.most.min(images * self.pixels());
        self.digits.panel_floats(self.weights.steps(), rows) + 2 * TOGETHER * LANES
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let all = unit.images * self.pixels();
        let edge = |task: usize| (all.div_ceil(TILE_ROWS) * task / tasks * TILE_ROWS).min(all);
        let pixels = edge(task)..edge(task + 1);
        let tile = self.digits.tile_floats(self.weights.steps());
        let (sums, panel) = scratch.split_at_mut(2 * TOGETHER * LANES);
        let some = |of: Range<usize>, n: usize| of.clone().step_by(n).map(move |first| first..(first + n).min(of.end));
        for (pixels, tile) in some(pixels.clone(), TILE_ROWS).zip(panel.chunks_exact_mut(tile)) {
            self.fill(unit, pixels, tile);
        }
        let together: Vec<(usize, Vec<Segment>)> =
            some(pixels, TOGETHER).map(|pixels| (pixels.len().next_multiple_of(TILE_ROWS), self.segments(pixels))).collect();
        let tiles = self.amx.tiles(TILE_ROWS);
        for pair in 0..self.weights.pairs() {
            for ((rows, segments), panel) in together.iter().zip(panel.chunks(TOGETHER / TILE_ROWS * tile)) {
                self.weights.multiply(&tiles, [0, pair], None, panel, *rows, sums);
                self.finish.pair(unit, pair, sums, *rows, segments, [0, 0]);
            }
        }
    }
}
