//! Convolutions without Winograd: dense or grouped, any window and stride; 1×1 is a matrix product.
//!
//! *Shape class*: everything but depthwise. *Algorithm*: implicit GEMM. A register tile of P output
//! pixels of one row × V blocks of sixteen output channels is summed over all input channels and
//! window cells without leaving the registers; an input value is broadcast directly from the map,
//! nothing is unfolded. *Layout*: blocked maps with a halo (or a planar image), weights packed
//! `[tile of V blocks][input block, ky, kx][channel][V · 16]` in the order of reading. Bias starts
//! the sum; residual and activation end it. A row's last tile overlaps the one before instead of
//! being cut. Where no row has a gap, a 1×1 convolution takes the map as one row.
//!
//! With AVX-512 P · V is up to 28 of the 32 registers, else 6.

use super::epilogue::{Epilogue, finish_tile};
use super::memory::{Operand, Unit};
use super::register_tile::{best_tile, best_walk, cut};
use super::step::Kernel;
use crate::graph::Act;
use crate::plan::ConvShape;
use crate::simd::{Isa, LANES, Line, Portable, Simd, Vectorized, floats, zeroed_lines};

/// A run of numbers side by side, each of an input channel at a cell of the window, as an offset
/// from the window's first pixel.
#[derive(Debug, Clone, Copy)]
struct Run {
    offset: u32,
    channels: u32,
}

/// A tile of V output blocks, with the places of its weights and input runs.
#[derive(Debug, Clone)]
struct Tile {
    block: usize,
    width: usize,
    weights: usize,
    runs: std::ops::Range<usize>,
}

/// A prepared convolution.
pub(super) struct Dense {
    label: String,
    input: Operand,
    output: Operand,
    epilogue: Epilogue,
    weights: Vec<Line>,
    bias: Vec<Line>,
    runs: Vec<Run>,
    tiles: Vec<Tile>,
    /// Rows and columns of output as the kernel walks them: where no row has a gap, several may be
    /// walked as one.
    rows: usize,
    columns: usize,
    rows_joined: usize,
    /// Distance from pixel to pixel of the input.
    step: usize,
    /// Distance in the input from output row to output row.
    row_step: usize,
    /// Row functions for tiles of 1, 2 and 4 blocks.
    kernels: [RowKernel; 5],
    tiles_per_task: usize,
    rows_per_task: usize,
    weights_first: bool,
}

/// Arguments of a row function.
struct Row {
    input: *const f32,
    runs: *const Run,
    run_count: usize,
    weights: *const f32,
    bias: *const f32,
    output: *mut f32,
    output_block: usize,
    residual: *const f32,
    residual_block: usize,
    columns: usize,
    /// Distance from pixel to pixel of the input; only read where it is not compiled in.
    step: usize,
    bounds: [f32; 2],
    act: Option<Act>,
}

type RowKernel = unsafe fn(&Row);

/// Terms that one register sums before they are put aside.
const CHAIN: u32 = 256;

struct RowWork<'a, const P: usize, const V: usize, const STEP: usize>(&'a Row);

impl<const P: usize, const V: usize, const STEP: usize> Vectorized for RowWork<'_, P, V, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = self.0;
        let step = if STEP == 0 { row.step } else { STEP };
        let mut x = 0;
        loop {
            // SAFETY: `Dense::run` gives a row of at least P pixels; x + P never exceeds it, and
            // the plan sized every map for that.
            unsafe { tile::<S, P, V, STEP>(s, row, row.input.add(x * step), step, x * LANES) };
            if x + P >= row.columns {
                return;
            }
            x = (x + P).min(row.columns - P);
        }
    }
}

