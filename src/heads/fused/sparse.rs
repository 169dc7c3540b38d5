//! The pass over weights that leaves out the zeros among the features: half of them behind a ReLU, as many behind dropout, three quarters behind
//! both. The same sums in the same order as [`Pass`]: what is left out adds nothing, so which way is taken changes no bit.
//!
//! An input's gradient is the sum over the rows where it is not 0, a row's products that over the inputs that are not; a panel's width of either is
//! summed up in registers, what is multiplied comes from the first-level cache. Eight inputs never share what they read, as they do in the other
//! way: it is worth while where enough is left out.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::kernel::{Pass, step_row};
use super::rule::{ForRule, Rule, with_rule};
use super::tape::{BLOCK, PANEL, TILE};
use crate::engine::native::simd::{Isa, LANES, Simd, Vectorized, dispatch};
use crate::heads::optimizer::Optimizer;

/// Share of features that may be other than 0.
const MOST: f64 = 0.75;
/// Rows of weights by which they are asked for before they are needed.
const AHEAD: usize = 8;

/// Lists of the features that are not 0, each in a slot as long as the longest.
#[derive(Default)]
pub struct Lists {
    slot: usize,
    lengths: Vec<u32>,
    values: Vec<f32>,
    /// Which row, or which input of a block, each value belongs to.
    places: Vec<u32>,
}

/// One list.
#[derive(Clone, Copy)]
struct List<'a> {
    values: &'a [f32],
    places: &'a [u32],
}

/// Whether leaving out the zeros of a batch is worth while.
pub fn is_sparse(isa: Isa, packed: &[f32]) -> bool {
    (dispatch(isa, Others(packed)) as f64) < MOST * packed.len() as f64
}

/// Counts what is not 0.
struct Others<'a>(&'a [f32]);

impl Vectorized for Others<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        self.0.chunks(1 << 16).map(|chunk| chunk.iter().map(|&x| u32::from(x != 0.0)).sum::<u32>() as usize).sum()
    }
}

/// Lists of neighbouring blocks of inputs, some blocks in each.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    lists: &'a [Lists],
    blocks: usize,
}

impl<'a> Listed<'a> {
    /// So many blocks in each.
    pub fn new(lists: &'a [Lists], blocks: usize) -> Listed<'a> {
        Listed { lists, blocks }
    }

    /// The list of an input of a block.
    #[inline(always)]
    fn input(&self, block: usize, input: usize) -> List<'a> {
        self.lists[block / self.blocks].list(block % self.blocks * BLOCK * TILE + input)
    }

    /// The list of a row of a block, of so many rows.
    #[inline(always)]
    fn row(&self, block: usize, rows: usize, row: usize) -> List<'a> {
        self.lists[block / self.blocks].list(block % self.blocks * rows + row)
    }
}

impl Lists {
    /// A list for each input of `[tile][batch][8]`: the rows where it is not 0.
    pub fn of_inputs(&mut self, packed: &[f32], batch: usize, isa: Isa) {
        let tiles = packed.len() / (TILE * batch);
        self.begin(tiles * TILE, batch);
        for t in 0..tiles {
            let tile = packed[t * TILE * batch..][..TILE * batch].as_chunks::<TILE>().0;
            let (first, slot) = (t * TILE, self.slot);
            let (lengths, at) = (&mut self.lengths[first..first + TILE], first * slot..(first + TILE) * slot);
            let pens = Pens { slot, lengths, values: &mut self.values[at.clone()], places: &mut self.places[at] };
            columns(isa, tile, pens);
        }
    }

    /// A list for each row of each block of `[tile][batch][8]`: the inputs that are not 0.
    pub fn of_rows(&mut self, packed: &[f32], batch: usize, isa: Isa) {
        let blocks = packed.chunks(BLOCK * TILE * batch);
        self.begin(blocks.len() * batch, BLOCK * TILE);
        for (i, block) in blocks.enumerate() {
            let (first, slot) = (i * batch, self.slot);
            let (lengths, at) = (&mut self.lengths[first..first + batch], first * slot..(first + batch) * slot);
            let pens = Pens { slot, lengths, values: &mut self.values[at.clone()], places: &mut self.places[at] };
            rows(isa, block.as_chunks::<TILE>().0, pens);
        }
    }

