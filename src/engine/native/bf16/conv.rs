//! Convolutions of maps in bf16 by AMX tiles, sums in f32.
//!
//! *Shape class*: dense convolutions, any window and stride. *Algorithm*: implicit GEMM. A tile's
//! rows are output pixels, loaded directly from their channels in the map, 32 of a pixel a line, at
//! every cell of the window in turn; nothing is unfolded or converted. Two tiles of pixels × 32
//! outputs are summed in tile registers over all channels and cells; bias, residual and activation
//! follow at once, and a line of a pixel is written, rounded once. A map in f32 is rounded to a
//! [`Panel`] first, a task's rows at a time; a map in bf16 is copied where strides would leave
//! tiles half empty. *Layout*: maps in bf16 with a halo (residual and output may be f32); weights
//! as in [`split_bf16`](crate::engine::native::split_bf16), steps going through the blocks of 32
//! channels and the cells of a block, so that a block's pixels stay in the first-level cache.

use std::ops::Range;

use super::layout::{Layout, Rows};
use super::panel::{DEEP, Panel};
use crate::engine::native::dense::{DenseSpec, to_outputs};
use crate::engine::native::finish::Finish;
use crate::engine::native::memory::{Operand, Unit};
use crate::engine::native::split::Split;
use crate::engine::native::split_bf16::Weights;
use crate::engine::native::step::Kernel;
use crate::plan::ConvShape;
use crate::simd::{Amx, Isa, LANES, Line, TILE_ROWS, Tiles};

/// Bytes of a line.
const LINE: usize = size_of::<Line>();

/// Bytes of a pair of weight tiles.
const STEP: usize = 2 * TILE_ROWS * LINE;

/// Floats of the sums of a group: two tiles × two output blocks.
const SUMS: usize = 2 * 2 * TILE_ROWS * LANES;

/// A prepared convolution.
pub(crate) struct Conv {
    label: String,
    amx: Amx,
    input: Operand,
    finish: Finish,
    conv: ConvShape,
    weights: Weights,
    /// Bytes from a tile to the left side of each step.
    offsets: Vec<usize>,
    /// Bytes from row to row of a tile.
    row: usize,
    /// Output rows of a task.
    rows: usize,
    /// Tiles of a task's rows, and of the last task's.
    layouts: [Layout; 2],
    /// Groups whose pixels stay in the first-level cache while weights go by.
    together: usize,
    panel: Option<Panel>,
}

impl Conv {
    /// Packs weights and cuts the map into tiles.
    pub(crate) fn new(amx: Amx, spec: DenseSpec<'_>) -> Conv {
        const PIXELS: usize = 1024;
        const PANEL: usize = 512 << 10;
        const CLOSE: usize = 20 << 10;
        let DenseSpec { conv, weight, bias, input, output, epilogue } = spec;
        let (from, to) = (input.map, output.map);
        assert!(conv.padding.iter().zip(from.halo).all(|(&p, h)| p <= h), "the halo holds the padding");
        let blocks = conv.input.div_ceil(DEEP);
        let split = |most: usize| {
            let tasks = to.pixels().div_ceil(PIXELS).max(to.height.div_ceil(most)).min(to.height);
            let rows = to.height.div_ceil(tasks);
            (rows, to.height - (to.height.div_ceil(rows) - 1) * rows)
        };
        let layout = |count: usize, pitch: usize, stride: [usize; 2]| Layout::new(Rows { count, width: to.width, pitch, stride });
        let (whole, last) = split(to.height);
        let plain = [whole, last].map(|rows| layout(rows, from.row / LANES, conv.stride));
        let most = (PANEL / (blocks * Panel::new(&conv, to.width, 1).block() * LINE)).clamp(1, to.height);
        let (rows, rest) = split(most);
        let panel = Panel::new(&conv, to.width, rows);
        let copied = [rows, rest].map(|rows| layout(rows, panel.pitch, [1, 1]));
        let weights = pack(&conv, weight);
        // Copying a line takes about twenty cycles for each share of the outputs.
        let products = |layout: &Layout, rows: usize| layout.cost() * weights.steps() * weights.pairs() * to.height.div_ceil(rows);
        let copying = 20 * blocks * panel.block() * to.height.div_ceil(rows) * shares(&weights);
        let direct = from.packed && products(&plain[0], whole) <= products(&copied[0], rows) + copying;
        let (panel, rows, layouts) = if direct { (None, whole, plain) } else { (Some(panel), rows, copied) };
        let [kh, kw] = conv.kernel;
        let cells = (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x)));
        let offset = |block: usize, (y, x): (usize, usize)| match &panel {
            Some(panel) => (block * panel.block() + panel.cell(y, x)) * LINE,
            None => (block * from.block + y * from.row + x * LANES) * size_of::<f32>(),
        };
        let pixels = blocks * LINE * if kh * kw == 1 { 2 * TILE_ROWS } else { kh * (2 * TILE_ROWS + kw) };
        Conv {
            label: format!("bf16 {}×{DEEP}{}", layouts[0].rows, if panel.is_some() { " panel" } else { "" }),
            amx,
            input,
            weights,
            offsets: (0..blocks).flat_map(|block| cells.clone().map(move |cell| offset(block, cell))).collect(),
            row: if panel.is_some() { LINE } else { conv.stride[1] * LINE },
            rows,
            layouts,
            together: (CLOSE / pixels).max(1),
            panel,
            finish: Finish::new(Isa::Amx(amx), output, epilogue, bias),
            conv,
        }
    }

    /// Tasks that an image's rows are cut into.
    fn chunks(&self) -> usize {
        self.finish.output.map.height.div_ceil(self.rows)
    }

    /// Products of some output pairs with all tiles of a layout, whose first window begins at
    /// `from`.
    ///
    /// # Safety
    /// The windows of all tiles are valid for reading from there.
    #[allow(clippy::too_many_arguments)]
    unsafe fn multiply(
        &self,
        tiles: &Tiles,
        unit: &Unit<'_>,
        from: *const u8,
        layout: &Layout,
        pairs: Range<usize>,
        first: [usize; 2],
        sums: &mut [f32],
    ) {
        for groups in layout.groups.chunks(self.together) {
            for pair in pairs.clone() {
                for group in groups {
                    let left = group.tiles.map(|tile| tile.map(|pixel| from.wrapping_add(pixel * LINE)));
                    // SAFETY: the caller promises the windows of all tiles of the layout, of which
                    // these are two.
                    unsafe { self.weights.multiply_tiles(tiles, pair, left, &self.offsets, self.row, sums) };
                    self.finish.pair(unit, pair, sums, 2 * TILE_ROWS, &layout.segments[group.segments.clone()], first);
                }
            }
        }
    }
}

