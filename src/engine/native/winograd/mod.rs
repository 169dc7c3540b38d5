//! Winograd convolution: F(6×6, 3×3), F(5×5, 3×3) or F(4×4, 3×3).
//!
//! *Shape class*: 3×3, stride 1, dense. *Algorithm*: blocks of tiles; all their input transforms, then a matrix product of tiles × input
//! channels × output channels at each of the 64 (49, 36) points, then the inverse transforms with bias, residual and activation. A block's
//! transforms stay in the second-level cache where channels are few; where they are many, a block takes tiles of several images, so
//! that the transformed weights (7.1, 5.4 or 4 times as large) are read seldom. *Layout*: transforms are `[point][channel block][tile][16]`,
//! weights `[point][tile of V blocks][input channel][V · 16]`, or as [`super::amx`] has them: with AMX the products run in its tiles, three
//! bf16 parts an operand. An image's tiles do not depend on its neighbours.

mod transform;

use std::marker::PhantomData;

use rayon::prelude::*;

use super::amx::{self, Parts, Pixels, Session, Walk};
use super::dense::{Product, widths};
use super::epilogue::{Activate, Epilogue};
use super::matrix;
use super::memory::{Operand, Unit};
use super::simd::{Isa, LANES, Line, Simd, Vectorized, dispatch, zeroed_lines};
use super::step::Kernel;
use crate::plan::ConvShape;
use transform::{F4, F5, F6, MOST, Tile, kernel_rows};

/// What operands are made of where products run in AMX tiles: transforms magnify what bf16 alone would lose.
pub const PARTS: Parts = Parts::Three;

/// A prepared Winograd convolution.
pub struct Winograd {
    isa: Isa,
    label: String,
    /// Outputs of a tile's side.
    side: usize,
    padding: [usize; 4],
    input: Operand,
    output: Operand,
    epilogue: Epilogue,
    /// Tiles down and across an image.
    tiles: [usize; 2],
    /// Most tiles of a task.
    block: usize,
    /// Weights of each point, as the product reads them.
    weights: Weights,
    bias: Vec<Line>,
}

enum Weights {
    Vectors(Vec<Line>),
    Tiles(amx::Weights),
}

/// Points of a transformed tile.
pub fn points(side: usize) -> usize {
    (side + 2).pow(2)
}

/// Tiles of an output map.
pub fn tiles(side: usize, map: [usize; 2]) -> usize {
    map.iter().map(|n| n.div_ceil(side)).product()
}

/// Winograd tiles of a task where products run in AMX tiles.
const IN_TILES: usize = 6 * amx::ROWS;

const SIDES: [usize; 3] = [4, 5, 6];

fn fits(conv: &ConvShape) -> bool {
    conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.groups == 1 && conv.input >= LANES && conv.output >= LANES
}

/// Whether Winograd is faster than direct convolution by vectors, and with how many outputs a tile's side.
pub fn worthwhile(conv: &ConvShape, output: [usize; 2]) -> Option<usize> {
    // Transforms cost about as much as a product with so many more channels.
    let cost = |side: usize| {
        let (input, output_channels) = (conv.input as f64, conv.output as f64);
        let product = (points(side) * tiles(side, output)) as f64 * input * output_channels;
        product * (1.0 + 7.0 / output_channels + 5.0 / input)
    };
    let direct = (9 * output[0] * output[1]) as f64 * conv.input as f64 * conv.output as f64;
    let best = SIDES.into_iter().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
    best.filter(|&side| fits(conv) && cost(side) * 1.15 < direct)
}

