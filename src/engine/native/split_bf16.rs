//! Matrix products in AMX tiles of bf16 by splitting: 16 × 32 by 32 × 16 products summed in f32,
//! one instruction each. They serve the first convolution of an image and maps in bf16; other
//! convolutions are faster in int8 ([`split_int8`](super::split_int8)).
//!
//! An f32 number is the exact sum of three bf16 numbers (8 + 8 + 8 bits). Of the nine products of
//! two such sums the six largest give the precision of f32 arithmetic at twice the speed of
//! AVX-512; the other three are below its rounding. Two parts and their three largest products keep
//! sixteen bits, in half the time. One part alone would keep eight: its noise differs from image to
//! image, and features are what tells images apart. The splitting is that of Henry, Tang & Heinecke
//! 2019, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
//! computations"; oneMKL offers it as the compute modes `float_to_bf16x2` and `float_to_bf16x3`,
//! cuBLAS (with all nine products) as `BF16x9`.
//!
//! *Panel* (left side): parts one after the other, in each of which a row of a step is the 64 bytes
//! that a [`Walk`] points to; rows may overlap. *Weights*:
//! `[pair of output blocks][step][part][2][16][16][2]`. *Product*: `[output block][row][16]`.
//!
//! Tile instructions are written as inline assembly, because the compiler's intrinsics for them are
//! not stable.

use super::split::Split;
use crate::simd::{Avx512, LANES, Line, TILE_ROWS, Tiles, zeroed_lines};

/// Numbers of a row in a step.
const DEEP: usize = 2 * LANES;

/// Bytes of a line: a tile's row.
const LINE: usize = size_of::<Line>();

/// bf16 numbers of a pair of weight tiles.
const PAIR: usize = 2 * TILE_ROWS * DEEP;

/// The right side of a product.
pub(super) struct Weights {
    parts: Split,
    steps: usize,
    pairs: usize,
    values: Vec<Line>,
}

impl Weights {
    /// Zeros for products of `steps` steps and `blocks` output blocks.
    pub(super) fn zeros(parts: Split, steps: usize, blocks: usize) -> Weights {
        let pairs = blocks.div_ceil(2);
        let values = zeroed_lines(pairs * steps * parts.count() * PAIR / 2);
        Weights { parts, steps, pairs, values }
    }

    /// Puts the weights from one channel (lane `lane` of half `half` of a step) to the sixteen
    /// outputs of a block.
    pub(super) fn put(&mut self, block: usize, step: usize, half: usize, lane: usize, values: &[f32; LANES]) {
        let count = self.parts.count();
        let first = ((block / 2) * self.steps + step) * count * PAIR + block % 2 * (PAIR / 2) + lane * DEEP + half;
        assert!(lane < LANES && half < 2 && first + (count - 1) * PAIR + 2 * LANES - 2 < self.values.len() * 2 * LANES);
        let to = self.values.as_mut_ptr().cast::<u16>();
        for (output, &value) in values.iter().enumerate() {
            for (part, bits) in self.parts.parts(value).into_iter().take(count).enumerate() {
                // SAFETY: the index was asserted to lie inside the buffer, which `self` borrows
                // exclusively.
                unsafe { to.add(first + part * PAIR + 2 * output).write(bits) };
            }
        }
    }

    /// Pairs of output blocks.
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Multiplies a panel by the weights to one pair of output blocks: `to` is
    /// `[2][tiles · 16][16]`.
    pub(super) fn multiply(&self, tiles: &Tiles, pair: usize, panel: &[f32], walk: &Walk, to: &mut [f32]) {
        let rows = walk.rows();
        assert!(pair < self.pairs && to.len() >= 2 * rows * LANES && size_of_val(panel) >= self.parts.count() * walk.part);
        assert_eq!(walk.offsets.len(), self.steps);
        let lines = self.steps * self.parts.count() * PAIR / 2 / LANES;
        let weights = self.values[pair * lines..][..lines].as_ptr().cast();
        for (i, rows_of_tiles) in walk.tiles.chunks(2).enumerate() {
            let block = Block {
                panel: panel.as_ptr().cast::<u8>().wrapping_add(rows_of_tiles[0]),
                second: rows_of_tiles.get(1).map_or(0, |second| second.wrapping_sub(rows_of_tiles[0])),
                offsets: walk.offsets.as_ptr(),
                row: walk.row,
                part: walk.part,
                weights,
                steps: self.steps,
                to: to.as_mut_ptr().wrapping_add(2 * i * TILE_ROWS * LANES),
                to_block: rows * LANES * 4,
            };
            // SAFETY: `Walk::new` asserts that every tile at every step lies inside a part; all
            // parts lie in the panel and both output blocks in `to`, as asserted above.
            unsafe {
                match (self.parts, rows_of_tiles.len()) {
                    (Split::Three, 2) => sys::three_by_two(tiles, &block),
                    (Split::Three, _) => sys::three_by_one(tiles, &block),
                    (Split::Two, 2) => sys::two_by_two(tiles, &block),
                    (Split::Two, _) => sys::two_by_one(tiles, &block),
                    (Split::One, 2) => sys::one_by_two(tiles, &block),
                    (Split::One, _) => sys::one_by_one(tiles, &block),
                }
            }
        }
    }

