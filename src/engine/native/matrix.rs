//! Convolutions as matrix products in AMX tiles.
//!
//! *Shape class*: dense convolutions of sixteen channels and more, any window and stride. *Algorithm*: implicit GEMM. A task takes some
//! output pixels (of several images where these go through a layer together), splits what their windows see into a panel of bf16 parts, and
//! multiplies it by the weights, two output blocks at a time; bias, residual and activation follow at once. *Layout*: blocked maps with a
//! halo; weights as [`super::amx`] has them, a step for each pair of channel blocks and cell of the window; panels as [`Grid`] says.

use super::amx::{DEEP, Parts, Pixels, ROWS, Session, Walk, Weights, steps};
use super::dense::DenseSpec;
use super::epilogue::{Activate, Epilogue};
use super::memory::{Operand, Unit};
use super::pointwise::by_block;
use super::simd::{Isa, LANES, Line, Simd, Vectorized, dispatch};
use super::step::Kernel;
use crate::plan::ConvShape;

/// Most positions of a task.
const MOST: usize = 512;

/// A prepared convolution.
pub struct Matrix {
    parts: Parts,
    label: String,
    input: Operand,
    finish: Finish,
    /// Where the first output pixel's window begins in a block.
    window: usize,
    grid: Grid,
    weights: Weights,
    /// Most positions of a task.
    most: usize,
}

/// How output pixels and what their windows see are numbered, so that each input pixel is split once for all cells that read it.
///
/// The input is taken apart by the stride into planes, of which each holds every so many rows and columns. Output pixel (y, x) has position
/// y · width + x, and cell (ky, kx) of its window is line y · width + x + (ky / sy) · width + kx / sx of plane (ky mod sy, kx mod sx): the
/// windows of sixteen positions in a row are sixteen lines in a row, at each cell. A row has as many positions as a plane has columns; those
/// right of the output's last column are computed and not kept.
struct Grid {
    /// Rows and columns of output as they are walked: one row where none has a gap.
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Positions of a row.
    width: usize,
    /// Positions of an image: full tiles where windows have several cells.
    image: usize,
    /// Lines behind its own that a position's window reaches.
    reach: usize,
}

impl Grid {
    fn new(conv: &ConvShape, output: [usize; 2]) -> Grid {
        let &ConvShape { kernel, stride, .. } = conv;
        let width = output[1] + (kernel[1] - 1) / stride[1];
        let positions = (output[0] - 1) * width + output[1];
        let image = if kernel == [1, 1] { positions } else { positions.next_multiple_of(ROWS) };
        let reach = (kernel[0] - 1) / stride[0] * width + (kernel[1] - 1) / stride[1];
        Grid { output, kernel, stride, width, image, reach }
    }

    /// First row and column of each plane that some cell reads.
    fn planes(&self) -> impl Iterator<Item = [usize; 2]> {
        let [rows, columns] = [0, 1].map(|d| self.kernel[d].min(self.stride[d]));
        (0..rows).flat_map(move |y| (0..columns).map(move |x| [y, x]))
    }

    /// Rows and columns of a plane that some window sees.
    fn plane_size(&self, plane: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|d| self.output[d] + (self.kernel[d] - 1 - plane[d]) / self.stride[d])
    }

    /// The line of each cell from a position on, where planes have so many lines.
    fn cells(&self, lines: usize) -> impl Iterator<Item = usize> {
        let columns = self.kernel[1].min(self.stride[1]);
        let cell = move |[y, x]: [usize; 2]| {
            let [sy, sx] = self.stride;
            (y % sy * columns + x % sx) * lines + y / sy * self.width + x / sx
        };
        (0..self.kernel[0]).flat_map(|y| (0..self.kernel[1]).map(move |x| [y, x])).map(cell)
    }

    /// What a task's positions, counted over all images, see of each image.
    fn views(&self, positions: std::ops::Range<usize>) -> Vec<View> {
        let images = positions.start / self.image..positions.end.div_ceil(self.image);
        let view = |image: usize| {
            let all = image * self.image..(image + 1) * self.image;
            let start = positions.start.max(all.start);
            let seen = start - all.start..positions.end.min(all.end) - all.start;
            View {
                image,
                row: start - positions.start,
                line: start - positions.start + (image - positions.start / self.image) * self.reach,
                seen,
            }
        };
        images.map(view).collect()
    }
}