/// Whether Winograd with its products in AMX tiles is faster than products of so many parts alone, and with how many outputs a tile's side.
pub fn worthwhile_in_tiles(conv: &ConvShape, parts: Parts, output: [usize; 2]) -> Option<usize> {
    // Cycles for an output pixel, by the model of `matrix`.
    let cost = |side: usize| {
        let (pixels, tiles) = ((output[0] * output[1]) as f64, tiles(side, output) as f64);
        let whole = output.iter().map(|n| n / side).product::<usize>() as f64;
        let points = points(side) as f64;
        let (input, outputs) = ((amx::steps(conv.input) * amx::DEEP) as f64, conv.output.next_multiple_of(amx::DEEP) as f64);
        let product = matrix::product(PARTS, input, outputs);
        // Windows that reach over the edge are copied first.
        let transforms = 1.64 * (input + outputs) * (1.0 + 1.7 * (tiles - whole) / tiles);
        let weights = matrix::weights(PARTS, input, outputs) / IN_TILES as f64;
        points * tiles * (product + transforms + weights) / pixels
    };
    let best = SIDES.into_iter().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
    best.filter(|&side| fits(conv) && cost(side) < matrix::cost(conv, parts, output))
}

impl Winograd {
    /// Transforms `[output, input, 3, 3]` weights.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        isa: Isa,
        side: usize,
        conv: &ConvShape,
        weight: &[f32],
        bias: &[f32],
        input: Operand,
        output: Operand,
        epilogue: Epilogue,
    ) -> Winograd {
        let rows = match side {
            6 => kernel_rows::<F6>(),
            5 => kernel_rows::<F5>(),
            _ => kernel_rows::<F4>(),
        };
        let mut biases = zeroed_lines(output.map.blocks() * LANES);
        super::simd::floats_mut(&mut biases)[..bias.len()].copy_from_slice(bias);
        let tiles = [output.map.height.div_ceil(side), output.map.width.div_ceil(side)];
        // Transforms of a block: about the second-level cache, but enough tiles to use each weight often; the more so the faster products are.
        let per_tile = (side + 2) * (side + 2) * (input.map.blocks() + output.map.blocks()) * size_of::<Line>();
        let block = if isa == Isa::Amx { IN_TILES } else { ((3 << 19) / per_tile).clamp(56, 112) };
        Winograd {
            isa,
            label: format!("winograd {side}×{side}"),
            side,
            padding: conv.padding,
            input,
            output,
            epilogue,
            tiles,
            block,
            weights: if isa == Isa::Amx { pack_tiles(conv, weight, &rows) } else { pack_vectors(isa, conv, weight, &rows) },
            bias: biases,
        }
    }

    fn task_tiles(&self, images: usize, task: usize, tasks: usize) -> std::ops::Range<usize> {
        let all = images * self.tiles[0] * self.tiles[1];
        let grain = if self.isa == Isa::Amx { amx::ROWS } else { 1 };
        let edge = |task: usize| (all.div_ceil(grain) * task / tasks * grain).min(all);
        edge(task)..edge(task + 1)
    }

    /// Image and first output row and column of a tile.
    fn tile(&self, index: usize) -> (usize, usize, usize) {
        let per_image = self.tiles[0] * self.tiles[1];
        let (image, t) = (index / per_image, index % per_image);
        (image, t / self.tiles[1] * self.side, t % self.tiles[1] * self.side)
    }

    /// Lines of a block's transforms at one point: as many as tiles, and those that fill a product's last rows.
    fn rows(&self, tiles: usize) -> usize {
        if self.isa == Isa::Amx { tiles.next_multiple_of(amx::ROWS) } else { tiles }
    }

    /// Distances from point to point of the transforms and the products of `tiles` tiles: a line more than they need, for the cache's sake.
    fn distances(&self, tiles: usize) -> [usize; 2] {
        let products = self.output.map.blocks();
        let products = if self.isa == Isa::Amx { products.next_multiple_of(2) } else { products };
        [self.input.map.blocks(), products].map(|blocks| (blocks * self.rows(tiles) + 1) * LANES)
    }

    /// All three steps for some tiles.
    fn run_tiles<T: Tile>(&self, unit: &Unit<'_>, tiles: std::ops::Range<usize>, scratch: &mut [f32]) {
        let count = tiles.len();
        let points = points(self.side);
        let [a, b] = self.distances(count);
        let (transformed, rest) = scratch.split_at_mut(points * a);
        let (products, panel) = rest.split_at_mut(points * b);
        dispatch(self.isa, InputTransform::<T> { kernel: self, tile: PhantomData, unit, tiles: tiles.clone(), to: transformed });
        match &self.weights {
            Weights::Vectors(weights) => {
                let (channels, blocks) = (self.input.map.channels, self.output.map.blocks());
                let product = Product::new(self.isa, channels, blocks, count);
                for (point, weights) in weights.chunks_exact(blocks * channels).enumerate() {
                    product.run(&transformed[point * a..][..a], weights, &mut products[point * b..][..b]);
                }
            }
            Weights::Tiles(weights) => {
                let _tiles = Session::start();
                for point in 0..points {
                    self.in_tiles(weights, point, &transformed[point * a..][..a], panel, &mut products[point * b..][..b]);
                }
            }
        }
        dispatch(self.isa, OutputTransform::<T> { kernel: self, tile: PhantomData, unit, tiles, from: products });
    }

    /// The product at one point in AMX tiles.
    fn in_tiles(&self, weights: &amx::Weights, point: usize, from: &[f32], panel: &mut [f32], to: &mut [f32]) {
        let map = self.input.map;
        let block = (from.len() / LANES - 1) / map.blocks() * LANES;
        let rows = block / LANES;
        let walk = Walk::plain(weights.steps(), rows);
        let line = |b: usize| (from.as_ptr().wrapping_add(b * block), map.wanted_lanes(b));
        for step in 0..weights.steps() {
            let [(first, a), (second, b)] = [line(2 * step), line(2 * step + 1)];
            let pixels = Pixels { blocks: [first, second], lanes: [a, b], distance: LANES, count: rows };
            // SAFETY: `from` holds `rows` lines of each block; no lane is wanted of a block that is not there.
            unsafe { PARTS.fill(pixels, panel, walk.lines(), step * rows) };
        }
        for (pair, to) in to.chunks_exact_mut(2 * block).enumerate() {
            weights.multiply(point, pair, panel, &walk, to);
        }
    }
}

