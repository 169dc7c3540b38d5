//! The pass over weights that skips zero features: half of them behind a ReLU, as many behind
//! dropout, three quarters behind both. Sums are the same and in the same order as in
//! [`super::dense`]: skipped terms add nothing, so the choice between the two changes no bit.
//!
//! An input's gradient is the sum over the rows where it is not 0, a row's products that over the
//! inputs that are not; a panel's width of either is summed in registers, with operands from the
//! first-level cache. Unlike in the dense pass, inputs do not share loads, so skipping pays only if
//! there are enough zeros.

use super::operands::{Packed, Pass};
use super::update::step_row;

use super::layout::{BLOCK, PANEL, TILE};
use super::nonzero::{Block, ByInput};
use super::update::Update;
use crate::simd::{LANES, Simd};

/// Rows of weights by which they are asked for before they are needed.
const AHEAD: usize = 8;

/// A block, whose weights lie at `at`; given which features are not 0 in this batch, by input, and
/// in the next one.
#[inline(always)]
pub(super) fn block<S: Simd, R: Update>(
    s: S,
    update: R,
    pass: &mut Pass<'_>,
    (this, following): (ByInput<'_>, Block<'_>),
    block: usize,
    mut at: usize,
) {
    let (layout, batch) = (pass.layout, pass.x.batch);
    let tiles = layout.tiles_of(block);
    let inputs = tiles * TILE;
    let x = features(&pass.x, block, tiles);
    for panel in layout.panels() {
        let width = panel.vectors * LANES;
        let d = pass.d[panel.first * LANES * batch..][..width * batch].as_ptr();
        let weights = pass.weights[at..][..inputs * width].as_mut_ptr();
        let states = pass.states_at::<R>(at, inputs * width);
        at += inputs * width;
        for input in 0..inputs {
            let first = x.wrapping_add(input / TILE * batch * TILE + input % TILE);
            let some = Features { bits: this.input(input), values: first, strides: [TILE * TILE, TILE], from: d, width };
            let at = input * width;
            for line in (0..width).step_by(LANES) {
                let prefetch = at + AHEAD * width + line;
                s.prefetch(weights.wrapping_add(prefetch));
                states.iter().take(R::STATES).for_each(|state| s.prefetch(state.wrapping_add(prefetch)));
            }
            // SAFETY: weights and states hold the input's columns, the gradients those of every row
            // of the batch.
            unsafe { each_part(s, panel.vectors, Step { some, update, weights, states, at }) };
        }
        if let Some((x, h)) = &mut pass.next {
            let (batch, rows, x, h) = (x.batch, h.rows.len(), features(x, block, tiles), h.panel(panel));
            for b in 0..rows {
                let bits = [following.row(b)];
                let some = Features { bits: &bits, values: x.wrapping_add(b * TILE), strides: [batch * TILE, 1], from: weights, width };
                // SAFETY: weights hold every input's columns, products those of the row.
                unsafe { each_part(s, panel.vectors, Multiply { some, to: h.add(b * width) }) };
            }
        }
    }
}

/// The features of a block of so many tiles: `[tile][batch][8]`.
#[inline(always)]
fn features(x: &Packed<'_>, block: usize, tiles: usize) -> *const f32 {
    // Both ends are checked to be there.
    x.tile(block * BLOCK + tiles - 1);
    x.tile(block * BLOCK)
}

/// Some features, those of one input or of one row, and the vectors that they are multiplied by.
#[derive(Clone, Copy)]
struct Features<'a> {
    /// A bit for each of all.
    bits: &'a [u64],
    /// The first of all.
    values: *const f32,
    /// From eight to the next eight, and from one to the next.
    strides: [usize; 2],
    /// The vectors that the first feature is multiplied by.
    from: *const f32,
    /// Distance from these vectors to those of the next feature.
    width: usize,
}

impl Features<'_> {
    /// Adds the features times what they are multiplied by, from vector `first` on.
    ///
    /// # Safety
    /// For each bit that is set, `values` holds the feature and `from` a row with `COLUMNS` vectors
    /// behind `first`.
    #[inline(always)]
    unsafe fn add_to<S: Simd, const COLUMNS: usize>(&self, s: S, first: usize, sums: &mut [S::V; COLUMNS]) {
        let [far, near] = self.strides;
        for (word, &bits) in self.bits.iter().enumerate() {
            let mut left = bits;
            while left != 0 {
                let place = word * u64::BITS as usize + left.trailing_zeros() as usize;
                left &= left - 1;
                // SAFETY: the caller promises the feature of this bit and its row.
                unsafe {
                    let value = s.splat(*self.values.add(place / 8 * far + place % 8 * near));
                    let from = s.anchored(self.from.add(place * self.width + first * LANES));
                    for (c, sum) in sums.iter_mut().enumerate() {
                        *sum = s.fma(value, s.load(from.add(c * LANES)), *sum);
                    }
                }
            }
        }
    }
}

/// Work on neighbouring vectors of a panel.
trait Part<S: Simd>: Copy {
    /// From vector `first` on.
    ///
    /// # Safety
    /// The vectors are there.
    unsafe fn run<const COLUMNS: usize>(self, s: S, first: usize);
}

