//! The pass over blocks of inputs that are mostly nonzero.

use super::layout::{BLOCK, Panel, TILE};
use super::operands::Pass;
use super::product::multiply;
use super::update::{Update, step_row};
use crate::simd::{LANES, Simd};

/// Pointers of one tile.
struct TilePointers {
    /// Columns of the panel.
    width: usize,
    x: *const f32,
    batch: usize,
    d: *const f32,
    weights: *mut f32,
    states: [*mut f32; 3],
    next: Option<(*const f32, usize, *mut f32)>,
}

/// A block, whose weights lie at `at`, tile by tile.
#[inline(always)]
pub(super) fn block<S: Simd, R: Update>(s: S, update: R, pass: &mut Pass<'_>, block: usize, mut at: usize) {
    let tiles = pass.layout.tiles_of(block);
    for panel in pass.layout.panels() {
        let width = panel.vectors * LANES;
        let size = TILE * width;
        let d = pass.d[panel.first * LANES * pass.x.batch..][..width * pass.x.batch].as_ptr();
        for part in panel.parts() {
            for tile in 0..tiles {
                let at = at + tile * size;
                let tile = block * BLOCK + tile;
                let next = pass.next.as_mut().map(|(x, h)| (x.tile(tile), h.rows.len(), h.panel(panel)));
                let states = pass.states_at::<R>(at, size);
                let weights = pass.weights[at..][..size].as_mut_ptr();
                let spot = TilePointers { width, x: pass.x.tile(tile), batch: pass.x.batch, d, weights, states, next };
                // SAFETY: every pointer of the spot comes from a slice that was cut, or asserted,
                // to hold the tile's values.
                unsafe { update_tile(s, update, &spot, part) };
            }
        }
        at += tiles * size;
    }
}

/// A tile's part of a panel, split to fit the registers.
///
/// # Safety
/// The pointers of `spot` are valid for a tile: its inputs and gradients for the whole batch,
/// weights and states for its rows and columns, products for the rows of the next batch.
#[inline(always)]
unsafe fn update_tile<S: Simd, R: Update>(s: S, update: R, spot: &TilePointers, part: Panel) {
    // SAFETY: the caller promises the whole tile; rows 0..8 and the vectors of `part` stay within
    // it.
    unsafe {
        if S::REGISTERS >= 32 {
            match part.vectors {
                1 => update_part::<S, R, 8, 1>(s, update, spot, 0, part.first),
                2 => update_part::<S, R, 8, 2>(s, update, spot, 0, part.first),
                _ => update_part::<S, R, 8, 3>(s, update, spot, 0, part.first),
            }
        } else {
            for vector in part.first..part.first + part.vectors {
                update_part::<S, R, 4, 1>(s, update, spot, 0, vector);
                update_part::<S, R, 4, 1>(s, update, spot, 4, vector);
            }
        }
    }
}

/// `ROWS` rows from `row` on, `COLUMNS` vectors from `vector` on: gradient, step, products of the
/// next batch.
///
/// # Safety
/// As [`update_tile`]; these rows and vectors lie within the tile.
#[inline(always)]
unsafe fn update_part<S: Simd, R: Update, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    update: R,
    spot: &TilePointers,
    row: usize,
    vector: usize,
) {
    // SAFETY: the caller promises the tile and that these rows and vectors lie within it.
    // Prefetched addresses need not be valid.
    unsafe {
        let mut tile = [[s.splat(0.0); COLUMNS]; ROWS];
        let (x, d) = (spot.x.add(row), spot.d.add(vector * LANES));
        // The operands of the next tile are prefetched meanwhile, two lines of each array per row,
        // so that memory is neither waited for nor crowded.
        let asking = spot.batch.min(ROWS * COLUMNS / 2);
        for b in 0..asking {
            for line in [2 * b, 2 * b + 1] {
                let at = (TILE + row + line / COLUMNS) * spot.width + (vector + line % COLUMNS) * LANES;
                s.prefetch(spot.weights.wrapping_add(at));
                spot.states.iter().take(R::STATES).for_each(|state| s.prefetch(state.wrapping_add(at)));
            }
            add_product(s, &mut tile, x.add(b * TILE), d.add(b * spot.width));
        }
        for b in asking..spot.batch {
            add_product(s, &mut tile, x.add(b * TILE), d.add(b * spot.width));
        }
        // Unrolled by hand: with an index that is not constant the tile would live in memory
        // instead of registers.
        macro_rules! rows {
            ($($r:literal)*) => {$(
                if $r < ROWS {
                    let at = (row + $r) * spot.width + vector * LANES;
                    tile[$r % ROWS] = step_row(s, update, (spot.weights, spot.states), at, tile[$r % ROWS]);
                }
            )*};
        }
        rows!(0 1 2 3 4 5 6 7);
        if let Some((x, rows, h)) = spot.next {
            multiply(s, &tile, x.add(row), rows, h.add(vector * LANES), spot.width);
        }
    }
}

/// tile += x ⊗ d for one row.
///
/// # Safety
/// `x` is valid for `ROWS` values, `d` for `COLUMNS` vectors.
#[inline(always)]
unsafe fn add_product<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    tile: &mut [[S::V; COLUMNS]; ROWS],
    x: *const f32,
    d: *const f32,
) {
    // SAFETY: the caller promises `ROWS` values and `COLUMNS` vectors.
    unsafe {
        let d: [S::V; COLUMNS] = std::array::from_fn(|c| s.load(d.add(c * LANES)));
        for (r, sums) in tile.iter_mut().enumerate() {
            let value = s.splat(*x.add(r));
            for (sum, d) in sums.iter_mut().zip(d) {
                *sum = s.fma(value, d, *sum);
            }
        }
    }
}