/// Positions of one image in a task.
struct View {
    image: usize,
    /// Row of the product of the first of them.
    row: usize,
    /// Its line in each plane.
    line: usize,
    /// The positions, counted from the image's first.
    seen: std::ops::Range<usize>,
}

/// Output pixels side by side.
pub struct Segment {
    /// Row of the product of the first.
    pub row: usize,
    /// Its image.
    pub image: usize,
    /// Its row.
    pub y: usize,
    /// Its column.
    pub x: usize,
    /// How many.
    pub len: usize,
}

/// Whether tiles are faster than vectors.
pub fn worthwhile(conv: &ConvShape, parts: Parts, output: [usize; 2]) -> bool {
    conv.groups == 1 && conv.input >= LANES && output[0] * output[1] > 1 && cost(conv, parts, output) < direct(conv)
}

// A model of cycles for an output pixel, its constants fitted to profiles.

/// Direct convolution by vectors.
pub fn direct(conv: &ConvShape) -> f64 {
    1.05 * (conv.input * conv.kernel[0] * conv.kernel[1]) as f64 * conv.output.next_multiple_of(LANES) as f64 / 32.0
}

/// Direct convolution in tiles.
pub fn cost(conv: &ConvShape, parts: Parts, output: [usize; 2]) -> f64 {
    let grid = Grid::new(conv, output);
    let positions = |n: usize| n as f64 / (output[0] * output[1]) as f64;
    let deep = (steps(conv.input) * DEEP) as f64;
    let wide = conv.output.next_multiple_of(DEEP) as f64;
    let split = 0.25 * parts.count() as f64 * deep * positions(grid.planes().count() * (grid.image + grid.reach));
    let cells = (conv.kernel[0] * conv.kernel[1]) as f64;
    let each = product(parts, deep, wide) + weights(parts, deep, wide) / MOST as f64;
    split + cells * each * positions(grid.image) + finish(wide)
}

/// A row of a product.
pub fn product(parts: Parts, deep: f64, wide: f64) -> f64 {
    2.6 * parts.products() as f64 * deep * wide / 1024.0
}

/// Reading a product's weights from the third-level cache.
pub fn weights(parts: Parts, deep: f64, wide: f64) -> f64 {
    const BYTES: f64 = 4.6;
    deep * wide * (parts.count() * size_of::<u16>()) as f64 / BYTES
}

/// What follows a product.
pub fn finish(wide: f64) -> f64 {
    4.0 * wide / LANES as f64
}

impl Matrix {
    /// Packs weights.
    pub fn new(isa: Isa, parts: Parts, spec: DenseSpec<'_>) -> Matrix {
        const PANEL: usize = 5 << 18;
        let DenseSpec { conv, weight, bias, input, output, epilogue } = spec;
        let (from, to) = (input.map, output.map);
        assert!(conv.padding.iter().zip(from.halo).all(|(&p, h)| p <= h), "the halo holds the padding");
        let residual_is_flat = epilogue.residual.is_none_or(|r| r.map.is_flat());
        let flat = conv.kernel == [1, 1] && conv.stride == [1, 1] && from.is_flat() && to.is_flat() && residual_is_flat;
        let grid = Grid::new(&conv, if flat { [1, to.pixels()] } else { [to.height, to.width] });
        // Panels that stay in the second-level cache, but enough rows to use each weight often.
        let lines = parts.count() * steps(conv.input) * grid.planes().count() * (grid.image + grid.reach) / grid.image;
        let most = (PANEL / (lines * size_of::<Line>())).clamp(96, MOST).next_multiple_of(2 * ROWS);
        Matrix {
            parts,
            label: format!("tiles {}", parts.dtype()),
            input,
            finish: Finish::new(isa, output, epilogue, bias),
            window: from.origin - conv.padding[0] * from.row - conv.padding[2] * LANES,
            grid,
            weights: pack(&conv, parts, weight, to.blocks()),
            most,
        }
    }