    /// Steps of the product.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Multiplies one tile of bf16 numbers or two, which may lie anywhere, by the weights to one
    /// pair of output blocks: `to` is `[2][2 · 16][16]`. `offsets` are the bytes from a tile to the
    /// left side of each step, `row` those from row to row.
    ///
    /// # Safety
    /// The lines of all rows of both tiles (as many as `tiles` has) are valid for reading at each
    /// of `offsets`.
    pub(super) unsafe fn multiply_tiles(
        &self,
        tiles: &Tiles,
        pair: usize,
        left: [Option<*const u8>; 2],
        offsets: &[usize],
        row: usize,
        to: &mut [f32],
    ) {
        const TO_BLOCK: usize = 2 * TILE_ROWS * LANES;
        assert!(self.parts == Split::One && pair < self.pairs && offsets.len() == self.steps && to.len() >= 2 * TO_BLOCK);
        let [Some(first), second] = left else { return };
        let block = Block {
            panel: first,
            second: second.map_or(0, |second| second.addr().wrapping_sub(first.addr())),
            offsets: offsets.as_ptr(),
            row,
            part: 0,
            weights: self.values[pair * self.steps * PAIR / 2 / LANES..].as_ptr().cast(),
            steps: self.steps,
            to: to.as_mut_ptr(),
            to_block: TO_BLOCK * size_of::<f32>(),
        };
        // SAFETY: the caller promises the left side; the weights of the pair and both output blocks
        // lie in their buffers, as asserted.
        unsafe {
            match second {
                Some(_) => sys::one_by_two(tiles, &block),
                None => sys::one_by_one(tiles, &block),
            }
        }
    }
}

/// One block of a product; distances in bytes.
struct Block {
    panel: *const u8,
    /// From the first tile of sixteen rows to the second.
    second: usize,
    /// From a tile to the left side of each step.
    offsets: *const usize,
    row: usize,
    part: usize,
    weights: *const u16,
    steps: usize,
    to: *mut f32,
    to_block: usize,
}

/// Places of a product's left side in a panel; distances in bytes.
pub(super) struct Walk {
    /// From a tile to the left side of each step of the weights.
    offsets: Vec<usize>,
    /// From the panel's start to each tile of sixteen rows.
    tiles: Vec<usize>,
    /// From row to row of a tile.
    row: usize,
    /// From part to part.
    part: usize,
}

impl Walk {
    /// Tiles of a panel whose parts are `part` bytes apart and whose rows `row` bytes: each row is
    /// the 64 bytes from there on.
    pub(super) fn new(part: usize, row: usize, tiles: Vec<usize>, offsets: Vec<usize>) -> Walk {
        let most = |of: &[usize]| of.iter().max().copied().unwrap_or(0);
        assert!(most(&tiles) + most(&offsets) + (TILE_ROWS - 1) * row + LINE <= part, "tiles lie inside the panel");
        Walk { offsets, tiles, row, part }
    }

    /// Rows of the product.
    pub(super) fn rows(&self) -> usize {
        self.tiles.len() * TILE_ROWS
    }
}