/// Runs a part on all vectors of a panel, as many at once as the registers hold beside their
/// operands.
///
/// # Safety
/// `part` may run on each of the `vectors` vectors.
#[inline(always)]
unsafe fn each_part<S: Simd, P: Part<S>>(s: S, vectors: usize, part: P) {
    const { assert!(PANEL == 9) };
    // SAFETY: the caller promises all `vectors` vectors; each call takes vectors below that number.
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
    some: Features<'a>,
    update: R,
    weights: *mut f32,
    states: [*mut f32; 3],
    at: usize,
}

impl<S: Simd, R: Update> Part<S> for Step<'_, R> {
    #[inline(always)]
    unsafe fn run<const COLUMNS: usize>(self, s: S, first: usize) {
        let mut sums = [s.splat(0.0); COLUMNS];
        // SAFETY: the caller promises `COLUMNS` vectors from `first` on, of gradients, weights and
        // states.
        unsafe {
            self.some.add_to(s, first, &mut sums);
            step_row(s, self.update, (self.weights, self.states), self.at + first * LANES, sums);
        }
    }
}

/// A row's products with a block's weights, added to those that are there.
#[derive(Clone, Copy)]
struct Multiply<'a> {
    some: Features<'a>,
    to: *mut f32,
}

impl<S: Simd> Part<S> for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<const COLUMNS: usize>(self, s: S, first: usize) {
        // SAFETY: the caller promises `COLUMNS` vectors from `first` on, of weights and products.
        unsafe {
            let to = self.to.add(first * LANES);
            let mut sums: [S::V; COLUMNS] = std::array::from_fn(|c| s.load(to.add(c * LANES)));
            self.some.add_to(s, first, &mut sums);
            for (c, sum) in sums.into_iter().enumerate() {
                s.store(to.add(c * LANES), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::fused::layout::Layout;
    use crate::heads::fused::nonzero::NonzeroMask;
    use crate::heads::fused::operands::Products;
    use crate::heads::settings::choices::Preset;
    use crate::heads::settings::optimizer::{Adam, Optimizer};
    use crate::simd::Isa;

    /// Rows of features as the kernels read them, and what of them is not 0.
    fn packed(isa: Isa, layout: Layout, batch: usize, value: impl Fn(usize) -> f32) -> (Vec<f32>, NonzeroMask) {
        let (inputs, nonzero) = (layout.tiles() * TILE, NonzeroMask::new(layout.tiles(), batch));
        let mut x = vec![0.0; inputs * batch];
        for b in 0..batch {
            let row: Vec<f32> = (0..inputs).map(|i| value(b * inputs + i)).collect();
            nonzero.mark(isa, (b, batch), 0, &row);
            row.iter().enumerate().for_each(|(i, &value)| x[(i / TILE * batch + b) * TILE + i % TILE] = value);
        }
        (x, nonzero)
    }

    /// A hundred and fifty inputs, two panels of outputs, two batches of different sizes, most
    /// features 0 in two blocks of three.
    #[test]
    fn what_is_left_out_changes_no_bit() {
        let (layout, batch, next) = (Layout { inputs: 150, outputs: 170 }, 21, 9);
        let noise = |n: usize, seed: usize| (0..n).map(move |i| ((i * 7919 + seed) as f32 * 0.618).sin());
        let d: Vec<f32> = noise(layout.columns() * batch, 3).collect();
        let adam = Adam { weight_decay: 0.0, betas: [0.9, 0.999], eps: 1e-8, amsgrad: false, preset: Preset::Torch };
        let optimizer = Optimizer::Adam(adam);
        for isa in Isa::available() {
            let features = |rows: usize, seed: usize| {
                let least = |i: usize| if i % (layout.tiles() * TILE) / (BLOCK * TILE) == 1 { -2.0 } else { 0.3 };
                packed(isa, layout, rows, |i| ((i * 7919 + seed) as f32 * 0.618).sin().max(least(i)) - least(i))
            };
            let ((x, nonzero), (x_next, marks_next)) = (features(batch, 1), features(next, 2));
            let sparse: Vec<bool> =
                (0..layout.blocks()).map(|block| nonzero.block(block, batch).is_sparse(layout.tiles_of(block) * TILE)).collect();
            assert_eq!(sparse, [true, false, true]);
            let pass = |leaves_out: bool| {
                let mut weights: Vec<f32> = noise(layout.len(), 4).collect();
                let mut states = [const { vec![] }; 3].map(|_: Vec<f32>| vec![0.0; layout.len()]);
                let mut h: Vec<f32> = noise(layout.columns() * next, 5).collect();
                for step in 1..3 {
                    let (mut x, mut x_next) = (Packed::new(&x, batch, 0), Packed::new(&x_next, next, 0));
                    if leaves_out {
                        (x, x_next) = (x.with_nonzero(&nonzero), x_next.with_nonzero(&marks_next));
                    }
                    let pass = Pass {
                        layout,
                        blocks: 0..layout.blocks(),
                        weights: &mut weights,
                        states: states.each_mut().map(|s| &mut s[..]),
                        x,
                        d: &d,
                        next: Some((x_next, Products::new(&mut h, next))),
                    };
                    pass.run(isa, &optimizer, 1e-3, step, &mut vec![]);
                }
                (weights, states, h)
            };
            assert!(pass(true) == pass(false), "{isa:?}");
        }
    }
}
