//! Matrix products in AMX tiles: 16 × 32 by 32 × 16 bf16 products summed in f32, one instruction each. The first convolution's: what
//! follows is faster in int8 ([`digits`](super::digits)).
//!
//! An f32 number is the exact sum of three bf16 numbers (8 + 8 + 8 bits). Of the nine products of two such sums the six largest give what
//! f32 arithmetic gives, at twice the speed of AVX-512; the other three are below its rounding. Two parts and their three largest products keep
//! sixteen bits, in half the time. One part would keep eight: its noise differs from image to image, and features are what tells images apart.
//!
//! *Panel* (left side): parts one after the other, in each of which a row of a step is 64 bytes wherever a [`Walk`] says; rows may overlap.
//! *Weights*: `[pair of output blocks][step][part][2][16][16][2]`. *Product*: `[output block][row][16]`.
//!
//! Registers and instructions are asked for by inline assembly: the compiler's own intrinsics are not stable. On Linux a process asks
//! for the tiles' state once.

use crate::simd::{LANES, Line, zeroed_lines};

/// Rows of a tile.
pub const ROWS: usize = 16;

/// Numbers of a row in a step.
const DEEP: usize = 2 * LANES;

/// Bytes of a line: a tile's row.
const LINE: usize = size_of::<Line>();

/// bf16 numbers of a pair of weight tiles.
const PAIR: usize = 2 * ROWS * DEEP;

/// Into how many numbers that tiles can hold each number of an operand is split: bf16 numbers here, digits of eight bits in [`digits`](super::digits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Eight bits: bf16 numbers as they are.
    One,
    /// Sixteen bits: what `--dtype bf16` computes in where eight would lose too much.
    Two,
    /// 24 bits: f32 arithmetic.
    Three,
}

impl Split {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Split::One => 1,
            Split::Two => 2,
            Split::Three => 3,
        }
    }

    /// Tile products for each pair of tiles.
    pub fn products(self) -> usize {
        match self {
            Split::One => 1,
            Split::Two => 3,
            Split::Three => 6,
        }
    }

    /// The type that they stand for.
    pub fn dtype(self) -> &'static str {
        if self == Split::Three { "f32" } else { "bf16" }
    }

    /// A number as bf16 numbers: the nearest one, or several, cut off: nothing is lost of three.
    fn parts(self, x: f32) -> [u16; 3] {
        if self == Split::One { [(nearest_bf16(x).to_bits() >> 16) as u16, 0, 0] } else { Split::bf16(x) }
    }

    /// A number as bf16 numbers, cut off.
    fn bf16(x: f32) -> [u16; 3] {
        const HIGH: u32 = 0xFFFF_0000;
        let high = f32::from_bits(x.to_bits() & HIGH);
        let rest = x - high;
        let middle = f32::from_bits(rest.to_bits() & HIGH);
        [high, middle, rest - middle].map(|v| (v.to_bits() >> 16) as u16)
    }
}

/// The nearest bf16 number; ties go away from zero.
pub fn nearest_bf16(x: f32) -> f32 {
    f32::from_bits(x.to_bits().wrapping_add(0x8000) & 0xFFFF_0000)
}

/// The right side of a product.
pub struct Weights {
    parts: Split,
    steps: usize,
    pairs: usize,
    values: Vec<Line>,
}

impl Weights {
    /// Zeros for products of so many steps and output blocks.
    pub fn zeros(parts: Split, steps: usize, blocks: usize) -> Weights {
        let pairs = blocks.div_ceil(2);
        let values = zeroed_lines(pairs * steps * parts.count() * PAIR / 2);
        Weights { parts, steps, pairs, values }
    }

    /// Puts the weights from one channel (lane `lane` of half `half` of a step) to the sixteen outputs of a block.
    pub fn put(&mut self, block: usize, step: usize, half: usize, lane: usize, values: &[f32; LANES]) {
        let count = self.parts.count();
        let first = ((block / 2) * self.steps + step) * count * PAIR + block % 2 * (PAIR / 2) + lane * DEEP + half;
        assert!(lane < LANES && half < 2 && first + (count - 1) * PAIR + 2 * LANES - 2 < self.values.len() * 2 * LANES);
        let to = self.values.as_mut_ptr().cast::<u16>();
        for (output, &value) in values.iter().enumerate() {
            for (part, bits) in self.parts.parts(value).into_iter().take(count).enumerate() {
                // SAFETY: inside the buffer, as asserted.
                unsafe { to.add(first + part * PAIR + 2 * output).write(bits) };
            }
        }
    }

