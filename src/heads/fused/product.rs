//! Products of features with weights, h_b += x_b · W: alone, for the first batch, the upper layers
//! and evaluation, and of a tile within a pass.

use std::ops::Range;

use super::layout::{BLOCK, Layout, Panel, TILE};
use super::operands::{Packed, Products};
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// h_b += x_b · tile for `rows` rows: two at a time, for the sums of one alone would wait for each
/// other.
///
/// # Safety
/// `x` is valid for `ROWS` values at each of `rows` rows, `TILE` apart; `h` for `COLUMNS` vectors
/// at each of them, `width` apart.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    tile: &[[S::V; COLUMNS]; ROWS],
    x: *const f32,
    rows: usize,
    h: *mut f32,
    width: usize,
) {
    // SAFETY: the caller promises all rows; every call takes its own.
    unsafe {
        for pair in 0..rows / 2 {
            multiply_rows::<S, ROWS, COLUMNS, 2>(s, tile, x.add(2 * pair * TILE), h.add(2 * pair * width), width);
        }
        if rows % 2 == 1 {
            multiply_rows::<S, ROWS, COLUMNS, 1>(s, tile, x.add((rows - 1) * TILE), h.add((rows - 1) * width), width);
        }
    }
}

/// h_b += x_b · tile for `N` rows.
///
/// # Safety
/// As [`multiply`], for `N` rows.
#[inline(always)]
unsafe fn multiply_rows<S: Simd, const ROWS: usize, const COLUMNS: usize, const N: usize>(
    s: S,
    tile: &[[S::V; COLUMNS]; ROWS],
    x: *const f32,
    h: *mut f32,
    width: usize,
) {
    // SAFETY: the caller promises `N` rows of values and of vectors.
    unsafe {
        let mut sums: [[S::V; COLUMNS]; N] = std::array::from_fn(|b| std::array::from_fn(|c| s.load(h.add(b * width + c * LANES))));
        for (r, weights) in tile.iter().enumerate() {
            for (b, sums) in sums.iter_mut().enumerate() {
                let value = s.splat(*x.add(b * TILE + r));
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = s.fma(value, *weight, *sum);
                }
            }
        }
        for (b, sums) in sums.into_iter().enumerate() {
            for (c, sum) in sums.into_iter().enumerate() {
                s.store(h.add(b * width + c * LANES), sum);
            }
        }
    }
}

/// Products of features with some blocks of a weight matrix.
pub(super) struct Product<'a> {
    /// The weights' geometry.
    pub layout: Layout,
    /// Blocks that are multiplied.
    pub blocks: Range<usize>,
    /// Weights of those blocks.
    pub weights: &'a [f32],
    /// Features.
    pub x: Packed<'a>,
    /// Where the products are added.
    pub h: Products<'a>,
}

impl Product<'_> {
    /// Runs it.
    pub(super) fn run(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Vectorized for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let layout = self.layout;
        let start = layout.block(self.blocks.start);
        for block in self.blocks.clone() {
            let tiles = layout.tiles_of(block);
            let mut panel_start = layout.block(block) - start;
            for panel in layout.panels() {
                let width = panel.vectors * LANES;
                let size = TILE * width;
                for part in panel.parts() {
                    for tile in 0..tiles {
                        let weights = self.weights[panel_start + tile * size..][..size].as_ptr();
                        let (x, h) = (self.x.tile(block * BLOCK + tile), self.h.panel(panel));
                        debug_assert_eq!(self.x.batch, self.h.batch);
                        // SAFETY: the pointers were checked to hold the tile's values for all rows
                        // of the batch.
                        unsafe { multiply_tile(s, weights, x.add(self.h.rows.start * TILE), self.h.rows.len(), h, width, part) };
                    }
                }
                panel_start += tiles * size;
            }
        }
    }
}

/// Products of a tile's part of a panel.
///
/// # Safety
/// `weights` is valid for a tile of eight rows of `width` columns; `x` for its inputs of `rows`
/// rows of the batch, `TILE` apart; `h` for a row of the panel at each of them.
#[inline(always)]
unsafe fn multiply_tile<S: Simd>(s: S, weights: *const f32, x: *const f32, rows: usize, h: *mut f32, width: usize, part: Panel) {
    // SAFETY: the caller promises the whole tile; rows 0..8 and the vectors of `part` stay within
    // it.
    unsafe {
        if S::REGISTERS >= 32 {
            let (weights, h) = (weights.add(part.first * LANES), h.add(part.first * LANES));
            match part.vectors {
                1 => multiply(s, &tile_of::<S, 8, 1>(s, weights, width), x, rows, h, width),
                2 => multiply(s, &tile_of::<S, 8, 2>(s, weights, width), x, rows, h, width),
                _ => multiply(s, &tile_of::<S, 8, 3>(s, weights, width), x, rows, h, width),
            }
        } else {
            for vector in part.first..part.first + part.vectors {
                for row in [0, 4] {
                    let tile = tile_of::<S, 4, 1>(s, weights.add(row * width + vector * LANES), width);
                    multiply(s, &tile, x.add(row), rows, h.add(vector * LANES), width);
                }
            }
        }
    }
}

/// `ROWS` rows of `COLUMNS` vectors, `width` apart.
///
/// # Safety
/// `from` is valid for them.
#[inline(always)]
unsafe fn tile_of<S: Simd, const ROWS: usize, const COLUMNS: usize>(s: S, from: *const f32, width: usize) -> [[S::V; COLUMNS]; ROWS] {
    // SAFETY: the caller promises the vectors of every row.
    std::array::from_fn(|r| std::array::from_fn(|c| unsafe { s.load(from.add(r * width + c * LANES)) }))
}
