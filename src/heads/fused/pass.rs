//! One pass over weights: for each tile (eight inputs by up to three vectors of outputs, held in
//! registers) the gradient of this batch, Σ_b x_b ⊗ d_b; the optimiser's step; and at once the
//! products of the new weights with the *next* batch, h_b += x'_b · W. Weights and states are read
//! and written once a step, and the gradient never leaves the registers. Blocks of inputs that are
//! mostly 0 take another way, that leaves out zeros: [`super::sparse`].

use super::dense;
use super::layout::TILE;
use super::operands::Pass;
use super::sparse;
use super::update::{ForUpdate, Update, with_update};
use crate::heads::settings::optimizer::Optimizer;
use crate::simd::{Isa, Simd, Vectorized, dispatch};

impl<'a> Pass<'a> {
    /// Runs the pass with one step of an optimiser. `bits` is scratch memory for a block's mask.
    pub(super) fn run(self, isa: Isa, optimizer: &Optimizer, lr: f64, step: i32, bits: &mut Vec<u64>) {
        struct Updating<'a>(Isa, Pass<'a>, &'a mut Vec<u64>);
        impl ForUpdate for Updating<'_> {
            type Output = ();
            fn run<R: Update>(self, update: R) {
                let Updating(isa, pass, bits) = self;
                dispatch(isa, Work { pass, update, bits });
            }
        }
        with_update(optimizer, lr, step, Updating(isa, self, bits));
    }
}

struct Work<'a, R> {
    pass: Pass<'a>,
    update: R,
    bits: &'a mut Vec<u64>,
}

impl<R: Update> Vectorized for Work<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Work { mut pass, update, bits } = self;
        let mut at = 0;
        for block in pass.blocks.clone() {
            match pass.sparse(block) {
                Some([this, next]) => sparse::block(s, update, &mut pass, (this.by_input(bits), next), block, at),
                None => dense::block(s, update, &mut pass, block, at),
            }
            at += pass.layout.tiles_of(block) * TILE * pass.layout.columns();
        }
    }
}
