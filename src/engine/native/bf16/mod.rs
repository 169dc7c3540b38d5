//! Maps in bf16: half the memory, and products in AMX tiles whose operands are read as they lie.
//!
//! | file | what for |
//! |---|---|
//! | `conv.rs` | the convolutions |
//! | `layout.rs` | output pixels cut into tiles |
//! | `panel.rs` | input copied or rounded so that tiles can read it |
//!
//! A value is in bf16 if the kernel that makes it can write bf16 and all kernels that read it can
//! read it: dense convolutions, first convolutions of an image, pools. Other values stay f32, and
//! convolutions round them while copying.

mod conv;
mod layout;
mod panel;

pub(super) use conv::Conv;

use super::matrix;
use super::memory::as_map;
use super::rewrite::Rewritten;
use crate::plan::{ConvShape, Layer, Plan, Step};
use crate::simd::LANES;

/// Whether a convolution can be computed in bf16 and is worth comparing with other ways.
pub(super) fn fits(conv: &ConvShape, output: [usize; 2]) -> bool {
    conv.groups == 1 && conv.input >= LANES && output[0] * output[1] > 1 && cost(conv) < matrix::direct(conv)
}

/// Cycles for an output pixel, by the model of [`matrix`].
pub(super) fn cost(conv: &ConvShape) -> f64 {
    let deep = (conv.input.next_multiple_of(2 * LANES) * conv.kernel[0] * conv.kernel[1]) as f64;
    let wide = conv.output.next_multiple_of(2 * LANES) as f64;
    1.4 * deep * wide / 512.0 + 0.6 * matrix::finish(wide)
}

/// Whether each value is in bf16. `convolves` says whether a step is a convolution that reads and
/// writes bf16, `begins` whether it is one that writes it.
pub(super) fn packed(all: &Rewritten, convolves: impl Fn(&Plan, &Step) -> bool, begins: impl Fn(&Plan, &Step) -> bool) -> Vec<bool> {
    let plan = &all.plan;
    let is_pool = |step: &Step| matches!(step.layer, Layer::MaxPool(_) | Layer::AvgPool(_));
    let averages = |step: &Step| matches!(step.layer, Layer::GlobalAvgPool | Layer::AdaptiveAvgPool(_));
    let mut packed = vec![false; plan.shapes.len()];
    for (_, step) in plan.steps.iter().enumerate().filter(|&(i, _)| !all.idle[i] && all.within[i].is_none()) {
        // Steps are in order: what a pool reads is known.
        let makes = convolves(plan, step) || begins(plan, step) || is_pool(step) && packed[step.inputs[0]];
        let readers = plan.steps.iter().zip(&all.idle).zip(&all.within).filter(|((s, _), _)| s.inputs.contains(&step.output));
        let mut live = readers.filter(|((_, idle), _)| !**idle);
        let reads = |s: &Step| convolves(plan, s) || is_pool(s) || averages(s);
        packed[step.output] =
            makes && as_map(&plan.shapes[step.output])[1..] != [1, 1] && live.all(|((s, _), within)| within.is_none() && reads(s));
    }
    packed
}
