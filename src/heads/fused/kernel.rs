//! The two kernels of the trainer.
//!
//! [`Pass`]: one pass over weights. For each tile (eight inputs by up to three vectors of outputs, held in registers): the gradient of this
//! batch, Σ_b x_b ⊗ d_b; the optimiser's step; and at once the products of the new weights with the *next* batch, h_b += x'_b · W. Weights and
//! states are read and written once a step, and the gradient never leaves the registers. Blocks of inputs that are mostly 0 take another way, that
//! leaves out zeros: [`super::sparse`].
//!
//! [`Product`]: h_b += x_b · W alone, for the first batch, the upper layers and evaluation.
//!
//! *Layout*: weights on a [`Tape`]; features `[tile][batch][8]`; gradients and products `[panel][batch][panel's columns]`.

use std::marker::PhantomData;
use std::ops::Range;

use super::marks::{Block, Marks};
use super::rule::{ForRule, Rule, with_rule};
use super::sparse;
use super::tape::{BLOCK, Panel, TILE, Tape};
use super::team::Shared;
use crate::heads::settings::optimizer::Optimizer;
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Features `[tile][batch][8]` of the tiles from some first one on, to be read.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    values: *const f32,
    len: usize,
    /// Rows of the batch.
    pub batch: usize,
    first_tile: usize,
    /// Which of them are not 0, where that is known.
    pub marks: Option<&'a Marks>,
    _owner: PhantomData<&'a [f32]>,
}

impl<'a> Packed<'a> {
    /// All rows of a buffer.
    pub fn new(values: &'a [f32], batch: usize, first_tile: usize) -> Packed<'a> {
        Packed { values: values.as_ptr(), len: values.len(), batch, first_tile, marks: None, _owner: PhantomData }
    }

    /// The same with marks.
    pub fn marked(self, marks: &'a Marks) -> Packed<'a> {
        Packed { marks: Some(marks), ..self }
    }

    /// Rows of a shared buffer that starts with tile 0.
    ///
    /// # Safety
    /// Until the next barrier nobody writes the rows that a kernel is given.
    pub unsafe fn shared(buffer: &'a Shared, batch: usize) -> Packed<'a> {
        let (values, len) = buffer.pointer();
        Packed { values, len, batch, first_tile: 0, marks: None, _owner: PhantomData }
    }

    /// A tile's first row.
    #[inline(always)]
    pub fn tile(&self, tile: usize) -> *const f32 {
        let (start, len) = ((tile - self.first_tile) * self.batch * TILE, self.batch * TILE);
        assert!(start + len <= self.len, "a tile of the features");
        // SAFETY: within the buffer, as just checked.
        unsafe { self.values.add(start) }
    }
}

/// Some rows of `[panel][batch][columns]`, to be added to.
pub struct Products<'a> {
    values: *mut f32,
    len: usize,
    batch: usize,
    /// These rows.
    pub rows: Range<usize>,
    _owner: PhantomData<&'a mut [f32]>,
}

impl<'a> Products<'a> {
    /// All rows of a buffer of one's own.
    pub fn new(values: &'a mut [f32], batch: usize) -> Products<'a> {
        Products { values: values.as_mut_ptr(), len: values.len(), batch, rows: 0..batch, _owner: PhantomData }
    }

    /// Some rows of a shared buffer.
    ///
    /// # Safety
    /// Until the next barrier no other thread uses these rows.
    pub unsafe fn shared(buffer: &'a Shared, batch: usize, rows: Range<usize>) -> Products<'a> {
        let (values, len) = buffer.pointer();
        Products { values, len, batch, rows, _owner: PhantomData }
    }

    /// The same once more, while this one rests.
    pub fn again(&mut self) -> Products<'_> {
        Products { rows: self.rows.clone(), _owner: PhantomData, ..*self }
    }

    /// The first row's columns of a panel.
    #[inline(always)]
    pub fn panel(&mut self, panel: Panel) -> *mut f32 {
        let width = panel.vectors * LANES;
        let start = panel.first * LANES * self.batch;
        assert!(self.rows.end <= self.batch && start + width * self.batch <= self.len, "a panel of the products");
        // SAFETY: within the buffer, as just checked.
        unsafe { self.values.add(start + self.rows.start * width) }
    }

    /// Sets the rows to zero.
    pub fn clear(&mut self, tape: Tape) {
        for panel in tape.panels() {
            let (start, len) = (self.panel(panel), self.rows.len() * panel.vectors * LANES);
            // SAFETY: the rows lie side by side within a panel, and nobody else uses them.
            unsafe { std::slice::from_raw_parts_mut(start, len).fill(0.0) };
        }
    }
}

/// One pass over some blocks of a weight matrix.
pub struct Pass<'a> {
    /// The weights' geometry.
    pub tape: Tape,
    /// Blocks that are passed.
    pub blocks: Range<usize>,
    /// Weights of those blocks.
    pub weights: &'a mut [f32],
    /// What the optimiser keeps for them.
    pub states: [&'a mut [f32]; 3],
    /// Features of this batch.
    pub x: Packed<'a>,
    /// Gradients of its products, `[panel][batch][columns]`.
    pub d: &'a [f32],
    /// Features of the next batch and where its products are added.
    pub next: Option<(Packed<'a>, Products<'a>)>,
}

/// Pointers of one tile.
struct Spot {
    /// Columns of the panel.
    width: usize,
    x: *const f32,
    batch: usize,
    d: *const f32,
    weights: *mut f32,
    states: [*mut f32; 3],
    next: Option<(*const f32, usize, *mut f32)>,
}

impl<'a> Pass<'a> {
    /// Does it, with one step of an optimiser; `bits` is room for a block's marks.
    pub fn run(self, isa: Isa, optimizer: &Optimizer, lr: f64, step: i32, bits: &mut Vec<u64>) {
        struct Ruled<'a>(Isa, Pass<'a>, &'a mut Vec<u64>);
        impl ForRule for Ruled<'_> {
            type Output = ();
            fn run<R: Rule>(self, rule: R) {
                let Ruled(isa, pass, bits) = self;
                dispatch(isa, Work { pass, rule, bits });
            }
        }
        with_rule(optimizer, lr, step, Ruled(isa, self, bits));
    }

    /// A block's marks in this batch and the next one (if there is one), where enough is 0 in both for zeros to be left out.
    #[inline(always)]
    fn sparse(&self, block: usize) -> Option<[Block<'a>; 2]> {
        let inputs = self.tape.tiles_of(block) * TILE;
        let sparse = |x: &Packed<'a>| x.marks.map(|marks| marks.block(block, x.batch)).filter(|marks| marks.is_sparse(inputs));
        let this = sparse(&self.x)?;
        let next = self.next.as_ref().map_or(Some(this), |(x, _)| sparse(x))?;
        Some([this, next])
    }

    /// Where the rule's states of `size` weights from position `at` on lie.
    #[inline(always)]
    pub fn states_at<R: Rule>(&mut self, at: usize, size: usize) -> [*mut f32; 3] {
        let mut states = [std::ptr::null_mut(); 3];
        for (pointer, state) in states.iter_mut().zip(&mut self.states).take(R::STATES) {
            *pointer = state[at..][..size].as_mut_ptr();
        }
        states
    }
}

struct Work<'a, R> {
    pass: Pass<'a>,
    rule: R,
    bits: &'a mut Vec<u64>,
}

impl<R: Rule> Vectorized for Work<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Work { mut pass, rule, bits } = self;
        let mut at = 0;
        for block in pass.blocks.clone() {
            match pass.sparse(block) {
                Some([this, next]) => sparse::block(s, rule, &mut pass, (this.by_input(bits), next), block, at),
                None => tiles(s, rule, &mut pass, block, at),
            }
            at += pass.tape.tiles_of(block) * TILE * pass.tape.columns();
        }
    }
}