/// Number of shares that outputs are cut into so that the weights of one stay in a core's cache.
fn shares(weights: &Weights) -> usize {
    const SHARE: usize = 1 << 20;
    (weights.pairs() * weights.steps() * STEP).div_ceil(SHARE)
}

fn pack(conv: &ConvShape, weight: &[f32]) -> Weights {
    let cells = conv.kernel[0] * conv.kernel[1];
    let mut weights = Weights::zeros(Split::One, conv.input.div_ceil(DEEP) * cells, conv.output.div_ceil(LANES));
    for block in 0..conv.output.div_ceil(LANES) {
        for (channel, cell) in (0..conv.input).flat_map(|c| (0..cells).map(move |k| (c, k))) {
            let values = to_outputs(conv, weight, block, channel, cell);
            weights.put(block, channel / DEEP * cells + cell, channel % DEEP / LANES, channel % LANES, &values);
        }
    }
    weights
}

impl Kernel for Conv {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.finish.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        // Outputs are shared out, too, where weights would not stay in the cache or images and rows
        // are too few.
        let parts = images * self.chunks();
        parts * shares(&self.weights).max(workers.div_ceil(parts)).min(self.weights.pairs())
    }

    fn scratch(&self, _: usize) -> usize {
        SUMS + self.panel.as_ref().map_or(0, |panel| panel.block() * LANES * self.conv.input.div_ceil(DEEP))
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let parts = unit.images * self.chunks();
        let (shares, share, part) = (tasks / parts, task / parts, task % parts);
        let (image, chunk) = (part / self.chunks(), part % self.chunks());
        let edge = |share: usize| self.weights.pairs() * share / shares;
        let layout = &self.layouts[usize::from(chunk + 1 == self.chunks())];
        let (map, y) = (self.input.map, chunk * self.rows);
        let window = map.origin - self.conv.padding[0] * map.row - self.conv.padding[2] * LANES + y * self.conv.stride[0] * map.row;
        let (sums, panel) = scratch.split_at_mut(SUMS);
        let from = match &self.panel {
            None => unit.at(&self.input, image).cast_const().wrapping_add(window),
            Some(own) => {
                let rows = self.rows.min(self.finish.output.map.height - y);
                own.fill(Isa::Amx(self.amx), &map, unit.at(&self.input, image), window, rows, panel);
                panel.as_ptr()
            }
        };
        let tiles = self.amx.tiles(layout.rows);
        // SAFETY: shape inference has every window inside the map and its halo, which `Unit::at`
        // checked; or they lie in the panel, rounded just now.
        unsafe { self.multiply(&tiles, unit, from.cast(), layout, edge(share)..edge(share + 1), [image, y], sums) };
    }
}
