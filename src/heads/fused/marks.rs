//! Which features of a batch are not 0: a bit for each, by row and by input.

use super::tape::{BLOCK, TILE};
use crate::engine::native::simd::{Isa, Simd, Vectorized, dispatch};

/// Inputs of a block: a bit of a word each.
const INPUTS: usize = BLOCK * TILE;
const _: () = assert!(INPUTS == u64::BITS as usize);
/// Rows by which bits are transposed.
const ROWS: usize = u64::BITS as usize;
/// Share of features that may be other than 0 where leaving out zeros is worth while.
const MOST: f64 = 0.75;

/// The marks of some neighbouring blocks of inputs.
#[derive(Default)]
pub struct Marks {
    /// Rows of the batch.
    pub batch: usize,
    /// `[block][row]`: a bit for each of its inputs.
    rows: Vec<u64>,
    /// `[block][input][word]`: a bit for each of its rows.
    inputs: Vec<u64>,
}

impl Marks {
    /// Marks what is not 0 in blocks of `[tile][batch][8]`, the last one as it is; whether leaving out the rest is worth while, without which there
    /// are no marks by input.
    pub fn of(&mut self, packed: &[f32], batch: usize, isa: Isa) -> bool {
        self.batch = batch;
        let tiles = packed.len() / (TILE * batch);
        self.rows.clear();
        self.rows.resize(tiles.div_ceil(BLOCK) * batch, 0);
        dispatch(isa, ByRow { packed, batch, rows: &mut self.rows });
        let marked: u64 = self.rows.iter().map(|row| u64::from(row.count_ones())).sum();
        let is_sparse = (marked as f64) < MOST * packed.len() as f64;
        if is_sparse {
            let words = self.words();
            self.inputs.resize(tiles.div_ceil(BLOCK) * INPUTS * words, 0);
            dispatch(isa, Transposed { batch, rows: &self.rows, words, inputs: &mut self.inputs });
        }
        is_sparse
    }

    /// The rows in which an input of a block is not 0: bits of words of 64.
    #[inline(always)]
    pub fn input(&self, block: usize, input: usize) -> &[u64] {
        let words = self.words();
        &self.inputs[(block * INPUTS + input) * words..][..words]
    }

    /// The inputs of a block that are not 0 in a row: bits of one word.
    #[inline(always)]
    pub fn row(&self, block: usize, row: usize) -> &[u64] {
        std::slice::from_ref(&self.rows[block * self.batch + row])
    }

    fn words(&self) -> usize {
        self.batch.div_ceil(ROWS)
    }
}

struct ByRow<'a> {
    packed: &'a [f32],
    batch: usize,
    rows: &'a mut [u64],
}

impl Vectorized for ByRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ByRow { packed, batch, rows } = self;
        for (block, rows) in packed.chunks(INPUTS * batch).zip(rows.chunks_exact_mut(batch)) {
            for (t, tile) in block.chunks_exact(TILE * batch).enumerate() {
                for (row, x) in rows.iter_mut().zip(tile.as_chunks::<TILE>().0) {
                    *row |= u64::from(s.others(x)) << (t * TILE);
                }
            }
        }
    }
}

struct Transposed<'a> {
    batch: usize,
    rows: &'a [u64],
    words: usize,
    inputs: &'a mut [u64],
}

impl Vectorized for Transposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Transposed { batch, rows, words, inputs } = self;
        for (rows, inputs) in rows.chunks_exact(batch).zip(inputs.chunks_exact_mut(INPUTS * words)) {
            for (word, rows) in rows.chunks(ROWS).enumerate() {
                let mut bits = [0; ROWS];
                bits[..rows.len()].copy_from_slice(rows);
                transpose(&mut bits);
                inputs.iter_mut().skip(word).step_by(words).zip(bits).for_each(|(input, bits)| *input = bits);
            }
        }
    }
}

/// Swaps rows and columns of 64 × 64 bits: halves, then halves of these (Warren, "Hacker's Delight", section 7-3).
#[inline(always)]
fn transpose(bits: &mut [u64; 64]) {
    let mut mask = u64::from(u32::MAX);
    let mut width = 32;
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
        // A block and an odd number of tiles more; rows of less than a word, of one and of more.
        for batch in [1, 20, 37, 64, 100] {
            let tiles = BLOCK + 3;
            let packed: Vec<f32> =
                (0..tiles * batch * TILE).map(|i| if i * i % 7 < 3 { 1.0 - 2.0 * (i % 2) as f32 } else { 0.0 }).collect();
            let is_other = |input: usize, b: usize| packed[(input / TILE * batch + b) * TILE + input % TILE] != 0.0;
            for isa in Isa::available() {
                let mut marks = Marks::default();
                // What was marked before leaves no trace.
                assert!(!marks.of(&vec![1.0; packed.len() + INPUTS * batch], batch, isa));
                assert!(marks.of(&packed, batch, isa));
                for (input, b) in (0..tiles * TILE).flat_map(|input| (0..batch).map(move |b| (input, b))) {
                    let (block, at) = (input / INPUTS, input % INPUTS);
                    let want = u64::from(is_other(input, b));
                    assert_eq!(marks.row(block, b)[0] >> at & 1, want, "{isa:?}");
                    assert_eq!(marks.input(block, at)[b / ROWS] >> (b % ROWS) & 1, want, "{isa:?}");
                }
            }
        }
    }
}
