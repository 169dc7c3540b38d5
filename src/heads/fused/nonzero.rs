//! Nonzero masks of a batch's features: one bit for each feature by row, and by input for the block
//! in progress.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::layout::{BLOCK, TILE};
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Inputs of a block: a bit of a word each.
const INPUTS: usize = BLOCK * TILE;
const _: () = assert!(INPUTS == u64::BITS as usize);
/// Rows by which bits are transposed.
const ROWS: usize = u64::BITS as usize;
/// Rows of small batches, that are transposed twice as fast.
const HALF: usize = ROWS / 2;
/// Largest share of nonzero features at which skipping zeros pays.
const MOST: f64 = 0.75;

/// The nonzero mask of a batch: `[block][row]`, one bit for each of the block's inputs. The thread
/// that packs some inputs writes their words, and others read them after the next barrier; accesses
/// that no barrier orders concern different words.
pub(super) struct NonzeroMask(Vec<AtomicU64>);

impl NonzeroMask {
    /// For batches of up to `batch` rows, in so many tiles.
    pub(super) fn new(tiles: usize, batch: usize) -> NonzeroMask {
        NonzeroMask((0..tiles.div_ceil(BLOCK) * batch).map(|_| AtomicU64::new(0)).collect())
    }

    /// Marks the nonzero inputs of row `b` of a batch from the first of a block on. Other inputs of
    /// these blocks count as 0.
    pub(super) fn mark(&self, isa: Isa, (b, batch): (usize, usize), first: usize, inputs: &[f32]) {
        let words = self.0[first * batch..].iter().skip(b).step_by(batch);
        dispatch(isa, Mark { inputs, words });
    }

    /// Marks one input more in row `b` of a batch.
    pub(super) fn mark_one(&self, (b, batch): (usize, usize), input: usize) {
        let word = &self.0[input / INPUTS * batch + b];
        // The first input of a block is the first that is marked there.
        let before = if input.is_multiple_of(INPUTS) { 0 } else { word.load(Relaxed) };
        word.store(before | 1 << (input % INPUTS), Relaxed);
    }

    /// The mask of a block in a batch of this number of rows.
    #[inline(always)]
    pub(super) fn block(&self, block: usize, batch: usize) -> Block<'_> {
        Block(&self.0[block * batch..][..batch])
    }
}

struct Mark<'a, W> {
    inputs: &'a [f32],
    words: W,
}

impl<'a, W: Iterator<Item = &'a AtomicU64>> Vectorized for Mark<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (inputs, word) in self.inputs.chunks(INPUTS).zip(self.words) {
            let mut bits = 0;
            for (v, lanes) in inputs.chunks(LANES).enumerate() {
                let mut some = [0.0; LANES];
                let at = if lanes.len() == LANES {
                    lanes.as_ptr()
                } else {
                    some[..lanes.len()].copy_from_slice(lanes);
                    some.as_ptr()
                };
                // SAFETY: both branches point to sixteen values: those of the row, or of a padded
                // copy.
                bits |= u64::from(s.nonzero_lanes(unsafe { s.load(at) })) << (v * LANES);
            }
            word.store(bits, Relaxed);
        }
    }
}

/// The mask of one block of inputs: a word per row.
#[derive(Clone, Copy)]
pub(super) struct Block<'a>(&'a [AtomicU64]);

impl Block<'_> {
    /// The inputs that are not 0 in a row.
    #[inline(always)]
    pub(super) fn row(self, row: usize) -> u64 {
        self.0[row].load(Relaxed)
    }

    /// Whether skipping zeros pays, if the block has so many inputs without padding.
    #[inline(always)]
    pub(super) fn is_sparse(self, inputs: usize) -> bool {
        let with_nonzero: u32 = (0..self.0.len()).map(|row| self.row(row).count_ones()).sum();
        f64::from(with_nonzero) < MOST * (inputs * self.0.len()) as f64
    }

    /// The rows in which each input is not 0: `[input][word]`, bits of words of 64.
    #[inline(always)]
    pub(super) fn by_input<'b>(self, bits: &'b mut Vec<u64>) -> ByInput<'b> {
        let words = self.0.len().div_ceil(ROWS);
        bits.resize(INPUTS * words, 0);
        if self.0.len() <= HALF {
            let (low, high) = bits.split_at_mut(HALF);
            let columns = self.columns::<HALF>(0).into_iter();
            low.iter_mut()
                .zip(high)
                .zip(columns)
                .for_each(|((low, high), bits)| (*low, *high) = (bits & u64::from(u32::MAX), bits >> HALF));
        } else {
            for word in 0..words {
                bits.iter_mut().skip(word).step_by(words).zip(self.columns::<ROWS>(word)).for_each(|(bits, column)| *bits = column);
            }
        }
        ByInput { bits, words }
    }

    /// Columns of up to `N` rows, from the `N`-fold of `part` on.
    #[inline(always)]
    fn columns<const N: usize>(self, part: usize) -> [u64; N] {
        let mut square = [0; N];
        square.iter_mut().zip(&self.0[part * N..]).for_each(|(bits, row)| *bits = row.load(Relaxed));
        transpose(&mut square);
        square
    }
}