impl Split {
    /// Writes `count` pixels, a multiple of sixteen, of up to four planes to every part of a panel,
    /// from byte `at` on: the four channels of a pixel side by side, eight bytes; zeros where there
    /// is not a plane, and behind the first `there` pixels. Parts are `part` bytes apart.
    ///
    /// # Safety
    /// `there` values of each plane that is there are valid for reading.
    #[allow(clippy::too_many_arguments)]
    pub(super) unsafe fn interleave(
        self,
        avx512: Avx512,
        planes: [Option<*const f32>; 4],
        there: usize,
        count: usize,
        panel: &mut [f32],
        part: usize,
        at: usize,
    ) {
        assert!(
            count.is_multiple_of(TILE_ROWS)
                && at + count * 8 <= part
                && self.count() * part <= size_of_val(panel)
                && (at | part).is_multiple_of(4)
        );
        // SAFETY: the caller promises the planes; every pixel written lies inside its part and
        // every part in the panel, as asserted.
        unsafe { sys::interleave(avx512, self.count(), planes, there, count, panel.as_mut_ptr().add(at / 4), part / 4) };
    }
}

#[cfg(target_arch = "x86_64")]
#[path = "split_bf16_x86.rs"]
mod sys;

#[cfg(not(target_arch = "x86_64"))]
#[path = "split_bf16_none.rs"]
mod sys;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Amx, floats};

    fn number(seed: &mut u64) -> f32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Rows of one tile and of several, channels that fill a step and that do not, one output block
    /// and several; both precisions.
    #[test]
    fn products_agree_with_plain_loops() {
        let Some(amx) = Amx::detect() else { return };
        let mut seed = 1;
        for (rows, channels, blocks) in [(1usize, 32usize, 2usize), (16, 64, 1), (40, 48, 3), (96, 16, 2), (33, 128, 5)] {
            let left: Vec<f32> = (0..channels * rows).map(|_| number(&mut seed)).collect();
            let right: Vec<f32> = (0..channels * blocks * LANES).map(|_| number(&mut seed)).collect();
            for (parts, bound) in [(Split::Three, 3e-7), (Split::Two, 3e-5), (Split::One, 1e-2)] {
                let (steps, padded) = (channels.div_ceil(DEEP), rows.next_multiple_of(TILE_ROWS));
                let mut weights = Weights::zeros(parts, steps, blocks);
                for (block, c) in (0..blocks).flat_map(|b| (0..channels).map(move |c| (b, c))) {
                    let values = std::array::from_fn(|o| right[c * blocks * LANES + block * LANES + o]);
                    weights.put(block, c / DEEP, c % 2, c % DEEP / 2, &values);
                }
                let part = steps * padded * LINE;
                let mut memory = zeroed_lines(parts.count() * part / size_of::<f32>());
                for (row, c) in (0..rows).flat_map(|r| (0..channels).map(move |c| (r, c))) {
                    for (p, bits) in parts.parts(left[row * channels + c]).into_iter().take(parts.count()).enumerate() {
                        let at = p * part + (c / DEEP * padded + row) * LINE + c % DEEP * 2;
                        let word = &mut memory[at / LINE].0[at % LINE / 4];
                        *word = f32::from_bits(word.to_bits() | u32::from(bits) << (at % 4 * 8));
                    }
                }
                let rows_of_tiles = (0..padded).step_by(TILE_ROWS).map(|row| row * LINE).collect();
                let walk = Walk::new(part, LINE, rows_of_tiles, (0..steps).map(|step| step * padded * LINE).collect());
                let tiles = amx.tiles(TILE_ROWS);
                for pair in 0..weights.pairs() {
                    let mut got = vec![0.0; 2 * padded * LANES];
                    weights.multiply(&tiles, pair, floats(&memory), &walk, &mut got);
                    for (block, row, o) in (0..2).flat_map(|b| (0..rows).flat_map(move |r| (0..LANES).map(move |o| (b, r, o)))) {
                        let output = (2 * pair + block) * LANES + o;
                        let term = |c: usize| f64::from(left[row * channels + c]) * f64::from(right[c * blocks * LANES + output]);
                        let want: f64 = if output < blocks * LANES { (0..channels).map(term).sum() } else { 0.0 };
                        let got = f64::from(got[(block * padded + row) * LANES + o]);
                        assert!(
                            (got - want).abs() <= bound * ((channels as f64).sqrt() + want.abs()),
                            "{parts:?} {rows}×{channels}: {got}, not {want}"
                        );
                    }
                }
            }
        }
    }
}