fn pack_tiles(conv: &ConvShape, weight: &[f32], rows: &[[f64; 3]]) -> Weights {
    let points = rows.len() * rows.len();
    let blocks = conv.output.div_ceil(LANES);
    let mut packed = amx::Weights::zeros(PARTS, amx::steps(conv.input), blocks, points);
    let writers: Vec<amx::Writer> = (0..points).map(|point| packed.writer(point)).collect();
    transform_weights(conv, weight, rows, &|point, block, channel, values| {
        // SAFETY: blocks are transformed by a thread each.
        unsafe { writers[point].put(block, channel / amx::DEEP, channel / LANES % 2, channel % LANES, &values) };
    });
    Weights::Tiles(packed)
}

/// Weights at each point: `[point][tile of V blocks][input channel][V · 16]`.
fn pack_vectors(isa: Isa, conv: &ConvShape, weight: &[f32], rows: &[[f64; 3]]) -> Weights {
    let points = rows.len() * rows.len();
    let blocks = conv.output.div_ceil(LANES);
    let per_point = blocks * conv.input;
    let mut packed = zeroed_lines(points * per_point * LANES);
    // Where line (tile, channel, v) of a point is; the inner loop runs over points, so blocks are computed apart and then written.
    let lines: Vec<(usize, usize)> = widths(isa, blocks)
        .iter()
        .flat_map(|&(first, width)| (0..width).map(move |v| (first, width, v)))
        .map(|(f, w, v)| (f * conv.input + v, w))
        .collect();
    struct Shared(*mut Line);
    // SAFETY: each task writes lines of its own block.
    unsafe impl Sync for Shared {}
    let to = &Shared(packed.as_mut_ptr());
    transform_weights(conv, weight, rows, &|point, block, channel, values| {
        let (start, width) = lines[block];
        let at = point * per_point + start + channel * width;
        assert!(at < points * per_point);
        // SAFETY: inside the buffer, and this line belongs to this block alone.
        unsafe { to.0.add(at).write(Line(values)) };
    });
    Weights::Vectors(packed)
}

