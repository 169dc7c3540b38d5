//! Matrix products in AMX tiles of int8 by error-free splitting: 16 × 64 by 64 × 16 products summed
//! in int32, one instruction each, at twice the rate of bf16 tiles.
//!
//! The scheme is Ozaki's (Ozaki, Ogita, Oishi & Rump 2012, "Error-free transformations of matrix
//! multiplication by using fast routines of matrix multiplication and its applications"), on
//! integers as in Ootomo, Ozaki & Yokota 2024, "DGEMM on integer matrix multiplication unit". A row
//! of the left side and a column of the right side are numbers in fixed point, by a scale of their
//! own: integers of 24 bits, each of three signed digits to the base 256 (h, m, l). Of the nine
//! products of digits the six largest are kept, hh, hm + mh and hl + mm + lh, each significance in
//! a sum of its own. Sums of integers are exact. The loss is a unit of 2⁻²³ of the row's (or
//! column's) largest number in each operand, and the three smallest products, which are as small.
//! Digits are signed so that the omitted products have no bias. Integers of sixteen bits are two
//! digits, of whose products hh and hm + mh are kept.
//!
//! *Panel* (left side): `[sixteen rows][step][digit][row][64]`, a step being four channel blocks
//! whose lanes alternate, and after the steps of sixteen rows a line with their scales. *Weights*:
//! `[pair of output blocks][step][digit][2][16][16][4]`, and the scale of each output. *Product*:
//! `[output block][row][16]`.
//!
//! A row with a number that is not finite comes out as not a number; the other rows are unaffected.

use super::split::Split;
use crate::simd::{Avx512, LANES, Line, TILE_ROWS, Tiles, zeroed_lines};

/// Channels of a step.
pub(super) const DEEP: usize = 4 * LANES;

/// Most channels of a product: the sums of the three lowest products of digits end in 32 bits.
pub(super) const DEEPEST: usize = i32::MAX as usize / (3 << 14);

/// The largest number of a row counts as at least this: rows of zeros have a scale, too.
const SMALLEST: f32 = 1e-30;

/// Bytes of a line.
const LINE: usize = size_of::<Line>();

/// Bytes of a tile.
const TILE: usize = TILE_ROWS * LINE;

impl Split {
    /// The integer for the largest number of a row or column: a little below 127 · (256² + 256 +
    /// 1), or 127 · (256 + 1), the largest that the digits hold.
    fn largest(self) -> f32 {
        if self == Split::Two { 32_600.0 } else { 8_355_000.0 }
    }

    /// Weight of the lowest significance that is kept.
    fn unit(self) -> f32 {
        if self == Split::Two { 256.0 } else { 65536.0 }
    }

    /// Bytes of a step of sixteen rows.
    fn step(self) -> usize {
        self.count() * TILE
    }

    /// Floats of sixteen rows of a panel.
    pub(super) fn tile_floats(self, steps: usize) -> usize {
        (steps * self.step() + LINE) / size_of::<f32>()
    }

    /// Floats of a panel of `rows` rows.
    pub(super) fn panel_floats(self, steps: usize, rows: usize) -> usize {
        rows.div_ceil(TILE_ROWS) * self.tile_floats(steps)
    }

    /// The digits of a number, the lowest first.
    fn digits(self, number: i32) -> impl Iterator<Item = i8> {
        let digit = |rest: &mut i32| {
            let low = *rest as i8;
            *rest = (*rest - i32::from(low)) >> 8;
            Some(low)
        };
        std::iter::repeat(()).scan(number, move |rest, ()| digit(rest)).take(self.count())
    }
}

/// Number of steps of `channels` channels.
pub(super) fn steps(channels: usize) -> usize {
    channels.div_ceil(DEEP)
}

/// The integer nearest to a number of up to 24 bits: one too large for its fraction rounds it, and
/// ends in it.
fn nearest(x: f32) -> i32 {
    const LARGE: f64 = (1u64 << 52) as f64 * 1.5;
    (f64::from(x) + LARGE).to_bits() as i32
}

/// The right side of a product, or of several that have the same shape.
pub(super) struct Weights {
    digits: Split,
    steps: usize,
    pairs: usize,
    values: Vec<Line>,
    /// `[matrix][output]`
    scales: Vec<Line>,
}