    fn begin(&mut self, lists: usize, longest: usize) {
        // What is written at once may reach beyond what counts.
        self.slot = longest + LANES;
        self.lengths.clear();
        self.lengths.resize(lists, 0);
        self.values.resize(lists * self.slot, 0.0);
        self.places.resize(lists * self.slot, 0);
    }

    #[inline(always)]
    fn list(&self, index: usize) -> List<'_> {
        let range = index * self.slot..index * self.slot + self.lengths[index] as usize;
        List { values: &self.values[range.clone()], places: &self.places[range] }
    }
}

/// Neighbouring lists that are being written.
struct Pens<'a> {
    slot: usize,
    lengths: &'a mut [u32],
    values: &'a mut [f32],
    places: &'a mut [u32],
}

impl Pens<'_> {
    /// Without a branch: what is 0 is written over.
    #[inline(always)]
    fn write(&mut self, list: usize, value: f32, place: usize) {
        let at = list * self.slot + self.lengths[list] as usize;
        (self.values[at], self.places[at]) = (value, place as u32);
        self.lengths[list] += u32::from(value != 0.0);
    }

    /// Sixteen at once, whose places are consecutive.
    ///
    /// # Safety
    /// The list's slot has room for sixteen more.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn write_lanes(&mut self, list: usize, values: __m512, place: usize) {
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let wanted = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(values, _mm512_setzero_ps());
        let places = _mm512_add_epi32(lanes, _mm512_set1_epi32(place as i32));
        let at = list * self.slot + self.lengths[list] as usize;
        debug_assert!(at + LANES <= (list + 1) * self.slot);
        // SAFETY: the caller's promise.
        unsafe {
            _mm512_storeu_ps(self.values.as_mut_ptr().add(at), _mm512_maskz_compress_ps(wanted, values));
            _mm512_storeu_si512(self.places.as_mut_ptr().add(at).cast(), _mm512_maskz_compress_epi32(wanted, places));
        }
        self.lengths[list] += wanted.count_ones();
    }
}