/// Sums one register tile and stores it.
///
/// # Safety
/// All of the row's pointers are valid for P pixels from here on, for every run and block.
#[inline(always)]
unsafe fn tile<S: Simd, const P: usize, const V: usize, const STEP: usize>(s: S, row: &Row, input: *const f32, step: usize, at: usize) {
    // SAFETY: the caller promises that every pointer of the row is valid for P pixels, for every
    // run and block.
    unsafe {
        let mut bias = [s.splat(0.0); V];
        for (v, bias) in bias.iter_mut().enumerate() {
            *bias = s.load(row.bias.add(v * LANES));
        }
        let mut sum = [bias; P];
        // A single pixel has registers to spare: four sums are sooner done than one, and closer to
        // the truth.
        let mut others = [[[s.splat(0.0); V]; P]; 3];
        // Long sums are made of sums of some hundred terms each: rounding errors grow with the
        // terms of one chain.
        let mut total = [[s.splat(0.0); V]; P];
        let (mut terms, mut parted) = (0, false);
        let mut weights = row.weights;
        for i in 0..row.run_count {
            if terms >= CHAIN {
                (terms, parted) = (0, true);
                // Loops over whole arrays, here and below: behind `flatten` the compiler would keep
                // all sums in memory, at half the speed.
                for (total, sum) in total.iter_mut().zip(&mut sum) {
                    for (total, sum) in total.iter_mut().zip(sum) {
                        *total = s.add(*total, *sum);
                        *sum = s.splat(0.0);
                    }
                }
            }
            let run = *row.runs.add(i);
            let mut from = input.add(run.offset as usize);
            let mut left = run.channels;
            terms += left;
            while left >= 4 {
                for k in 0..4 {
                    let sum = if P == 1 && k > 0 { &mut others[k - 1] } else { &mut sum };
                    channel::<S, P, V>(s, sum, from.add(k), step, weights.add(k * V * LANES));
                }
                from = from.add(4);
                weights = weights.add(4 * V * LANES);
                left -= 4;
            }
            while left > 0 {
                channel::<S, P, V>(s, &mut sum, from, step, weights);
                from = from.add(1);
                weights = weights.add(V * LANES);
                left -= 1;
            }
        }
        if P == 1 {
            for (v, sum) in sum[0].iter_mut().enumerate() {
                *sum = s.add(s.add(*sum, others[0][0][v]), s.add(others[1][0][v], others[2][0][v]));
            }
        }
        if parted {
            for (total, sum) in total.iter().zip(&mut sum) {
                for (&total, sum) in total.iter().zip(sum) {
                    *sum = s.add(total, *sum);
                }
            }
        }
        let residual = if row.residual.is_null() { row.residual } else { row.residual.add(at) };
        finish_tile(s, &sum, row.output.add(at), row.output_block, residual, row.residual_block, row.bounds, row.act);
    }
}

/// Adds one input channel's contribution.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn channel<S: Simd, const P: usize, const V: usize>(
    s: S,
    sum: &mut [[S::V; V]; P],
    from: *const f32,
    step: usize,
    weights: *const f32,
) {
    // SAFETY: as for `tile`, whose caller's promise covers each channel of each run.
    unsafe {
        let mut w = [s.splat(0.0); V];
        for (v, w) in w.iter_mut().enumerate() {
            *w = s.load(weights.add(v * LANES));
        }
        for (p, sum) in sum.iter_mut().enumerate() {
            let x = s.splat(*from.add(p * step));
            for (sum, &w) in sum.iter_mut().zip(&w) {
                *sum = s.fma(x, w, *sum);
            }
        }
    }
}

/// One row function. A pointer to it has no room for the token that it needs: making the pointer
/// takes one.
fn row_function<S: Simd, const P: usize, const V: usize, const STEP: usize>(_: S) -> RowKernel {
    /// # Safety
    /// A token of type `S` has been made; all of the row's pointers are valid for its runs, blocks
    /// and columns, of which there are at least P.
    unsafe fn enter<S: Simd, const P: usize, const V: usize, const STEP: usize>(row: &Row) {
        // SAFETY: a pointer to this function comes from `row_function` alone, which was given a
        // token of type `S`.
        unsafe { S::assume() }.vectorize(RowWork::<P, V, STEP>(row));
    }
    enter::<S, P, V, STEP>
}

macro_rules! by_pixels {
    ($p:expr, $simd:ident, $v:literal, $step:literal, [$($n:literal)*]) => {
        match $p { $($n => row_function::<_, $n, $v, $step>($simd),)* other => unreachable!("no tile of {other} pixels") }
    };
}