    /// Lines of a plane of the panel where tasks have so many positions of so many images.
    fn plane_lines(&self, positions: usize, images: usize) -> usize {
        positions.next_multiple_of(ROWS) + images * self.grid.reach
    }

    /// Floats of the panel.
    fn panel(&self, plane_lines: usize) -> usize {
        self.parts.count() * steps(self.input.map.channels) * self.grid.planes().count() * plane_lines * LANES
    }

    /// Splits what the windows of a task's positions see.
    fn fill(&self, unit: &Unit<'_>, views: &[View], plane_lines: usize, panel: &mut [f32]) {
        let Grid { width, reach, stride: [sy, sx], .. } = self.grid;
        let map = self.input.map;
        let (pairs, planes) = (steps(map.channels), self.grid.planes().count());
        for pair in 0..pairs {
            let lanes = [map.wanted_lanes(2 * pair), map.wanted_lanes(2 * pair + 1)];
            for (p, plane) in self.grid.planes().enumerate() {
                let [rows, columns] = self.grid.plane_size(plane);
                let first = (pair * planes + p) * plane_lines;
                for view in views {
                    let seen = view.seen.start..view.seen.end + reach;
                    let image = unit.at(&self.input, view.image).cast_const();
                    for y in seen.start / width..seen.end.div_ceil(width).min(rows) {
                        let x = seen.start.saturating_sub(y * width)..(seen.end - y * width).min(columns);
                        if x.is_empty() {
                            continue;
                        }
                        let at = 2 * pair * map.block + self.window + (y * sy + plane[0]) * map.row + (x.start * sx + plane[1]) * LANES;
                        let start = image.wrapping_add(at);
                        let pixels = Pixels { blocks: [start, start.wrapping_add(map.block)], lanes, distance: sx * LANES, count: x.len() };
                        let line = first + view.line + y * width + x.start - seen.start;
                        // SAFETY: `Unit::at` checked the map; shape inference has every window inside the halo, and planes end with the
                        // last window; lanes of absent blocks are not read. Engines of this ISA exist only where the CPU has AVX-512.
                        unsafe { self.parts.fill(pixels, panel, pairs * planes * plane_lines, line) };
                    }
                }
            }
        }
    }

    /// The output pixels among a task's positions.
    fn segments(&self, views: &[View]) -> Vec<Segment> {
        let Grid { width, output, .. } = self.grid;
        let mut segments = vec![];
        for view in views {
            for y in view.seen.start / width..view.seen.end.div_ceil(width).min(output[0]) {
                let x = view.seen.start.saturating_sub(y * width)..(view.seen.end - y * width).min(output[1]);
                if !x.is_empty() {
                    let row = view.row + y * width + x.start - view.seen.start;
                    segments.push(Segment { row, image: view.image, y, x: x.start, len: x.len() });
                }
            }
        }
        segments
    }

    /// Where the product finds each tile of positions, and each step's cell from there.
    fn walk(&self, views: &[View], rows: usize, plane_lines: usize) -> Walk {
        let planes = self.grid.planes().count();
        let pairs = steps(self.input.map.channels);
        // Images share tiles only where positions and lines are the same.
        let tile = |row: usize| {
            let view = views.partition_point(|v| v.row <= row) - 1;
            views[view].line + row - views[view].row
        };
        let offsets = (0..pairs).flat_map(|pair| self.grid.cells(plane_lines).map(move |cell| pair * planes * plane_lines + cell));
        Walk::of_lines(pairs * planes * plane_lines, (0..rows).step_by(ROWS).map(tile), offsets)
    }
}

fn pack(conv: &ConvShape, parts: Parts, weight: &[f32], blocks: usize) -> Weights {
    let cells = conv.kernel[0] * conv.kernel[1];
    let mut weights = Weights::zeros(parts, steps(conv.input) * cells, blocks, 1);
    let writer = weights.writer(0);
    // Layers are packed in parallel already.
    for block in 0..blocks {
        for (channel, cell) in (0..conv.input).flat_map(|c| (0..cells).map(move |k| (c, k))) {
            let values = std::array::from_fn(|lane| match block * LANES + lane {
                o if o < conv.output => weight[(o * conv.input + channel) * cells + cell],
                _ => 0.0,
            });
            // SAFETY: one thread fills this matrix.
            unsafe { writer.put(block, channel / DEEP * cells + cell, channel / LANES % 2, channel % LANES, &values) };
        }
    }
    weights
}