/// Eight lists of a tile's columns; places are its rows.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, unused_variables, reason = "the vector way is of one architecture"))]
fn columns(isa: Isa, tile: &[[f32; TILE]], mut pens: Pens<'_>) {
    let mut first = 0;
    #[cfg(target_arch = "x86_64")]
    if isa.vectors() == Isa::Avx512 {
        first = tile.len() / LANES * LANES;
        // SAFETY: an `Isa` is made only where the CPU has the instructions; a slot has room for every row and sixteen more.
        unsafe { columns_avx512(&tile[..first], &mut pens) };
    }
    for (b, x) in tile.iter().enumerate().skip(first) {
        x.iter().enumerate().for_each(|(i, &x)| pens.write(i, x, b));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn columns_avx512(tile: &[[f32; TILE]], pens: &mut Pens<'_>) {
    let every_eighth = _mm512_setr_epi32(0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120);
    for (part, rows) in tile.as_chunks::<LANES>().0.iter().enumerate() {
        for i in 0..TILE {
            // SAFETY: sixteen rows of eight; room as the caller promises.
            unsafe {
                let values = _mm512_i32gather_ps::<4>(every_eighth, rows.as_ptr().cast::<f32>().add(i));
                pens.write_lanes(i, values, part * LANES);
            }
        }
    }
}

/// Lists of the rows of a block `[tile][batch][8]`, as many as there are pens; places are its inputs.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, unused_variables, reason = "the vector way is of one architecture"))]
fn rows(isa: Isa, block: &[[f32; TILE]], mut pens: Pens<'_>) {
    let batch = pens.lengths.len();
    let mut first = 0;
    #[cfg(target_arch = "x86_64")]
    if isa.vectors() == Isa::Avx512 {
        first = block.len() / batch / 2 * 2;
        // SAFETY: an `Isa` is made only where the CPU has the instructions; a slot has room for every input and sixteen more.
        unsafe { rows_avx512(&block[..first * batch], &mut pens) };
    }
    for (t, tile) in block.chunks_exact(batch).enumerate().skip(first) {
        for (b, x) in tile.iter().enumerate() {
            x.iter().enumerate().for_each(|(i, &x)| pens.write(b, x, t * TILE + i));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn rows_avx512(block: &[[f32; TILE]], pens: &mut Pens<'_>) {
    let batch = pens.lengths.len();
    for (pair, tiles) in block.chunks_exact(2 * batch).enumerate() {
        let (left, right) = tiles.split_at(batch);
        for (b, (left, right)) in left.iter().zip(right).enumerate() {
            // SAFETY: eight values each; room as the caller promises.
            unsafe {
                let (left, right) = (_mm256_loadu_ps(left.as_ptr()), _mm256_loadu_ps(right.as_ptr()));
                pens.write_lanes(b, _mm512_insertf32x8::<1>(_mm512_castps256_ps512(left), right), pair * LANES);
            }
        }
    }
}

/// Does a pass from lists of its features by input, and of the next batch's, where there is one, by row.
pub fn run(pass: Pass<'_>, by_input: Listed<'_>, by_row: Listed<'_>, isa: Isa, optimizer: &Optimizer, lr: f64, step: i32) {
    struct Ruled<'a>(Pass<'a>, Listed<'a>, Listed<'a>, Isa);
    impl ForRule for Ruled<'_> {
        type Output = ();
        fn run<R: Rule>(self, rule: R) {
            dispatch(self.3, Work { pass: self.0, by_input: self.1, by_row: self.2, rule });
        }
    }
    with_rule(optimizer, lr, step, Ruled(pass, by_input, by_row, isa));
}

struct Work<'a, R> {
    pass: Pass<'a>,
    by_input: Listed<'a>,
    by_row: Listed<'a>,
    rule: R,
}

impl<R: Rule> Vectorized for Work<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Work { mut pass, by_input, by_row, rule } = self;
        let (tape, batch) = (pass.tape, pass.x.batch);
        let mut at = 0;
        for (i, block) in pass.blocks.clone().enumerate() {
            let inputs = tape.tiles_of(block) * TILE;
            for panel in tape.panels() {
                let width = panel.vectors * LANES;
                let d = pass.d[panel.first * LANES * batch..][..width * batch].as_ptr();
                let weights = pass.weights[at..][..inputs * width].as_mut_ptr();
                let states = pass.states_at::<R>(at, inputs * width);
                at += inputs * width;
                for input in 0..inputs {
                    let row = Row { list: by_input.input(i, input), rows: batch, from: d, width };
                    let at = input * width;
                    for line in (0..width).step_by(LANES) {
                        let ahead = at + AHEAD * width + line;
                        s.prefetch(weights.wrapping_add(ahead));
                        states.iter().take(R::STATES).for_each(|state| s.prefetch(state.wrapping_add(ahead)));
                    }
                    // SAFETY: weights and states hold the input's columns, the gradients those of every row of the batch.
                    unsafe { each_part(s, panel.vectors, Step { row, rule, weights, states, at }) };
                }
                if let Some((_, h)) = &mut pass.next {
                    let (rows, h) = (h.rows.len(), h.panel(panel));
                    for b in 0..rows {
                        let row = Row { list: by_row.row(i, rows, b), rows: inputs, from: weights, width };
                        // SAFETY: weights hold every input's columns, products those of the row.
                        unsafe { each_part(s, panel.vectors, Multiply { row, to: h.add(b * width) }) };
                    }
                }
            }
        }
    }
}