macro_rules! by_step {
    ($step:expr, $p:expr, $simd:ident, $v:literal, $pixels:tt) => {
        match $step {
            16 => by_pixels!($p, $simd, $v, 16, $pixels),
            32 => by_pixels!($p, $simd, $v, 32, $pixels),
            1 => by_pixels!($p, $simd, $v, 1, $pixels),
            2 => by_pixels!($p, $simd, $v, 2, $pixels),
            4 => by_pixels!($p, $simd, $v, 4, $pixels),
            _ => by_pixels!($p, $simd, $v, 0, $pixels),
        }
    };
}

/// Row function for tiles of `p` pixels × `v` blocks.
fn row_kernel(isa: Isa, v: usize, p: usize, step: usize) -> RowKernel {
    macro_rules! narrow {
        ($simd:ident) => {
            by_step!(step, p, $simd, 1, [1 2 3 4 5 6])
        };
    }
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => match v {
            1 => by_step!(step, p, avx512, 1, [1 2 4 7 8 14]),
            2 => by_step!(step, p, avx512, 2, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
            _ => by_step!(step, p, avx512, 4, [1 2 3 4 5 6]),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(avx2) => narrow!(avx2),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(neon) => narrow!(neon),
        // Others have tiles of one block alone.
        _ => {
            debug_assert_eq!(v, 1);
            narrow!(Portable)
        }
    }
}

/// First block and width of each tile of a [`Product`] with `blocks` output blocks.
pub(super) fn widths(isa: Isa, blocks: usize) -> Vec<(usize, usize)> {
    cut(blocks, if isa.avx512().is_some() { 2 } else { 1 })
}

/// A matrix product of rows × channels with channels × outputs, both in blocks of sixteen:
/// `[channel block][row][16]` to `[output block][row][16]`. Weights are
/// `[tile of V blocks][channel][V · 16]`, tiles as [`widths`] says.
pub(super) struct Product {
    rows: usize,
    runs: Vec<Run>,
    tiles: Vec<(usize, usize)>,
    channels: usize,
    kernels: [RowKernel; 3],
}

impl Product {
    /// Chooses the register tile.
    pub(super) fn new(isa: Isa, channels: usize, blocks: usize, rows: usize) -> Product {
        let isa = isa.vectors();
        let run = |b: usize| Run { offset: (b * rows * LANES) as u32, channels: (channels - b * LANES).min(LANES) as u32 };
        let runs = (0..channels.div_ceil(LANES)).map(run).collect();
        let kernels = [1, 1, if isa.avx512().is_some() { 2 } else { 1 }].map(|v| row_kernel(isa, v, best_tile(isa, v, rows).0, LANES));
        Product { rows, runs, tiles: widths(isa, blocks), channels, kernels }
    }

    /// Computes the product.
    pub(super) fn run(&self, from: &[f32], weights: &[Line], to: &mut [f32]) {
        let blocks = self.tiles.last().map_or(0, |(first, width)| first + width);
        assert!(from.len() >= self.runs.len() * self.rows * LANES && to.len() >= blocks * self.rows * LANES);
        assert_eq!(weights.len(), blocks * self.channels);
        let zeros = [Line([0.0; LANES]); 2];
        for &(first, width) in &self.tiles {
            let row = Row {
                input: from.as_ptr(),
                runs: self.runs.as_ptr(),
                run_count: self.runs.len(),
                weights: weights[first * self.channels..].as_ptr().cast(),
                bias: zeros.as_ptr().cast(),
                output: to[first * self.rows * LANES..].as_mut_ptr(),
                output_block: self.rows * LANES,
                residual: std::ptr::null(),
                residual_block: 0,
                columns: self.rows,
                step: LANES,
                bounds: [f32::NEG_INFINITY, f32::INFINITY],
                act: None,
            };
            // SAFETY: `row_function` was given a token of the kernel's instruction set, and its P
            // is at most the number of rows; the assertions above bound every access.
            unsafe { self.kernels[width](&row) };
        }
    }
}

/// Specification of a convolution.
pub(super) struct DenseSpec<'a> {
    /// Geometry.
    pub conv: ConvShape,
    /// `[output, input / groups, kh, kw]`
    pub weight: &'a [f32],
    /// `[output]`
    pub bias: &'a [f32],
    /// The map it reads, with a halo at least as wide as the padding.
    pub input: Operand,
    /// The map it makes.
    pub output: Operand,
    /// The end of the sum.
    pub epilogue: Epilogue,
}

