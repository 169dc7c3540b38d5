//! Winograd's products in AMX tiles.
//!
//! The transforms of a tile are made for all its channels, then written as digits with the scale of
//! each point ([`split_int8`](crate::engine::native::split_int8)): three bytes a number. Where all
//! weights stay in the caches, a task takes a block of tiles: their transforms, then, for two
//! output blocks at a time, the products at all points and the inverse transforms: the digits of a
//! block and the products of two output blocks stay in the second-level cache. Wide layers have
//! more weights than that. There a step has three stages for every few hundred tiles: threads share
//! out tiles, then points, so that each weight is read once, then tiles again. Both ways give the
//! same result.

use std::marker::PhantomData;
use std::ops::Range;

use super::apply::{InputTransform, OutputTransform};
use super::tiling::{DIGITS, Winograd, by_side, points};
use super::transform::Tile;
use crate::engine::native::memory::{Common, Operand, Unit};
use crate::engine::native::split_int8::{Destination, Rows, Run, Weights};
use crate::engine::native::step::{Kernel, Stage};
use crate::simd::{Amx, LANES, TILE_ROWS, dispatch};

/// Most tiles that go through the three stages together.
const TOGETHER: usize = 24 * TILE_ROWS;

/// Stages of a step that shares out points.
const STAGES: usize = 3;

/// Floats from block to block of a tile's transforms: a line more than points, for the cache's
/// sake.
fn window_block(side: usize) -> usize {
    (points(side) + 1) * LANES
}

/// A prepared convolution.
pub(super) struct InTiles {
    amx: Amx,
    winograd: Winograd,
    /// Most tiles of a task that does all.
    block: usize,
    weights: Weights,
    /// Places of a tile's channels at a point.
    runs: Vec<Run>,
}

impl InTiles {
    /// Takes packed weights.
    pub(super) fn new(amx: Amx, winograd: Winograd, weights: Weights) -> InTiles {
        const CACHED: usize = 1 << 20;
        // Digits of a block, and its products with two output blocks.
        let per_tile = points(winograd.side) * (weights.steps() * 3 * LANES * 4 + 2 * LANES * 4);
        let block = (CACHED / per_tile / TILE_ROWS * TILE_ROWS).clamp(2 * TILE_ROWS, 6 * TILE_ROWS);
        let map = winograd.input.map;
        let distance = window_block(winograd.side);
        let runs = (0..map.blocks()).map(|b| Run { offset: b * distance, lanes: map.wanted_lanes(b) }).collect();
        InTiles { amx, winograd, block, weights, runs }
    }

    fn points(&self) -> usize {
        points(self.winograd.side)
    }

    /// Whether threads share out points.
    fn shares(&self, images: usize) -> bool {
        const HEAVY: usize = 4 << 20;
        images > 1 && self.weights.bytes() > HEAVY
    }

    /// Floats of a tile's transforms.
    fn window(&self) -> usize {
        self.winograd.input.map.blocks() * window_block(self.winograd.side)
    }

    /// Floats of the digits of `tiles` tiles at a point.
    fn panel(&self, tiles: usize) -> usize {
        DIGITS.panel_floats(self.weights.steps(), tiles)
    }

    /// Floats of the products of `tiles` tiles with `pairs` pairs of output blocks at a point, and
    /// a line more.
    fn products(&self, tiles: usize, pairs: usize) -> usize {
        (2 * pairs * tiles.next_multiple_of(TILE_ROWS) + 1) * LANES
    }

    /// Transforms tiles, the first of which is a panel's row `first`; panels are `panel` floats
    /// apart.
    ///
    /// # Safety
    /// Panels have these rows at each point, and no other task uses them.
    unsafe fn transform<T: Tile>(
        &self,
        unit: &Unit<'_>,
        tiles: Range<usize>,
        first: usize,
        panels: *mut f32,
        panel: usize,
        to: &mut [f32],
    ) {
        let kernel = &self.winograd;
        let block = window_block(kernel.side);
        let then = |tile: usize, window: &[f32]| {
            let row = first + tile;
            for point in (0..self.points()).step_by(TILE_ROWS) {
                let count = (self.points() - point).min(TILE_ROWS);
                let from = std::array::from_fn(|i| window[(point + i.min(count - 1)) * LANES..].as_ptr());
                let rows = Rows { from, count, runs: &self.runs };
                let sixteen = panels.wrapping_add(point * panel + row / TILE_ROWS * DIGITS.tile_floats(self.weights.steps()));
                // SAFETY: the window holds all points of all channels; the caller promises the
                // panels.
                unsafe {
                    rows.fill(self.amx.vectors(), DIGITS, &Destination { tile: sixteen, index: row % TILE_ROWS, panel: Some(panel) })
                };
            }
        };
        let tile = PhantomData::<T>;
        dispatch(kernel.isa, InputTransform { kernel, tile, unit, tiles, to, point: LANES, block, distance: 0, then });
    }