    /// Pairs of output blocks.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Multiplies a panel by the weights to one pair of output blocks: `to` is `[2][tiles · 16][16]`.
    pub fn multiply(&self, pair: usize, panel: &[f32], walk: &Walk, to: &mut [f32]) {
        let rows = walk.rows();
        assert!(pair < self.pairs && to.len() >= 2 * rows * LANES && size_of_val(panel) >= self.parts.count() * walk.part);
        assert_eq!(walk.offsets.len(), self.steps);
        let lines = self.steps * self.parts.count() * PAIR / 2 / LANES;
        let weights = self.values[pair * lines..][..lines].as_ptr().cast();
        for (i, tiles) in walk.tiles.chunks(2).enumerate() {
            let block = Block {
                panel: panel.as_ptr().cast::<u8>().wrapping_add(tiles[0]),
                second: tiles.get(1).map_or(0, |second| second.wrapping_sub(tiles[0])),
                offsets: walk.offsets.as_ptr(),
                row: walk.row,
                part: walk.part,
                weights,
                steps: self.steps,
                to: to.as_mut_ptr().wrapping_add(2 * i * ROWS * LANES),
                to_block: rows * LANES * 4,
            };
            // SAFETY: `Walk::new` has every tile at every step inside each part, all parts lie in the panel and both output blocks in `to`,
            // as asserted. An engine of this ISA is only made where the tiles are to be had, and `Session` configured this thread's.
            unsafe {
                match (self.parts, tiles.len()) {
                    (Split::Three, 2) => sys::three_by_two(&block),
                    (Split::Three, _) => sys::three_by_one(&block),
                    (Split::Two, 2) => sys::two_by_two(&block),
                    (Split::Two, _) => sys::two_by_one(&block),
                    (Split::One, 2) => sys::one_by_two(&block),
                    (Split::One, _) => sys::one_by_one(&block),
                }
            }
        }
    }

    /// Steps of the product.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Multiplies one tile of bf16 numbers or two, wherever they lie, by the weights to one pair of output blocks: `to` is `[2][2 · 16][16]`.
    /// `offsets` are the bytes from a tile to what each step multiplies, `row` those from row to row.
    ///
    /// # Safety
    /// The lines of all rows of both tiles (as many as the session has) are valid for reading at each of `offsets`.
    pub unsafe fn multiply_tiles(&self, pair: usize, tiles: [Option<*const u8>; 2], offsets: &[usize], row: usize, to: &mut [f32]) {
        const TO_BLOCK: usize = 2 * ROWS * LANES;
        assert!(self.parts == Split::One && pair < self.pairs && offsets.len() == self.steps && to.len() >= 2 * TO_BLOCK);
        let [Some(first), second] = tiles else { return };
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
        // SAFETY: the caller's promise; the weights of a pair and both output blocks, as asserted. Tiles are there and configured as in `multiply`.
        unsafe {
            match second {
                Some(_) => sys::one_by_two(&block),
                None => sys::one_by_one(&block),
            }
        }
    }
}

/// One block of a product; distances in bytes.
struct Block {
    panel: *const u8,
    /// From the first tile of sixteen rows to the second.
    second: usize,
    /// From a tile to what each step multiplies.
    offsets: *const usize,
    row: usize,
    part: usize,
    weights: *const u16,
    steps: usize,
    to: *mut f32,
    to_block: usize,
}

/// Where a product finds its left side in a panel; distances in bytes.
pub struct Walk {
    /// From a tile to what each step of the weights multiplies.
    offsets: Vec<usize>,
    /// From the panel's start to each tile of sixteen rows.
    tiles: Vec<usize>,
    /// From row to row of a tile.
    row: usize,
    /// From part to part.
    part: usize,
}