/// What follows a product: bias, residual and activation, and where its rows go.
pub struct Finish {
    isa: Isa,
    /// The map it makes.
    pub output: Operand,
    epilogue: Epilogue,
    bias: Vec<Line>,
}

impl Finish {
    /// `bias` holds one value a channel.
    pub fn new(isa: Isa, output: Operand, epilogue: Epilogue, bias: &[f32]) -> Finish {
        Finish { isa, output, epilogue, bias: by_block(bias) }
    }

    /// Multiplies a panel by all weights and finishes the products; `sums` holds two output blocks of them.
    pub fn products(&self, unit: &Unit<'_>, weights: &Weights, panel: &[f32], walk: &Walk, segments: &[Segment], sums: &mut [f32]) {
        let _tiles = Session::start();
        for pair in 0..weights.pairs() {
            weights.multiply(0, pair, panel, walk, sums);
            let rows = walk.rows();
            for block in 2 * pair..(2 * pair + 2).min(self.output.map.blocks()) {
                let sums = &sums[block % 2 * rows * LANES..];
                dispatch(self.isa, FinishBlock { finish: self, unit, block, sums, segments });
            }
        }
    }
}

struct FinishBlock<'a> {
    finish: &'a Finish,
    unit: &'a Unit<'a>,
    block: usize,
    sums: &'a [f32],
    segments: &'a [Segment],
}

impl Vectorized for FinishBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Finish { output, epilogue, bias, .. } = self.finish;
        let [low, high] = epilogue.bounds.map(|b| s.splat(b));
        // SAFETY: a line holds sixteen values.
        let bias = unsafe { s.load(bias[self.block].0.as_ptr()) };
        for segment in self.segments {
            let sums = &self.sums[segment.row * LANES..][..segment.len * LANES];
            let place = |o: &Operand| self.unit.at(o, segment.image).wrapping_add(o.map.at(self.block, segment.y, segment.x));
            let to = place(output);
            let residual = epilogue.residual.as_ref().map(place);
            for (i, sum) in sums.chunks_exact(LANES).enumerate() {
                // SAFETY: the segment's pixels lie inside the maps, whose bounds `Unit::at` checked, and belong to this task alone.
                unsafe {
                    let x = s.add(s.load(sum.as_ptr()), bias);
                    let x = residual.map_or(x, |r| s.add(x, s.load(r.add(i * LANES))));
                    s.store(to.add(i * LANES), s.min(high, s.max(low, x)));
                }
            }
            if let Some(act) = epilogue.act {
                s.vectorize(Activate { values: to, lines: segment.len, act });
            }
        }
    }
}

impl Kernel for Matrix {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.finish.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        let all = images * self.grid.image;
        all.div_ceil(self.most).max(workers.min(all / (2 * ROWS))).max(1)
    }

    fn scratch(&self, images: usize) -> usize {
        let positions = self.most.min((images * self.grid.image).next_multiple_of(ROWS));
        // A task begins and ends inside images.
        let images = images.min(positions.div_ceil(self.grid.image) + 1);
        self.panel(self.plane_lines(positions, images)) + 2 * positions * LANES
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let all = unit.images * self.grid.image;
        let edge = |task: usize| (all.div_ceil(ROWS) * task / tasks * ROWS).min(all);
        let positions = edge(task)..edge(task + 1);
        let rows = positions.len().next_multiple_of(ROWS);
        let views = self.grid.views(positions);
        let plane_lines = self.plane_lines(rows, views.len());
        let (panel, sums) = scratch.split_at_mut(self.panel(plane_lines));
        self.fill(unit, &views, plane_lines, panel);
        let walk = self.walk(&views, rows, plane_lines);
        self.finish.products(unit, &self.weights, panel, &walk, &self.segments(&views), sums);
    }
}