/// Tells of the weights at each (point, output block, input channel), output blocks on a thread each.
fn transform_weights(conv: &ConvShape, weight: &[f32], rows: &[[f64; 3]], tell: &(dyn Fn(usize, usize, usize, [f32; LANES]) + Sync)) {
    (0..conv.output.div_ceil(LANES)).into_par_iter().for_each(|block| {
        let lanes = block * LANES..((block + 1) * LANES).min(conv.output);
        let mut halfway = vec![[[0.0f64; LANES]; 3]; rows.len()];
        for channel in 0..conv.input {
            for (row, half) in rows.iter().zip(&mut halfway) {
                for (x, half) in half.iter_mut().enumerate() {
                    for (lane, o) in lanes.clone().enumerate() {
                        let kernel = &weight[(o * conv.input + channel) * 9..][..9];
                        half[lane] = (0..3).map(|y| row[y] * f64::from(kernel[y * 3 + x])).sum();
                    }
                }
            }
            for (i, half) in halfway.iter().enumerate() {
                for (j, row) in rows.iter().enumerate() {
                    let value = |lane: usize| (0..3).map(|x| row[x] * half[x][lane]).sum::<f64>() as f32;
                    tell(i * rows.len() + j, block, channel, std::array::from_fn(value));
                }
            }
        }
    });
}

/// The first `n` of [`MOST`] vectors, from where `at` says.
///
/// # Safety
/// `at` gives pointers to sixteen values.
#[inline(always)]
unsafe fn line_of<S: Simd>(s: S, n: usize, at: impl Fn(usize) -> *const f32) -> [S::V; MOST] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|i| if i < n { unsafe { s.load(at(i)) } } else { s.splat(0.0) })
}

struct InputTransform<'a, T> {
    kernel: &'a Winograd,
    tile: PhantomData<T>,
    unit: &'a Unit<'a>,
    tiles: std::ops::Range<usize>,
    to: &'a mut [f32],
}

impl<T: Tile> Vectorized for InputTransform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (w, map) = (self.kernel, self.kernel.input.map);
        let n = T::IN;
        let count = self.tiles.len();
        let rows = w.rows(count);
        let [point, _] = w.distances(count);
        assert!(self.to.len() >= n * n * point);
        let mut edge = [[0.0f32; LANES]; 64];
        let mut half = [[0.0f32; LANES]; 64];
        // Rows and columns that memory holds, halo included, counted from the window's first pixel of the map.
        let held = [map.halo[0] + map.height + map.halo[1], map.halo[2] + map.width + map.halo[3]];
        for (t, index) in self.tiles.enumerate() {
            let (image, y, x) = w.tile(index);
            let (y, x) = (y + map.halo[0] - w.padding[0], x + map.halo[2] - w.padding[2]);
            let inside = [(held[0] - y).min(n), (held[1] - x).min(n)];
            if inside != [n, n] {
                edge.fill([0.0; LANES]);
            }
            // SAFETY: earlier steps are complete.
            let input = unsafe { self.unit.read(&w.input, image) };
            for block in 0..map.blocks() {
                let corner = block * map.block + map.origin - map.halo[0] * map.row - map.halo[2] * LANES + y * map.row + x * LANES;
                let (from, row) = if inside == [n, n] {
                    (input[corner..].as_ptr(), map.row)
                } else {
                    for (y, x) in (0..inside[0]).flat_map(|y| (0..inside[1]).map(move |x| (y, x))) {
                        edge[y * n + x].copy_from_slice(&input[corner + y * map.row + x * LANES..][..LANES]);
                    }
                    (edge.as_ptr().cast::<f32>(), n * LANES)
                };
                // SAFETY: n × n lines lie inside the map (or `edge`); n · n points of one line each lie inside `to`, as asserted.
                unsafe {
                    for y in 0..n {
                        let line = from.add(y * row);
                        let d = line_of(s, n, |x| line.add(x * LANES));
                        let made = T::input(s, &d);
                        (0..n).for_each(|x| s.store(half[y * n + x].as_mut_ptr(), made[x]));
                    }
                    let to = self.to.as_mut_ptr().add((block * rows + t) * LANES);
                    for x in 0..n {
                        let made = T::input(s, &line_of(s, n, |y| half[y * n + x].as_ptr()));
                        (0..n).for_each(|y| s.store(to.add((y * n + x) * point), made[y]));
                    }
                }
            }
        }
    }
}

