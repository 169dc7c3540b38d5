//! Convolutions as matrix products in AMX tiles.
//!
//! *Shape class*: dense convolutions of sixteen channels and more, any window and stride. *Algorithm*: implicit GEMM. A task takes some
//! output pixels (of several images where these go through a layer together), splits what their windows see into a panel of bf16 parts, and
//! multiplies it by the weights, two output blocks at a time; bias, residual and activation follow at once. *Layout*: blocked maps with a
//! halo; panel and weights as [`super::amx`] has them, a step for each pair of channel blocks and cell of the window.

use super::amx::{DEEP, Panel, Parts, ROWS, Session, Weights, steps};
use super::dense::DenseSpec;
use super::epilogue::{Activate, Epilogue};
use super::memory::{Line, Operand, Unit};
use super::pointwise::by_block;
use super::simd::{Isa, LANES, Simd, Vectorized, dispatch};
use super::step::Kernel;
use crate::plan::ConvShape;

/// A prepared convolution.
pub struct Matrix {
    isa: Isa,
    label: String,
    input: Operand,
    output: Operand,
    epilogue: Epilogue,
    stride: [usize; 2],
    /// Where the first cell of the first output pixel's window lies in a block, and the others from there.
    cells: Vec<usize>,
    /// Rows and columns of output as they are walked: one row where none has a gap.
    walk: [usize; 2],
    weights: Weights,
    bias: Vec<Line>,
    /// Most output pixels of a task.
    most: usize,
}

/// Output pixels side by side, and the panel's rows that belong to them.
struct Segment {
    row: usize,
    image: usize,
    y: usize,
    x: usize,
    len: usize,
}

/// Whether tiles are the faster way, by a model of cycles for an output pixel.
pub fn worthwhile(conv: &ConvShape, parts: Parts, output: [usize; 2]) -> bool {
    let deep = (steps(conv.input) * DEEP * conv.kernel[0] * conv.kernel[1]) as f64;
    let wide = conv.output.next_multiple_of(DEEP) as f64;
    let split = if parts == Parts::Three { 0.35 } else { 0.12 };
    let tiles = deep * (split + 1.2 * parts.products() as f64 * wide / 1024.0) + 2.0 * wide / LANES as f64;
    let direct = 1.1 * (conv.input * conv.kernel[0] * conv.kernel[1]) as f64 * conv.output.next_multiple_of(LANES) as f64 / 32.0;
    conv.groups == 1 && conv.input >= LANES && output[0] * output[1] > 1 && tiles < direct
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
        let window = from.origin - conv.padding[0] * from.row - conv.padding[2] * LANES;
        let [kh, kw] = conv.kernel;
        let cells: Vec<usize> = (0..kh).flat_map(|y| (0..kw).map(move |x| window + y * from.row + x * LANES)).collect();
        let weights = pack(&conv, parts, weight, to.blocks());
        // Panels that stay in the second-level cache, but enough rows to use each weight often.
        let most = (PANEL / (weights.panel_floats(1) * size_of::<f32>() / ROWS)).clamp(96, 512).next_multiple_of(2 * ROWS);
        Matrix {
            isa,
            label: format!("tiles {}", if parts == Parts::One { "bf16" } else { "f32" }),
            input,
            output,
            epilogue,
            stride: conv.stride,
            cells,
            walk: if flat { [1, to.pixels()] } else { [to.height, to.width] },
            weights,
            bias: by_block(bias),
            most,
        }
    }

    fn segments(&self, pixels: std::ops::Range<usize>) -> Vec<Segment> {
        let [height, width] = self.walk;
        let first = pixels.start;
        let mut segments = vec![];
        let mut at = first;
        while at < pixels.end {
            let (line, x) = (at / width, at % width);
            let len = (width - x).min(pixels.end - at);
            segments.push(Segment { row: at - first, image: line / height, y: line % height, x, len });
            at += len;
        }
        segments
    }

    /// Splits what the segments' windows see.
    fn fill(&self, unit: &Unit<'_>, segments: &[Segment], panel: &mut Panel<'_>) {
        let map = self.input.map;
        for pair in 0..steps(map.channels) {
            let lanes = [map.wanted_lanes(2 * pair), map.wanted_lanes(2 * pair + 1)];
            for (cell, offset) in self.cells.iter().enumerate() {
                for s in segments {
                    let at = 2 * pair * map.block + offset + s.y * self.stride[0] * map.row + s.x * self.stride[1] * LANES;
                    let first = unit.at(&self.input, s.image).cast_const().wrapping_add(at);
                    let blocks = [first, first.wrapping_add(map.block)];
                    // SAFETY: `Unit::at` checked the map; shape inference has every window inside the halo; lanes of absent blocks are not
                    // read. Engines of this ISA exist only where the CPU has AVX-512.
                    unsafe { panel.fill(pair * self.cells.len() + cell, s.row, s.len, blocks, lanes, self.stride[1] * LANES) };
                }
            }
        }
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

/// Bias, residual and activation of one output block.
struct Finish<'a> {
    kernel: &'a Matrix,
    unit: &'a Unit<'a>,
    block: usize,
    sums: &'a [f32],
    segments: &'a [Segment],
}

impl Vectorized for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Matrix { output, epilogue, bias, .. } = self.kernel;
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
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        let all = images * self.output.map.pixels();
        all.div_ceil(self.most).max(workers.min(all / (2 * ROWS))).max(1)
    }

    fn scratch(&self, images: usize) -> usize {
        let rows = self.most.min((images * self.output.map.pixels()).next_multiple_of(ROWS));
        self.weights.panel_floats(rows) + 2 * rows * LANES
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let all = unit.images * self.output.map.pixels();
        let edge = |task: usize| (all.div_ceil(ROWS) * task / tasks * ROWS).min(all);
        let segments = self.segments(edge(task)..edge(task + 1));
        let rows = (edge(task + 1) - edge(task)).next_multiple_of(ROWS);
        let (panel, sums) = scratch.split_at_mut(self.weights.panel_floats(rows));
        let mut panel = Panel::new(&self.weights, rows, panel);
        self.fill(unit, &segments, &mut panel);
        let _tiles = Session::start();
        for pair in 0..self.weights.pairs() {
            self.weights.multiply(0, pair, &panel, sums);
            for block in 2 * pair..(2 * pair + 2).min(self.output.map.blocks()) {
                let sums = &sums[block % 2 * rows * LANES..];
                dispatch(self.isa, Finish { kernel: self, unit, block, sums, segments: &segments });
            }
        }
    }
}