/// A view of one matrix's weights for writing: threads write different output blocks.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    digits: Split,
    values: *mut u8,
    scales: *mut Line,
    steps: usize,
    pairs: usize,
}

// SAFETY: writing is `unsafe`, and its callers promise that no two threads write the same block.
unsafe impl Send for Writer {}
// SAFETY: as for `Send`: a shared `Writer` gives access through `put` alone.
unsafe impl Sync for Writer {}

impl Writer {
    /// Puts the weights of all channels to the sixteen outputs of a block.
    ///
    /// # Safety
    /// No other thread writes this block.
    pub(super) unsafe fn put(&self, block: usize, channels: &[[f32; LANES]]) {
        assert!(block < 2 * self.pairs && channels.len() <= self.steps * DEEP);
        let Writer { digits, .. } = *self;
        let mut most = [SMALLEST; LANES];
        for values in channels {
            most.iter_mut().zip(values).for_each(|(most, value)| *most = most.max(value.abs()));
        }
        let scales = most.map(|most| digits.largest() / most);
        let first = block / 2 * self.steps * 2 * digits.step() + block % 2 * TILE;
        for (channel, values) in channels.iter().enumerate() {
            let (step, quarter, lane) = (channel / DEEP, channel % DEEP / LANES, channel % LANES);
            let at = first + step * 2 * digits.step() + lane * LINE + quarter;
            for (output, (&value, &scale)) in values.iter().zip(&scales).enumerate() {
                for (place, digit) in digits.digits(nearest(value * scale)).enumerate() {
                    let tile = 2 * (digits.count() - 1 - place) * TILE;
                    // SAFETY: block and step were asserted to lie inside the matrix; the caller
                    // promises that no other thread writes it.
                    unsafe { self.values.add(at + tile + 4 * output).write(digit.cast_unsigned()) };
                }
            }
        }
        // SAFETY: `scales` has a line for each block; the caller promises that no other thread
        // writes this one.
        unsafe { self.scales.add(block).write(Line(most.map(|most| most / digits.largest() * digits.unit()))) };
    }
}

impl Weights {
    /// Zeros for `matrices` products of `channels` channels and `blocks` output blocks.
    pub(super) fn zeros(digits: Split, channels: usize, blocks: usize, matrices: usize) -> Weights {
        assert!(channels <= DEEPEST, "sums fit 32 bits");
        let (steps, pairs) = (steps(channels), blocks.div_ceil(2));
        let values = zeroed_lines(matrices * pairs * steps * 2 * digits.step() / size_of::<f32>());
        Weights { digits, steps, pairs, values, scales: zeroed_lines(matrices * 2 * pairs * LANES) }
    }

    /// For filling one matrix.
    pub(super) fn writer(&mut self, matrix: usize) -> Writer {
        let Weights { digits, steps, pairs, .. } = *self;
        let lines = pairs * self.pair_lines();
        let values = &mut self.values[matrix * lines..][..lines];
        let scales = &mut self.scales[matrix * 2 * pairs..][..2 * pairs];
        Writer { digits, values: values.as_mut_ptr().cast(), scales: scales.as_mut_ptr(), steps, pairs }
    }

    /// Lines of the weights to a pair of output blocks.
    fn pair_lines(&self) -> usize {
        self.steps * 2 * self.digits.step() / LINE
    }

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        self.values.len() * LINE
    }

    /// Pairs of output blocks.
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Steps of a product.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Multiplies `rows` rows (a multiple of sixteen) of a panel by the weights to one pair of
    /// output blocks: `to` is `[2][rows][16]`. The weights of the matrix and pair that are `next`
    /// are asked for meanwhile.
    pub(super) fn multiply(
        &self,
        tiles: &Tiles,
        [matrix, pair]: [usize; 2],
        next: Option<[usize; 2]>,
        panel: &[f32],
        rows: usize,
        to: &mut [f32],
    ) {
        assert!(pair < self.pairs && rows.is_multiple_of(TILE_ROWS));
        assert!(panel.len() >= self.digits.panel_floats(self.steps, rows) && to.len() >= 2 * rows * LANES);
        let index = matrix * self.pairs + pair;
        let block = Block {
            digits: self.digits,
            panel: panel.as_ptr().cast(),
            tiles: rows / TILE_ROWS,
            steps: self.steps,
            weights: self.values[index * self.pair_lines()..][..self.pair_lines()].as_ptr().cast(),
            scales: self.scales[2 * index..][..2].as_ptr().cast(),
            to: to.as_mut_ptr(),
            to_block: rows * LANES,
            next: next.map(|[matrix, pair]| self.values.as_ptr().wrapping_add((matrix * self.pairs + pair) * self.pair_lines())),
        };
        // SAFETY: the sizes of panel and target were asserted; weights and scales are slices of the
        // whole pair.
        unsafe { sys::multiply(tiles, &block) };
    }
}