/// A block, whose weights lie at `at`, tile by tile.
#[inline(always)]
fn tiles<S: Simd, R: Rule>(s: S, rule: R, pass: &mut Pass<'_>, block: usize, mut at: usize) {
    let tiles = pass.tape.tiles_of(block);
    for panel in pass.tape.panels() {
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
                let spot = Spot { width, x: pass.x.tile(tile), batch: pass.x.batch, d, weights, states, next };
                // SAFETY: every pointer of the spot comes from a slice checked to hold the tile's values.
                unsafe { update_tile(s, rule, &spot, part) };
            }
        }
        at += tiles * size;
    }
}

/// A tile's part of a panel, split into what the registers hold.
#[inline(always)]
unsafe fn update_tile<S: Simd, R: Rule>(s: S, rule: R, spot: &Spot, part: Panel) {
    // SAFETY: the caller's promise; rows and vectors stay within the tile.
    unsafe {
        if S::REGISTERS >= 32 {
            match part.vectors {
                1 => update::<S, R, 8, 1>(s, rule, spot, 0, part.first),
                2 => update::<S, R, 8, 2>(s, rule, spot, 0, part.first),
                _ => update::<S, R, 8, 3>(s, rule, spot, 0, part.first),
            }
        } else {
            for vector in part.first..part.first + part.vectors {
                update::<S, R, 4, 1>(s, rule, spot, 0, vector);
                update::<S, R, 4, 1>(s, rule, spot, 4, vector);
            }
        }
    }
}

