//! The end of a product in tiles: bias, residual and activation, and the copy of its rows to the
//! map.

use super::epilogue::{Activate, Epilogue};
use super::memory::{Operand, Unit};
use super::pointwise::by_block;
use crate::simd::{Isa, LANES, Line, Simd, Vectorized, dispatch, zeroed_lines};

/// Output pixels side by side.
pub(super) struct Segment {
    /// Row of the product that belongs to the first.
    pub row: usize,
    /// Its image.
    pub image: usize,
    /// Its row.
    pub y: usize,
    /// Its column.
    pub x: usize,
    /// Number of pixels.
    pub len: usize,
}

impl Segment {
    /// The address of its first pixel in a block of a map.
    fn place(&self, unit: &Unit<'_>, operand: &Operand, block: usize, [image, y]: [usize; 2]) -> *mut f32 {
        unit.at(operand, image + self.image).wrapping_add(operand.map.at(block, y + self.y, self.x))
    }
}

/// A convolution's end.
pub(super) struct Finish {
    isa: Isa,
    /// Output map.
    pub output: Operand,
    epilogue: Epilogue,
    bias: Vec<Line>,
}

impl Finish {
    /// `bias` holds one value a channel.
    pub(super) fn new(isa: Isa, output: Operand, epilogue: Epilogue, bias: &[f32]) -> Finish {
        let mut bias = by_block(bias);
        bias.extend(zeroed_lines((bias.len() % 2) * LANES));
        Finish { isa, output, epilogue, bias }
    }

    /// Finishes the products with a pair of output blocks: `[2][rows][16]`. Segments count images
    /// and rows from `first`. The sums may be written over.
    pub(super) fn pair(&self, unit: &Unit<'_>, pair: usize, sums: &mut [f32], rows: usize, segments: &[Segment], first: [usize; 2]) {
        if self.output.map.packed || self.epilogue.residual.is_some_and(|r| r.map.packed) {
            dispatch(self.isa, FinishPair { finish: self, unit, pair, sums, rows, segments, first });
            return;
        }
        for block in 2 * pair..(2 * pair + 2).min(self.output.map.blocks()) {
            let sums = &sums[block % 2 * rows * LANES..];
            dispatch(self.isa, FinishBlock { finish: self, unit, block, sums, segments, first });
        }
    }
}

struct FinishBlock<'a> {
    finish: &'a Finish,
    unit: &'a Unit<'a>,
    block: usize,
    sums: &'a [f32],
    segments: &'a [Segment],
    first: [usize; 2],
}

impl Vectorized for FinishBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Finish { output, epilogue, bias, .. } = self.finish;
        let [low, high] = epilogue.bounds.map(|b| s.splat(b));
        // SAFETY: a `Line` holds sixteen values.
        let bias = unsafe { s.load(bias[self.block].0.as_ptr()) };
        for segment in self.segments {
            let sums = &self.sums[segment.row * LANES..][..segment.len * LANES];
            let place = |o: &Operand| segment.place(self.unit, o, self.block, self.first);
            let to = place(output);
            let residual = epilogue.residual.as_ref().map(place);
            for (i, sum) in sums.chunks_exact(LANES).enumerate() {
                // SAFETY: the segment's pixels lie inside the maps, whose bounds `Unit::at`
                // checked, and belong to this task alone.
                unsafe {
                    let x = s.add(s.load(sum.as_ptr()), bias);
                    let x = residual.map_or(x, |r| s.add(x, s.load(r.add(i * LANES))));
                    s.store(to.add(i * LANES), s.min(high, s.max(low, x)));
                }
            }
            if let Some(act) = epilogue.act {
                s.vectorize(Activate { values: to, lines: segment.len, act });
            }
        }
    }
}

/// The same where a map is in bf16: both blocks at a time, as they share lines.
struct FinishPair<'a> {
    finish: &'a Finish,
    unit: &'a Unit<'a>,
    pair: usize,
    sums: &'a mut [f32],
    rows: usize,
    segments: &'a [Segment],
    first: [usize; 2],
}

/// Start of the lines of both blocks of a segment, and the distance from line to line; or the lines
/// that hold both.
#[derive(Clone, Copy)]
enum Lines {
    Packed(*mut f32),
    Blocks([(*mut f32, usize); 2]),
}

