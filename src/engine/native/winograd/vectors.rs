//! Winograd's products by vectors.
//!
//! A task takes a block of tiles: all their input transforms, then the product at each point, then
//! the inverse transforms. A block's transforms stay in the second-level cache where channels are
//! few; where they are many, a block takes tiles of several images, so that weights are read
//! seldom. *Layout*: transforms are `[point][channel block][tile][16]`, weights
//! `[point][tile of V blocks][input channel][V · 16]`.

use std::marker::PhantomData;
use std::ops::Range;

use super::apply::{InputTransform, OutputTransform};
use super::tiling::{Winograd, by_side, points};
use super::transform::Tile;
use crate::engine::native::dense::Product;
use crate::engine::native::memory::{Operand, Unit};
use crate::engine::native::step::Kernel;
use crate::simd::{LANES, Line, dispatch};

/// A prepared convolution.
pub(super) struct ByVectors {
    winograd: Winograd,
    /// Most tiles of a task.
    block: usize,
    weights: Vec<Line>,
}

impl ByVectors {
    /// Takes packed weights.
    pub(super) fn new(winograd: Winograd, weights: Vec<Line>) -> ByVectors {
        // Transforms of a block: about the second-level cache, but enough tiles to use each weight
        // often.
        let per_tile = points(winograd.side) * (winograd.input.map.blocks() + winograd.output.map.blocks()) * size_of::<Line>();
        ByVectors { winograd, block: ((3 << 19) / per_tile).clamp(56, 112), weights }
    }

    /// Distances from point to point of the transforms and the products of `tiles` tiles: a line
    /// more than they need, for the cache's sake.
    fn distances(&self, tiles: usize) -> [usize; 2] {
        [self.winograd.input, self.winograd.output].map(|o| (o.map.blocks() * tiles + 1) * LANES)
    }

    /// All three steps for some tiles.
    fn run_tiles<T: Tile>(&self, unit: &Unit<'_>, tiles: Range<usize>, scratch: &mut [f32]) {
        let kernel = &self.winograd;
        let (count, points) = (tiles.len(), points(kernel.side));
        let [a, b] = self.distances(count);
        let (to, products) = scratch.split_at_mut(points * a);
        let (distance, then) = (LANES, |_: usize, _: &[f32]| ());
        let (tile, block) = (PhantomData::<T>, count * LANES);
        dispatch(kernel.isa, InputTransform { kernel, tile, unit, tiles: tiles.clone(), to, point: a, block, distance, then });
        let (channels, blocks) = (kernel.input.map.channels, kernel.output.map.blocks());
        let product = Product::new(kernel.isa, channels, blocks, count);
        for (point, weights) in self.weights.chunks_exact(blocks * channels).enumerate() {
            product.run(&to[point * a..][..a], weights, &mut products[point * b..][..b]);
        }
        dispatch(kernel.isa, OutputTransform { kernel, tile, unit, tiles, blocks: 0..blocks, from: products, point: b, block });
    }
}

impl Kernel for ByVectors {
    fn label(&self) -> &str {
        &self.winograd.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.winograd.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        const FEWEST: usize = 14;
        let all = self.winograd.all(images);
        all.div_ceil(self.block).max(workers.min(all / FEWEST)).max(1)
    }

    fn scratch(&self, images: usize) -> usize {
        let tiles = self.block.min(self.winograd.all(images));
        points(self.winograd.side) * self.distances(tiles).iter().sum::<usize>()
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let all = self.winograd.all(unit.images);
        let tiles = all * task / tasks..all * (task + 1) / tasks;
        by_side!(self.winograd.side, self.run_tiles(unit, tiles, scratch))
    }
}