/// What a list's values are multiplied by.
#[derive(Clone, Copy)]
struct Row<'a> {
    list: List<'a>,
    /// Rows that there are.
    rows: usize,
    from: *const f32,
    /// From row to row.
    width: usize,
}

impl Row<'_> {
    /// Adds the list's values times their rows, from vector `first` on.
    #[inline(always)]
    unsafe fn add_to<S: Simd, const COLUMNS: usize>(&self, s: S, first: usize, sums: &mut [S::V; COLUMNS]) {
        for (&value, &place) in self.list.values.iter().zip(self.list.places) {
            debug_assert!((place as usize) < self.rows);
            let (value, from) = (s.splat(value), self.from.wrapping_add(place as usize * self.width + first * LANES));
            for (c, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise: there is such a row.
                *sum = s.fma(value, unsafe { s.load(from.add(c * LANES)) }, *sum);
            }
        }
    }
}

/// What is done with neighbouring vectors of a panel.
trait Part<S: Simd>: Copy {
    /// From vector `first` on.
    ///
    /// # Safety
    /// The vectors are there.
    unsafe fn run<const COLUMNS: usize>(self, s: S, first: usize);
}

/// Does it for all vectors of a panel, as many at once as registers hold beside what they are multiplied by.
#[inline(always)]
unsafe fn each_part<S: Simd, P: Part<S>>(s: S, vectors: usize, part: P) {
    const { assert!(PANEL == 9) };
    // SAFETY: the caller's promise.
    unsafe {
        if S::REGISTERS >= 32 {
            return match vectors {
                1 => part.run::<1>(s, 0),
                2 => part.run::<2>(s, 0),
                3 => part.run::<3>(s, 0),
                4 => part.run::<4>(s, 0),
                5 => part.run::<5>(s, 0),
                6 => part.run::<6>(s, 0),
                7 => part.run::<7>(s, 0),
                8 => part.run::<8>(s, 0),
                _ => part.run::<9>(s, 0),
            };
        }
        let mut first = 0;
        while first + 4 <= vectors {
            part.run::<4>(s, first);
            first += 4;
        }
        while first < vectors {
            part.run::<1>(s, first);
            first += 1;
        }
    }
}

/// An input's gradient and the optimiser's step on its weights, which lie at `at`.
#[derive(Clone, Copy)]
struct Step<'a, R> {
    row: Row<'a>,
    rule: R,
    weights: *mut f32,
    states: [*mut f32; 3],
    at: usize,
}

impl<S: Simd, R: Rule> Part<S> for Step<'_, R> {
    #[inline(always)]
    unsafe fn run<const COLUMNS: usize>(self, s: S, first: usize) {
        let mut sums = [s.splat(0.0); COLUMNS];
        // SAFETY: the caller's promise.
        unsafe {
            self.row.add_to(s, first, &mut sums);
            step_row(s, self.rule, (self.weights, self.states), self.at + first * LANES, sums);
        }
    }
}

/// A row's products with a block's weights, added to those that are there.
#[derive(Clone, Copy)]
struct Multiply<'a> {
    row: Row<'a>,
    to: *mut f32,
}