struct OutputTransform<'a, T> {
    kernel: &'a Winograd,
    tile: PhantomData<T>,
    unit: &'a Unit<'a>,
    tiles: std::ops::Range<usize>,
    from: &'a [f32],
}

impl<T: Tile> Vectorized for OutputTransform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (w, map) = (self.kernel, self.kernel.output.map);
        let (n, m) = (T::IN, T::OUT);
        let count = self.tiles.len();
        let lines = w.rows(count);
        let [_, point] = w.distances(count);
        assert!(self.from.len() >= n * n * point);
        let [low, high] = w.epilogue.bounds.map(|b| s.splat(b));
        let mut half = [[0.0f32; LANES]; 48];
        let mut done = [[0.0f32; LANES]; 36];
        for (t, index) in self.tiles.enumerate() {
            let (image, y0, x0) = w.tile(index);
            let [rows, columns] = [(map.height - y0).min(m), (map.width - x0).min(m)];
            let output = self.unit.at(&w.output, image);
            let residual = w.epilogue.residual.map(|r| (self.unit.at(&r, image).cast_const(), r.map));
            for block in 0..map.blocks() {
                // SAFETY: `from` holds n · n points; the tile's rows and columns lie inside the maps, whose bounds `at` checked, and
                // belong to this task alone.
                unsafe {
                    let from = self.from.as_ptr().add((block * lines + t) * LANES);
                    for y in 0..n {
                        let made = T::output(s, &line_of(s, n, |x| from.add((y * n + x) * point)));
                        (0..m).for_each(|x| s.store(half[y * m + x].as_mut_ptr(), made[x]));
                    }
                    let bias = s.load(w.bias[block].0.as_ptr());
                    for x in 0..m {
                        let made = T::output(s, &line_of(s, n, |y| half[y * m + x].as_ptr()));
                        (0..m).for_each(|y| s.store(done[y * m + x].as_mut_ptr(), s.add(made[y], bias)));
                    }
                    for y in 0..rows {
                        let to = output.add(map.at(block, y0 + y, x0));
                        let added = residual.map(|(from, map)| from.add(map.at(block, y0 + y, x0)));
                        for x in 0..columns {
                            let v = s.load(done[y * m + x].as_ptr());
                            let v = added.map_or(v, |from| s.add(v, s.load(from.add(x * LANES))));
                            s.store(to.add(x * LANES), s.min(high, s.max(low, v)));
                        }
                        if let Some(act) = w.epilogue.act {
                            s.vectorize(Activate { values: to, lines: columns, act });
                        }
                    }
                }
            }
        }
    }
}

impl Kernel for Winograd {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        const FEWEST: usize = 14;
        let all = images * self.tiles[0] * self.tiles[1];
        all.div_ceil(self.block).max(workers.min(all / FEWEST)).max(1)
    }

    fn scratch(&self, images: usize) -> usize {
        let points = points(self.side);
        let tiles = self.block.min(images * self.tiles[0] * self.tiles[1]);
        let panel = match &self.weights {
            Weights::Vectors(_) => 0,
            Weights::Tiles(weights) => PARTS.count() * weights.steps() * self.rows(tiles) * LANES,
        };
        points * self.distances(tiles).iter().sum::<usize>() + panel
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let tiles = self.task_tiles(unit.images, task, tasks);
        match self.side {
            6 => self.run_tiles::<F6>(unit, tiles, scratch),
            5 => self.run_tiles::<F5>(unit, tiles, scratch),
            _ => self.run_tiles::<F4>(unit, tiles, scratch),
        }
    }
}