impl Walk {
    /// Tiles of a panel whose parts and rows are so many bytes apart: each row is the 64 bytes from there on.
    pub fn new(part: usize, row: usize, tiles: Vec<usize>, offsets: Vec<usize>) -> Walk {
        let most = |of: &[usize]| of.iter().max().copied().unwrap_or(0);
        assert!(most(&tiles) + most(&offsets) + (ROWS - 1) * row + LINE <= part, "tiles lie inside the panel");
        Walk { offsets, tiles, row, part }
    }

    /// Rows of the product.
    pub fn rows(&self) -> usize {
        self.tiles.len() * ROWS
    }
}

impl Split {
    /// Writes `count` pixels, a multiple of sixteen, of up to four planes to every part of a panel, from byte `at` on: the four channels of a
    /// pixel side by side, eight bytes; zeros where there is no plane, and behind the first `there` pixels. Parts are `part` bytes apart.
    ///
    /// # Safety
    /// `there` values of each plane that is there are valid for reading; the CPU has AVX-512.
    pub unsafe fn interleave(self, planes: [Option<*const f32>; 4], there: usize, count: usize, panel: &mut [f32], part: usize, at: usize) {
        assert!(
            count.is_multiple_of(ROWS)
                && at + count * 8 <= part
                && self.count() * part <= size_of_val(panel)
                && (at | part).is_multiple_of(4)
        );
        // SAFETY: every pixel written lies inside its part; the caller's promise.
        unsafe { sys::interleave(self.count(), planes, there, count, panel.as_mut_ptr().add(at / 4), part / 4) };
    }
}

/// This thread's tiles, configured as long as this lives.
pub struct Session(());

impl Session {
    /// Configures the tiles: eight of 16 rows of 64 bytes.
    pub fn start() -> Session {
        Session::of(ROWS)
    }

    /// The same, but for six with so many rows: sums of products, and their left sides.
    pub fn of(rows: usize) -> Session {
        assert!((1..=ROWS).contains(&rows), "a tile has up to sixteen rows");
        sys::configure(rows);
        Session(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        sys::release();
    }
}

#[cfg(target_arch = "x86_64")]
#[path = "amx_x86.rs"]
mod sys;

#[cfg(not(target_arch = "x86_64"))]
#[path = "amx_none.rs"]
mod sys;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, floats};

    fn number(seed: &mut u64) -> f32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    #[test]
    fn three_parts_are_the_whole_number() {
        for x in [1.0f32, -0.1, 3.3, 1.0e-20, 16_777_215.0, -123_456.79] {
            let parts = Split::bf16(x).map(|bits| f32::from_bits(u32::from(bits) << 16));
            assert_eq!(parts[0] + (parts[1] + parts[2]), x);
        }
    }

    /// Rows of one tile and of several, channels that fill a step and that do not, one output block and several; both precisions.
    #[test]
    fn products_agree_with_plain_loops() {
        if !Isa::available().contains(&Isa::Amx) {
            return;
        }
        let mut seed = 1;
        for (rows, channels, blocks) in [(1usize, 32usize, 2usize), (16, 64, 1), (40, 48, 3), (96, 16, 2), (33, 128, 5)] {
            let left: Vec<f32> = (0..channels * rows).map(|_| number(&mut seed)).collect();
            let right: Vec<f32> = (0..channels * blocks * LANES).map(|_| number(&mut seed)).collect();
            for (parts, bound) in [(Split::Three, 3e-7), (Split::Two, 3e-5), (Split::One, 1e-2)] {
                let (steps, padded) = (channels.div_ceil(DEEP), rows.next_multiple_of(ROWS));
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
                let tiles = (0..padded).step_by(ROWS).map(|row| row * LINE).collect();
                let walk = Walk::new(part, LINE, tiles, (0..steps).map(|step| step * padded * LINE).collect());
                let _session = Session::start();
                for pair in 0..weights.pairs() {
                    let mut got = vec![0.0; 2 * padded * LANES];
                    weights.multiply(pair, floats(&memory), &walk, &mut got);
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