    /// All of it for a block of tiles.
    fn run_block<T: Tile>(&self, unit: &Unit<'_>, tiles: Range<usize>, scratch: &mut [f32]) {
        let kernel = &self.winograd;
        let rows = tiles.len().next_multiple_of(TILE_ROWS);
        let (panel, point) = (self.panel(rows), self.products(rows, 1));
        let (window, rest) = scratch.split_at_mut(self.window());
        let (panels, products) = rest.split_at_mut(self.points() * panel);
        // SAFETY: `panels` holds a panel of `rows` rows for each point, and `scratch` is this
        // task's alone.
        unsafe { self.transform::<T>(unit, tiles.clone(), 0, panels.as_mut_ptr(), panel, window) };
        let configured = self.amx.tiles(TILE_ROWS);
        for pair in 0..self.weights.pairs() {
            for (i, panel) in panels.chunks_exact(panel).enumerate() {
                let next = if i + 1 < self.points() { [i + 1, pair] } else { [0, pair + 1] };
                self.weights.multiply(&configured, [i, pair], Some(next), panel, rows, &mut products[i * point..][..point]);
            }
            let blocks = 2 * pair..(2 * pair + 2).min(kernel.output.map.blocks());
            let (tile, block) = (PhantomData::<T>, rows * LANES);
            dispatch(kernel.isa, OutputTransform { kernel, tile, unit, tiles: tiles.clone(), blocks, from: products, point, block });
        }
    }

    /// The tiles of a stage, and its kind: 0 for transforms, 1 for products, 2 for inverse
    /// transforms.
    fn stage(&self, stage: usize, images: usize) -> (Range<usize>, usize) {
        let first = stage / STAGES * TOGETHER;
        (first..(first + TOGETHER).min(self.winograd.all(images)), stage % STAGES)
    }

    /// One task of a stage: sixteen tiles, or a point.
    fn run_shared<T: Tile>(&self, unit: &Unit<'_>, stage: usize, task: usize, common: Common<'_>, scratch: &mut [f32]) {
        let kernel = &self.winograd;
        let (tiles, kind) = self.stage(stage, unit.images);
        let rows = tiles.len().next_multiple_of(TILE_ROWS);
        let (panel, point) = (self.panel(rows), self.products(rows, self.weights.pairs()));
        let panels = self.points() * panel;
        let sixteen = tiles.start + task * TILE_ROWS..(tiles.start + (task + 1) * TILE_ROWS).min(tiles.end);
        match kind {
            0 => {
                let to = common.at(0, panels);
                // SAFETY: `common` holds a panel of `rows` rows for each point, and no other task
                // writes these sixteen rows.
                unsafe { self.transform::<T>(unit, sixteen, task * TILE_ROWS, to, panel, &mut scratch[..self.window()]) };
            }
            1 => {
                // SAFETY: the stage before completed the panels, and no other task writes this
                // point's products.
                let (from, to) = unsafe { (common.read(task * panel, panel), common.write(panels + task * point, point)) };
                let configured = self.amx.tiles(TILE_ROWS);
                for (pair, to) in to.chunks_exact_mut(2 * rows * LANES).enumerate() {
                    self.weights.multiply(&configured, [task, pair], None, from, rows, to);
                }
            }
            _ => {
                // SAFETY: the stage before completed the products, and no task of this stage writes
                // to them.
                let from = unsafe { common.read(panels + task * TILE_ROWS * LANES, self.points() * point - task * TILE_ROWS * LANES) };
                let (tile, blocks, block) = (PhantomData::<T>, 0..kernel.output.map.blocks(), rows * LANES);
                dispatch(kernel.isa, OutputTransform { kernel, tile, unit, tiles: sixteen, blocks, from, point, block });
            }
        }
    }
}

impl Kernel for InTiles {
    fn label(&self) -> &str {
        &self.winograd.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.winograd.output)
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        let all = self.winograd.all(images);
        all.div_ceil(self.block).max(workers.min(all / TILE_ROWS)).max(1)
    }

    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]) {
        let all = self.winograd.all(unit.images);
        let edge = |task: usize| (all.div_ceil(TILE_ROWS) * task / tasks * TILE_ROWS).min(all);
        by_side!(self.winograd.side, self.run_block(unit, edge(task)..edge(task + 1), scratch));
    }

    fn stages(&self, images: usize) -> usize {
        if self.shares(images) { STAGES * self.winograd.all(images).div_ceil(TOGETHER) } else { 1 }
    }

    fn common(&self, images: usize) -> usize {
        let tiles = self.winograd.all(images).min(TOGETHER);
        if self.shares(images) { self.points() * (self.panel(tiles) + self.products(tiles, self.weights.pairs())) } else { 0 }
    }

    fn stage_tasks(&self, stage: usize, images: usize, workers: usize) -> usize {
        if !self.shares(images) {
            return self.tasks(images, workers);
        }
        let (tiles, kind) = self.stage(stage, images);
        if kind == 1 { self.points() } else { tiles.len().div_ceil(TILE_ROWS) }
    }

    fn scratch(&self, images: usize) -> usize {
        // A single image of a larger batch's engine shares nothing.
        let tiles = self.block.min(self.winograd.all(if self.shares(images) { 1 } else { images }));
        self.window() + self.points() * (self.panel(tiles) + self.products(tiles, 1))
    }

    fn run_stage(&self, unit: &Unit<'_>, stage: Stage<'_>, scratch: &mut [f32]) {
        if self.shares(unit.images) {
            by_side!(self.winograd.side, self.run_shared(unit, stage.index, stage.task, stage.common, scratch));
        } else {
            self.run(unit, stage.task, stage.tasks, scratch);
        }
    }
}