impl FinishPair<'_> {
    /// A map's lines; those of a block that is not there are `absent`.
    fn lines(&self, operand: &Operand, segment: &Segment, absent: *mut f32) -> Lines {
        let place = |block: usize| segment.place(self.unit, operand, block, self.first);
        if operand.map.packed {
            return Lines::Packed(place(self.pair));
        }
        let there = |block: usize| if block < operand.map.blocks() { (place(block), LANES) } else { (absent, 0) };
        Lines::Blocks([there(2 * self.pair), there(2 * self.pair + 1)])
    }
}

impl Vectorized for FinishPair<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Finish { output, epilogue, bias, .. } = self.finish;
        let [low, high] = epilogue.bounds.map(|b| s.splat(b));
        let mut absent = [Line([0.0; LANES]); 2];
        let [zeros, unread] = absent.each_mut().map(|line| line.0.as_mut_ptr());
        for segment in self.segments {
            let sums = [0, 1].map(|half| self.sums[(half * self.rows + segment.row) * LANES..][..segment.len * LANES].as_ptr().cast_mut());
            let mut residual = epilogue.residual.as_ref().map(|r| self.lines(r, segment, zeros));
            // SAFETY: each `Line` holds sixteen values.
            let mut bias = unsafe { [s.load(bias[2 * self.pair].0.as_ptr()), s.load(bias[2 * self.pair + 1].0.as_ptr())] };
            let to = self.lines(output, segment, unread);
            // Macros, as a closure that is used twice would not be compiled with the ISA's
            // instructions.
            macro_rules! line {
                ($i:ident) => {
                    [s.add(s.load(sums[0].add($i * LANES)), bias[0]), s.add(s.load(sums[1].add($i * LANES)), bias[1])]
                };
                ($i:ident, $r:expr, packed) => {{
                    let (x, r) = (line!($i), s.unpack($r.add($i * LANES)));
                    [s.add(x[0], r[0]), s.add(x[1], r[1])]
                }};
                ($i:ident, $r:expr, blocks) => {{
                    let (x, [(r, a), (t, b)]) = (line!($i), $r);
                    [s.add(x[0], s.load(r.add($i * a))), s.add(x[1], s.load(t.add($i * b)))]
                }};
            }
            macro_rules! each {
                ($i:ident, $x:expr, $to:ident, packed) => {
                    for $i in 0..segment.len {
                        let x = $x;
                        s.pack($to.add($i * LANES), [s.min(high, s.max(low, x[0])), s.min(high, s.max(low, x[1]))]);
                    }
                };
                ($i:ident, $x:expr, $to:ident, blocks) => {
                    for $i in 0..segment.len {
                        let x = $x;
                        s.store($to[0].0.add($i * $to[0].1), s.min(high, s.max(low, x[0])));
                        s.store($to[1].0.add($i * $to[1].1), s.min(high, s.max(low, x[1])));
                    }
                };
            }
            macro_rules! every {
                ($to:ident, $kind:ident) => {
                    match residual {
                        None => each!(i, line!(i), $to, $kind),
                        Some(Lines::Packed(r)) => each!(i, line!(i, r, packed), $to, $kind),
                        Some(Lines::Blocks(r)) => each!(i, line!(i, r, blocks), $to, $kind),
                    }
                };
            }
            // SAFETY: the sums are this task's own, `segment.len` lines of each half, as sliced;
            // the segment's pixels lie inside the maps, whose bounds `Unit::at` checked, and belong
            // to this task alone.
            unsafe {
                let Some(act) = epilogue.act else {
                    match to {
                        Lines::Packed(to) => every!(to, packed),
                        Lines::Blocks(to) => every!(to, blocks),
                    }
                    continue;
                };
                // Activations work on memory: in place, then on to the map.
                let place = sums.map(|at| (at, LANES));
                every!(place, blocks);
                for values in sums {
                    s.vectorize(Activate { values, lines: segment.len, act });
                }
                (bias, residual) = ([s.splat(0.0); 2], None);
                match to {
                    Lines::Packed(to) => every!(to, packed),
                    Lines::Blocks(to) => every!(to, blocks),
                }
            }
        }
    }
}