/// One block of a product.
struct Block {
    digits: Split,
    panel: *const u8,
    /// Sixteens of rows.
    tiles: usize,
    steps: usize,
    weights: *const u8,
    /// Of two output blocks.
    scales: *const f32,
    to: *mut f32,
    /// Floats from one output block to the other.
    to_block: usize,
    /// Weights of the next block, which are only prefetched: the address need not be valid.
    next: Option<*const Line>,
}

/// Sixteen lanes of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Floats from the row's first.
    pub offset: usize,
    /// Mask of the lanes that count.
    pub lanes: u16,
}

/// Up to sixteen rows.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Start of each; those behind `count` are read, but not written.
    pub from: [*const f32; TILE_ROWS],
    /// Number of rows.
    pub count: usize,
    /// Their runs, four a step.
    pub runs: &'a [Run],
}

/// Target of rows: each goes to the same place of a panel, and panels may differ.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    /// The sixteen rows of a panel that have the first row among them.
    pub tile: *mut f32,
    /// Its index among them.
    pub index: usize,
    /// Floats from one row's panel to the next one's; none where rows follow one another in one
    /// panel.
    pub panel: Option<usize>,
}

impl Rows<'_> {
    /// Writes these rows to panels.
    ///
    /// # Safety
    /// The rows' runs are valid for reading, the panels for writing.
    pub(super) unsafe fn fill(&self, avx512: Avx512, digits: Split, to: &Destination) {
        let last = to.index + if to.panel.is_none() { self.count } else { 1 };
        assert!(!self.runs.is_empty() && (1..=TILE_ROWS).contains(&self.count) && last <= TILE_ROWS);
        // SAFETY: the caller promises runs and panels; rows lie inside their sixteen, as asserted.
        unsafe {
            match digits {
                Split::One => unreachable!("integers have two digits or three"),
                Split::Two => sys::fill::<2>(avx512, self, to),
                Split::Three => sys::fill::<3>(avx512, self, to),
            }
        };
    }
}

#[cfg(target_arch = "x86_64")]
#[path = "split_int8_x86.rs"]
mod sys;