/// The mask of a block by input.
pub(super) struct ByInput<'a> {
    bits: &'a [u64],
    words: usize,
}

impl ByInput<'_> {
    /// The rows in which an input is not 0.
    #[inline(always)]
    pub(super) fn input(&self, input: usize) -> &[u64] {
        &self.bits[input * self.words..][..self.words]
    }
}

/// Swaps rows and columns of 64 × 64 bits, or of both 32 × 32 that lie side by side in 32 words:
/// halves, then halves of these (Warren, "Hacker's Delight", section 7-3).
#[inline(always)]
fn transpose<const N: usize>(bits: &mut [u64; N]) {
    const { assert!(N == ROWS || N == HALF) };
    let mut mask = if N == ROWS { u64::from(u32::MAX) } else { 0x0000_FFFF_0000_FFFF };
    let mut width = N / 2;
    while width > 0 {
        for pair in bits.chunks_exact_mut(2 * width) {
            let (above, below) = pair.split_at_mut(width);
            for (above, below) in above.iter_mut().zip(below) {
                let swapped = ((*above >> width) ^ *below) & mask;
                *above ^= swapped << width;
                *below ^= swapped;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_name_all_that_is_not_zero() {
        // A block, part of another, and an input more; rows of less than a word, of one and of
        // more.
        for batch in [1, 20, 32, 33, 64, 100] {
            for units in [INPUTS, INPUTS + 21, INPUTS + 32] {
                let row = |b: usize| -> Vec<f32> {
                    (0..units).map(|i| if (i + 3 * b) * i % 7 < 3 { 1.0 - 2.0 * (i % 2) as f32 } else { 0.0 }).collect()
                };
                for isa in Isa::available() {
                    let nonzero = NonzeroMask::new((units + 1).div_ceil(TILE), batch);
                    let mut bits = vec![];
                    // What was marked before leaves no trace.
                    for b in 0..batch {
                        nonzero.mark(isa, (b, batch), 0, &vec![1.0; units]);
                        nonzero.mark(isa, (b, batch), 0, &row(b));
                        nonzero.mark_one((b, batch), units);
                    }
                    for block in 0..(units + 1).div_ceil(INPUTS) {
                        let nonzero = nonzero.block(block, batch);
                        let by_input = nonzero.by_input(&mut bits);
                        for (input, b) in (0..INPUTS).flat_map(|input| (0..batch).map(move |b| (input, b))) {
                            let at = block * INPUTS + input;
                            let want = u64::from(at == units || row(b).get(at).is_some_and(|&x| x != 0.0));
                            assert_eq!(nonzero.row(b) >> input & 1, want, "{isa:?}");
                            assert_eq!(by_input.input(input)[b / ROWS] >> (b % ROWS) & 1, want, "{isa:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn three_quarters_are_too_many() {
        let nonzero = NonzeroMask::new(BLOCK, 2);
        let row = |count: usize| (0..INPUTS).map(|i| f32::from(u8::from(i < count))).collect::<Vec<_>>();
        for (first, second, is_sparse) in [(0, 0, true), (48, 47, true), (48, 48, false), (64, 64, false)] {
            nonzero.mark(Isa::Portable, (0, 2), 0, &row(first));
            nonzero.mark(Isa::Portable, (1, 2), 0, &row(second));
            assert_eq!(nonzero.block(0, 2).is_sparse(INPUTS), is_sparse);
        }
    }
}