/// `ROWS` rows from `row` on, `COLUMNS` vectors from `vector` on: gradient, step, products of the next batch.
#[inline(always)]
unsafe fn update<S: Simd, R: Rule, const ROWS: usize, const COLUMNS: usize>(s: S, rule: R, spot: &Spot, row: usize, vector: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut tile = [[s.splat(0.0); COLUMNS]; ROWS];
        let (x, d) = (spot.x.add(row), spot.d.add(vector * LANES));
        // What the next tile will need comes meanwhile, two lines of each array a row, so that memory is never waited for nor crowded.
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
        // Unrolled by hand: with an index that is not constant the tile would live in memory instead of registers.
        macro_rules! rows {
            ($($r:literal)*) => {$(
                if $r < ROWS {
                    let at = (row + $r) * spot.width + vector * LANES;
                    tile[$r % ROWS] = step_row(s, rule, (spot.weights, spot.states), at, tile[$r % ROWS]);
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
#[inline(always)]
unsafe fn add_product<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    tile: &mut [[S::V; COLUMNS]; ROWS],
    x: *const f32,
    d: *const f32,
) {
    // SAFETY: the caller's promise.
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

/// The optimiser's step on neighbouring vectors of one row, from position `at` of weights and states on; returns the new weights.
///
/// # Safety
/// Weights, and as many states as the rule has, are valid there.
#[inline(always)]
pub unsafe fn step_row<S: Simd, R: Rule, const COLUMNS: usize>(
    s: S,
    rule: R,
    (weights, states): (*mut f32, [*mut f32; 3]),
    at: usize,
    gradients: [S::V; COLUMNS],
) -> [S::V; COLUMNS] {
    let mut new = gradients;
    for (c, value) in new.iter_mut().enumerate() {
        let at = at + c * LANES;
        let mut kept = [s.splat(0.0); 3];
        // SAFETY: the caller's promise.
        unsafe {
            for (kept, state) in kept.iter_mut().zip(states).take(R::STATES) {
                *kept = s.load(state.add(at));
            }
            *value = rule.step(s, s.load(weights.add(at)), *value, &mut kept);
            s.store(weights.add(at), *value);
            for (kept, state) in kept.iter().zip(states).take(R::STATES) {
                s.store(state.add(at), *kept);
            }
        }
    }
    new
}

/// h_b += x_b · tile for `rows` rows: two at a time, for the sums of one alone would wait for each other.
#[inline(always)]
unsafe fn multiply<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    tile: &[[S::V; COLUMNS]; ROWS],
    x: *const f32,
    rows: usize,
    h: *mut f32,
    width: usize,
) {
    // SAFETY: the caller's promise.
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
#[inline(always)]
unsafe fn multiply_rows<S: Simd, const ROWS: usize, const COLUMNS: usize, const N: usize>(
    s: S,
    tile: &[[S::V; COLUMNS]; ROWS],
    x: *const f32,
    h: *mut f32,
    width: usize,
) {
    // SAFETY: the caller's promise.
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
pub struct Product<'a> {
    /// The weights' geometry.
    pub tape: Tape,
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
    /// Does it.
    pub fn run(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Vectorized for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let tape = self.tape;
        let start = tape.block(self.blocks.start);
        for block in self.blocks.clone() {
            let tiles = tape.tiles_of(block);
            let mut panel_start = tape.block(block) - start;
            for panel in tape.panels() {
                let width = panel.vectors * LANES;
                let size = TILE * width;
                for part in panel.parts() {
                    for tile in 0..tiles {
                        let weights = self.weights[panel_start + tile * size..][..size].as_ptr();
                        let (x, h) = (self.x.tile(block * BLOCK + tile), self.h.panel(panel));
                        debug_assert_eq!(self.x.batch, self.h.batch);
                        // SAFETY: the pointers were checked to hold the tile's values for all rows of the batch.
                        unsafe { multiply_tile(s, weights, x.add(self.h.rows.start * TILE), self.h.rows.len(), h, width, part) };
                    }
                }
                panel_start += tiles * size;
            }
        }
    }
}

#[inline(always)]
unsafe fn multiply_tile<S: Simd>(s: S, weights: *const f32, x: *const f32, rows: usize, h: *mut f32, width: usize, part: Panel) {
    // SAFETY: the caller's promise; rows and vectors stay within the tile.
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

#[inline(always)]
unsafe fn tile_of<S: Simd, const ROWS: usize, const COLUMNS: usize>(s: S, from: *const f32, width: usize) -> [[S::V; COLUMNS]; ROWS] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|r| std::array::from_fn(|c| unsafe { s.load(from.add(r * width + c * LANES)) }))
}