#[cfg(not(target_arch = "x86_64"))]
#[path = "split_int8_none.rs"]
mod sys;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Amx, floats_mut};

    #[test]
    fn digits_are_the_number() {
        for n in [0, 1, -1, 127, 128, -128, -129, 32_767, 32_768, -32_768, -32_769, 8_355_000, -8_355_000, 1_234_567] {
            let number = |digits: Split| digits.digits(n).enumerate().map(|(place, digit)| i32::from(digit) << (8 * place)).sum::<i32>();
            assert_eq!(number(Split::Three), n);
            assert!(n.abs() > 32_600 || number(Split::Two) == n);
        }
    }

    fn number(seed: &mut u64) -> f32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A panel of `rows` rows, `[channel block][row][16]`, and its product with a matrix that is
    /// the second of two.
    fn product(amx: Amx, digits: Split, rows: usize, channels: usize, left: &[f32], blocks: usize, right: &[[f32; LANES]]) -> Vec<f32> {
        let padded = rows.next_multiple_of(TILE_ROWS);
        let mut weights = Weights::zeros(digits, channels, blocks, 2);
        for (block, values) in right.chunks_exact(channels).enumerate() {
            // SAFETY: this thread alone writes to the matrix.
            unsafe { weights.writer(1).put(block, values) };
        }
        let mut memory = zeroed_lines(digits.panel_floats(weights.steps(), rows));
        let panel = floats_mut(&mut memory);
        let lanes = |first: usize| u16::MAX >> (LANES - (channels - first).min(LANES));
        let runs: Vec<Run> = (0..channels).step_by(LANES).map(|c| Run { offset: c * rows, lanes: lanes(c) }).collect();
        for row in (0..rows).step_by(TILE_ROWS) {
            let tile = panel[row / TILE_ROWS * digits.tile_floats(weights.steps())..].as_mut_ptr();
            let rest = (rows - row).min(TILE_ROWS);
            // In two halves, as rows come from different to.
            for (index, count) in [(0, rest.min(7)), (7, rest.saturating_sub(7))].into_iter().filter(|&(_, count)| count > 0) {
                let from = std::array::from_fn(|i| left[(row + index + i.min(count - 1)) * LANES..].as_ptr());
                let rows = Rows { from, count, runs: &runs };
                // SAFETY: each row has a run for every sixteen channels, and `tile` begins sixteen
                // whole rows of the panel.
                unsafe { rows.fill(amx.vectors(), digits, &Destination { tile, index, panel: None }) };
            }
        }
        let tiles = amx.tiles(TILE_ROWS);
        let mut got = vec![0.0; weights.pairs() * 2 * padded * LANES];
        for (pair, got) in got.chunks_exact_mut(2 * padded * LANES).enumerate() {
            weights.multiply(&tiles, [1, pair], Some([1, pair + 1]), panel, padded, got);
        }
        got
    }

    #[test]
    fn products_agree_with_plain_loops() {
        let Some(amx) = Amx::detect() else { return };
        let mut seed = 1;
        for (rows, channels, blocks) in [(1usize, 16usize, 1usize), (5, 64, 2), (16, 20, 1), (40, 80, 3), (33, 130, 5), (16, 512, 2)] {
            for (magnitude, digits, loss) in
                [(1.0f32, Split::Three, 6e-7), (1e-20, Split::Three, 6e-7), (1e18, Split::Three, 6e-7), (1.0, Split::Two, 2e-4)]
            {
                // Channels that are not there hold what may be anything.
                let at = |row: usize, c: usize| (c / LANES * rows + row) * LANES + c % LANES;
                let mut left = vec![f32::NAN; channels.next_multiple_of(LANES) * rows];
                for (row, c) in (0..rows).flat_map(|r| (0..channels).map(move |c| (r, c))) {
                    left[at(row, c)] = number(&mut seed) * magnitude * if row % 5 == 4 { 0.0 } else { 1.0 };
                }
                let right: Vec<[f32; LANES]> = (0..channels * blocks).map(|_| std::array::from_fn(|_| number(&mut seed))).collect();
                let got = product(amx, digits, rows, channels, &left, blocks, &right);
                for (block, row, o) in (0..blocks).flat_map(|b| (0..rows).flat_map(move |r| (0..LANES).map(move |o| (b, r, o)))) {
                    let term = |c: usize| f64::from(left[at(row, c)]) * f64::from(right[block * channels + c][o]);
                    let want: f64 = (0..channels).map(term).sum();
                    let got = f64::from(got[(block * rows.next_multiple_of(TILE_ROWS) + row) * LANES + o]);
                    let bound = loss * f64::from(magnitude) * (channels as f64).sqrt();
                    assert!((got - want).abs() <= bound, "{digits:?} {rows}×{channels}, {magnitude}: {got}, not {want}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_in_its_row() {
        let Some(amx) = Amx::detect() else { return };
        let (rows, channels) = (16, 64);
        let mut left = vec![1.0f32; rows * channels];
        (left[2 * LANES], left[5 * LANES + 3], left[9 * LANES + 1]) = (f32::NAN, f32::NEG_INFINITY, f32::MAX);
        let got = product(amx, Split::Three, rows, channels, &left, 1, &vec![[0.5; LANES]; channels]);
        for row in 0..rows {
            let values = &got[row * LANES..][..LANES];
            match row {
                2 | 5 => assert!(values.iter().all(|v| v.is_nan()), "row {row}: {values:?}"),
                9 => assert!(values.iter().all(|v| (v / (0.5 * f32::MAX) - 1.0f32).abs() < 1e-6), "row {row}: {values:?}"),
                _ => assert!(values.iter().all(|v| (v - 32.0).abs() < 1e-4), "row {row}: {values:?}"),
            }
        }
    }
}