/// Weights of an ungrouped convolution from an input channel at a cell of the window to the sixteen
/// outputs of a block; zeros behind the last.
pub(super) fn to_outputs(conv: &ConvShape, weight: &[f32], block: usize, channel: usize, cell: usize) -> [f32; LANES] {
    let cells = conv.kernel[0] * conv.kernel[1];
    std::array::from_fn(|lane| match block * LANES + lane {
        o if o < conv.output => weight[(o * conv.input + channel) * cells + cell],
        _ => 0.0,
    })
}

impl Dense {
    /// Packs weights and chooses the register tile.
    pub(super) fn new(isa: Isa, spec: DenseSpec<'_>) -> Dense {
        let isa = isa.vectors();
        let DenseSpec { conv, weight, bias, input, output, epilogue } = spec;
        let (from, to) = (input.map, output.map);
        assert!(conv.padding.iter().zip(from.halo).all(|(&p, h)| p <= h), "the halo holds the padding");
        assert_eq!((weight.len(), bias.len()), (conv.output * conv.input / conv.groups * conv.kernel[0] * conv.kernel[1], conv.output));
        let residual_is_flat = epilogue.residual.is_none_or(|r| r.map.is_flat());
        let flat = conv.kernel == [1, 1] && conv.stride == [1, 1] && from.is_flat() && to.is_flat() && residual_is_flat;
        let step = from.lane * conv.stride[1];
        let (width, rows_joined) = best_walk(isa, [to.height, to.width], to.blocks(), flat);
        let (rows, columns) = (to.height / rows_joined, to.width * rows_joined);
        let kernels = std::array::from_fn(|v| {
            let v = if isa.avx512().is_some() { v.max(1) } else { 1 };
            row_kernel(isa, v, best_tile(isa, v, columns).0, step)
        });
        let pixels = best_tile(isa, width, columns).0;
        let mut dense = Dense {
            label: format!("direct {pixels}×{}", width * LANES),
            input,
            output,
            epilogue,
            weights: vec![],
            bias: zeroed_lines(to.blocks() * LANES),
            runs: vec![],
            tiles: vec![],
            rows,
            columns,
            rows_joined,
            step,
            row_step: from.row * conv.stride[0] * rows_joined,
            kernels,
            tiles_per_task: 1,
            rows_per_task: 1,
            weights_first: false,
        };
        crate::simd::floats_mut(&mut dense.bias)[..bias.len()].copy_from_slice(bias);
        dense.pack(&conv, weight, width);
        dense.share_out(&conv);
        dense
    }

    /// Lays out runs, tiles and weights in the order in which the kernel reads them.
    fn pack(&mut self, conv: &ConvShape, weight: &[f32], width: usize) {
        let map = self.input.map;
        let [kh, kw] = conv.kernel;
        let (per_group, out_per_group) = (conv.input / conv.groups, conv.output / conv.groups);
        let window = map.origin - conv.padding[0] * map.row - conv.padding[2] * map.lane;
        for (block, width) in cut(self.output.map.blocks(), width) {
            // Input channels that this tile's groups read, from whole blocks.
            let last = ((block + width) * LANES).min(conv.output) - 1;
            let first_input = block * LANES / out_per_group * per_group / map.lane;
            let end_input = ((last / out_per_group + 1) * per_group).div_ceil(map.lane);
            let (start, weights) = (self.runs.len(), self.weights.len());
            for (b, y, x) in (first_input..end_input).flat_map(|b| (0..kh).flat_map(move |y| (0..kw).map(move |x| (b, y, x)))) {
                let channels = b * map.lane..((b + 1) * map.lane).min(conv.input);
                let offset = window + b * map.block + y * map.row + x * map.lane;
                let run = Run { offset: offset as u32, channels: channels.len() as u32 };
                match self.runs[start..].last_mut() {
                    // Cells of a planar image's row lie side by side.
                    Some(last) if last.offset + last.channels == run.offset && map.lane == 1 => last.channels += run.channels,
                    _ => self.runs.push(run),
                }
                for (channel, v) in channels.flat_map(|c| (0..width).map(move |v| (c, v))) {
                    let group = channel / per_group;
                    let cell = |lane: usize| {
                        let o = (block + v) * LANES + lane;
                        let inside = o < conv.output && o / out_per_group == group;
                        if inside { weight[((o * per_group + channel % per_group) * kh + y) * kw + x] } else { 0.0 }
                    };
                    self.weights.push(Line(std::array::from_fn(cell)));
                }
            }
            self.tiles.push(Tile { block, width, weights: weights * LANES, runs: start..self.runs.len() });
        }
    }