impl<S: Simd> Part<S> for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<const COLUMNS: usize>(self, s: S, first: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = self.to.add(first * LANES);
            let mut sums: [S::V; COLUMNS] = std::array::from_fn(|c| s.load(to.add(c * LANES)));
            self.row.add_to(s, first, &mut sums);
            for (c, sum) in sums.into_iter().enumerate() {
                s.store(to.add(c * LANES), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::fused::kernel::{Packed, Products};
    use crate::heads::fused::tape::Tape;
    use crate::heads::params::Params;
    use crate::heads::words::OptimizerKind;

    #[test]
    fn lists_name_all_that_is_not_zero() {
        // A block and an odd number of tiles more, rows that are no multiple of anything.
        let (tiles, batch) = (BLOCK + 3, 37);
        let packed: Vec<f32> = (0..tiles * batch * TILE).map(|i| if i * i % 7 < 3 { i as f32 } else { 0.0 }).collect();
        let value = |input: usize, b: usize| packed[(input / TILE * batch + b) * TILE + input % TILE];
        let pairs = |list: List<'_>| list.places.iter().map(|&p| p as usize).zip(list.values.iter().copied()).collect::<Vec<_>>();
        for isa in Isa::available() {
            let mut lists = Lists::default();
            lists.of_inputs(&packed, batch, isa);
            for input in 0..tiles * TILE {
                let want: Vec<_> = (0..batch).map(|b| (b, value(input, b))).filter(|&(_, x)| x != 0.0).collect();
                assert_eq!(pairs(lists.list(input)), want, "{isa:?}");
            }
            lists.of_rows(&packed, batch, isa);
            for (block, b) in (0..2).flat_map(|block| (0..batch).map(move |b| (block, b))) {
                let first = block * BLOCK * TILE;
                let inputs = (BLOCK * TILE).min(tiles * TILE - first);
                let want: Vec<_> = (0..inputs).map(|i| (i, value(first + i, b))).filter(|&(_, x)| x != 0.0).collect();
                assert_eq!(pairs(lists.list(block * batch + b)), want, "{isa:?}");
            }
        }
        assert!(Isa::available().into_iter().all(|isa| is_sparse(isa, &packed) && !is_sparse(isa, &[1.0, 2.0, 3.0, 0.0])));
    }

    /// A hundred and fifty inputs, two panels of outputs, two batches of different sizes, most features 0.
    #[test]
    fn what_is_left_out_changes_no_bit() {
        let (tape, batch, next) = (Tape { inputs: 150, outputs: 170 }, 21, 9);
        let noise = |n: usize, seed: usize| (0..n).map(move |i| ((i * 7919 + seed) as f32 * 0.618).sin());
        let features = |rows: usize, seed| -> Vec<f32> { noise(tape.tiles() * TILE * rows, seed).map(|x| x.max(0.3) - 0.3).collect() };
        let (x, x_next) = (features(batch, 1), features(next, 2));
        let d: Vec<f32> = noise(tape.columns() * batch, 3).collect();
        let optimizer = Optimizer::new(&Params { optimizer: OptimizerKind::Adam, ..Params::default() });
        for isa in Isa::available() {
            // Lists of the whole, or of a block or two each.
            let pass = |leaves_out: Option<usize>| {
                let mut weights: Vec<f32> = noise(tape.len(), 4).collect();
                let mut states = [const { vec![] }; 3].map(|_: Vec<f32>| vec![0.0; tape.len()]);
                let mut h: Vec<f32> = noise(tape.columns() * next, 5).collect();
                for step in 1..3 {
                    let pass = Pass {
                        tape,
                        blocks: 0..tape.blocks(),
                        weights: &mut weights,
                        states: states.each_mut().map(|s| &mut s[..]),
                        x: Packed::new(&x, batch, 0),
                        d: &d,
                        next: Some((Packed::new(&x_next, next, 0), Products::new(&mut h, next))),
                    };
                    if let Some(blocks) = leaves_out {
                        let list = |x: &[f32], rows: usize, fill: fn(&mut Lists, &[f32], usize, Isa)| -> Vec<Lists> {
                            let each = x.chunks(blocks * BLOCK * TILE * rows).map(|x| {
                                let mut lists = Lists::default();
                                fill(&mut lists, x, rows, isa);
                                lists
                            });
                            each.collect()
                        };
                        let (by_input, by_row) = (list(&x, batch, Lists::of_inputs), list(&x_next, next, Lists::of_rows));
                        run(pass, Listed::new(&by_input, blocks), Listed::new(&by_row, blocks), isa, &optimizer, 1e-3, step);
                    } else {
                        pass.run(isa, &optimizer, 1e-3, step);
                    }
                }
                (weights, states, h)
            };
            let whole = pass(None);
            assert!([1, 2, 100].into_iter().all(|blocks| pass(Some(blocks)) == whole), "{isa:?}");
        }
    }
}