    /// Cuts the work into tasks whose weights stay in a core's cache, and chooses what is walked
    /// innermost.
    fn share_out(&mut self, conv: &ConvShape) {
        const WEIGHTS: usize = 512 << 10;
        const TASK_FLOPS: usize = 8 << 20;
        let tile_bytes = self.weights.len() * size_of::<Line>() / self.tiles.len();
        self.tiles_per_task = (WEIGHTS / tile_bytes.max(1)).clamp(1, self.tiles.len());
        // Weights of a tile that fit the first-level cache stay there while rows go by; else rows
        // stay while weights go by.
        self.weights_first = tile_bytes <= 24 << 10;
        let row_flops = 2 * self.columns * conv.kernel[0] * conv.kernel[1] * conv.input / conv.groups
            * (self.tiles_per_task * conv.output).div_ceil(self.tiles.len());
        self.rows_per_task = (TASK_FLOPS / row_flops.max(1)).clamp(1, self.rows);
    }

    fn row(&self, unit: &Unit<'_>, image: usize, tile: &Tile, y: usize) {
        let (to, residual) = (&self.output, self.epilogue.residual.as_ref());
        let row = Row {
            input: unit.at(&self.input, image).wrapping_add(y * self.row_step),
            runs: self.runs[tile.runs.clone()].as_ptr(),
            run_count: tile.runs.len(),
            weights: floats(&self.weights)[tile.weights..].as_ptr(),
            bias: self.bias[tile.block..].as_ptr().cast(),
            output: unit.at(to, image).wrapping_add(to.map.at(tile.block, y * self.rows_joined, 0)),
            output_block: to.map.block,
            residual: residual.map_or(std::ptr::null(), |r| unit.at(r, image).wrapping_add(r.map.at(tile.block, y * self.rows_joined, 0))),
            residual_block: residual.map_or(0, |r| r.map.block),
            columns: self.columns,
            step: self.step,
            bounds: self.epilogue.bounds,
            act: self.epilogue.act,
        };
        // SAFETY: `row_function` was given a token of the kernel's instruction set, and its P is at
        // most the number of columns. `Unit::at` checked that the maps lie inside the arena, and
        // shape inference has every window inside the input's halo. Tasks write disjoint blocks and
        // rows.
        unsafe { self.kernels[tile.width](&row) };
    }
}

impl Kernel for Dense {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.tiles.len().div_ceil(self.tiles_per_task) * self.rows.div_ceil(self.rows_per_task)
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        // Rows innermost, then images: a group's weights are used by all images before the next
        // group's come in.
        let chunks = self.rows.div_ceil(self.rows_per_task);
        let (chunk, image, group) = (task % chunks, task / chunks % unit.images, task / chunks / unit.images);
        let first = group * self.tiles_per_task;
        let tiles = &self.tiles[first..(first + self.tiles_per_task).min(self.tiles.len())];
        let rows = chunk * self.rows_per_task..((chunk + 1) * self.rows_per_task).min(self.rows);
        if self.weights_first {
            tiles.iter().for_each(|tile| rows.clone().for_each(|y| self.row(unit, image, tile, y)));
        } else {
            rows.for_each(|y| tiles.iter().for_each(|tile| self.row(unit, image, tile, y)));
        }
    }
}
