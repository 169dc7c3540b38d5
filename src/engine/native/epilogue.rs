//! The end of a sum: residual, activation, store. Also the activations on their own.

use super::memory::Operand;
use crate::graph::Act;
use crate::simd::{LANES, Simd, Vectorized, exp2, polynomial};

/// Slope of the logistic curve that [`Act::QuickGelu`] takes for the normal distribution's.
const QUICK: f32 = 1.702;

/// Last step of a convolution or of a pointwise kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epilogue {
    /// Added before the activation.
    pub residual: Option<Operand>,
    /// The activation where it is a clamp (or none: infinite bounds).
    pub bounds: [f32; 2],
    /// The activation where it is more than a clamp.
    pub act: Option<Act>,
}

impl Epilogue {
    /// Residual, then activation.
    pub(super) fn new(residual: Option<Operand>, act: Option<Act>) -> Epilogue {
        let (bounds, act) = match act {
            None => ([f32::NEG_INFINITY, f32::INFINITY], None),
            Some(Act::Relu) => ([0.0, f32::INFINITY], None),
            Some(Act::Relu6) => ([0.0, 6.0], None),
            other => ([f32::NEG_INFINITY, f32::INFINITY], other),
        };
        Epilogue { residual, bounds, act }
    }
}

/// Adds the residual, clamps, stores and activates a tile of P pixels side by side × V blocks.
///
/// # Safety
/// `output` and, where it is not null, `residual` are valid for P lines in each of V blocks.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub(super) unsafe fn finish_tile<S: Simd, const P: usize, const V: usize>(
    s: S,
    sum: &[[S::V; V]; P],
    output: *mut f32,
    output_block: usize,
    residual: *const f32,
    residual_block: usize,
    bounds: [f32; 2],
    act: Option<Act>,
) {
    let (low, high) = (s.splat(bounds[0]), s.splat(bounds[1]));
    // SAFETY: the caller promises P lines in each of V blocks, of the output and of a residual that
    // is not null.
    unsafe {
        if residual.is_null() {
            for (p, sum) in sum.iter().enumerate() {
                for (v, &x) in sum.iter().enumerate() {
                    s.store(output.add(v * output_block + p * LANES), s.min(high, s.max(low, x)));
                }
            }
        } else {
            for (p, sum) in sum.iter().enumerate() {
                for (v, &x) in sum.iter().enumerate() {
                    let x = s.add(x, s.load(residual.add(v * residual_block + p * LANES)));
                    s.store(output.add(v * output_block + p * LANES), s.min(high, s.max(low, x)));
                }
            }
        }
        if let Some(act) = act {
            for v in 0..V {
                s.vectorize(Activate { values: output.add(v * output_block), lines: P, act });
            }
        }
    }
}

/// Applies an activation in place to lines side by side. Compiled once for an ISA, away from the
/// register tiles.
pub(super) struct Activate {
    /// First of the values, valid for `lines` lines.
    pub values: *mut f32,
    /// Number of lines.
    pub lines: usize,
    /// The activation.
    pub act: Act,
}

impl Vectorized for Activate {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        #[inline(always)]
        fn each<S: Simd>(s: S, work: &Activate, f: impl Fn(S::V) -> S::V) {
            for i in 0..work.lines {
                // SAFETY: `values` is valid for `lines` lines, as its field's text demands.
                unsafe {
                    let at = work.values.add(i * LANES);
                    s.store(at, f(s.load(at)));
                }
            }
        }
        let zero = s.splat(0.0);
        let six = s.splat(6.0);
        let hard_gate = |x| s.mul(s.min(six, s.max(zero, s.add(x, s.splat(3.0)))), s.splat(1.0 / 6.0));
        match self.act {
            Act::Relu => each(s, &self, |x| s.max(zero, x)),
            Act::Relu6 => each(s, &self, |x| s.min(six, s.max(zero, x))),
            Act::Silu => each(s, &self, |x| s.mul(x, sigmoid(s, x))),
            Act::HardSwish => each(s, &self, |x| s.mul(x, hard_gate(x))),
            Act::HardSigmoid => each(s, &self, hard_gate),
            Act::Sigmoid => each(s, &self, |x| sigmoid(s, x)),
            Act::QuickGelu => each(s, &self, |x| s.mul(x, sigmoid(s, s.mul(s.splat(QUICK), x)))),
            Act::Gelu => each(s, &self, |x| {
                let half = s.mul(s.splat(0.5), x);
                s.fma(half, erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2))), half)
            }),
        }
    }
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let power = exp2(s, s.mul(x, s.splat(-std::f32::consts::LOG2_E)));
    s.reciprocal(s.add(s.splat(1.0), power))
}

/// erf x to a few units in the last place: the rational approximation on ±4 that Eigen uses
/// (`generic_fast_erf_float`).
#[inline(always)]
fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(4.0), s.max(s.splat(-4.0), x));
    let square = s.mul(x, x);
    let above = polynomial(
        s,
        square,
        [-2.726_142e-10, 2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906e-4, -2.954_6e-3, -1.609_603_4e-2],
    );
    let below = polynomial(s, square, [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2]);
    s.quotient(s.mul(x, above), below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, dispatch};

    fn reference(act: Act, x: f64) -> f64 {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        let gate = (x + 3.0).clamp(0.0, 6.0) / 6.0;
        match act {
            Act::Relu => x.max(0.0),
            Act::Relu6 => x.clamp(0.0, 6.0),
            Act::Silu => x * sigmoid,
            Act::HardSwish => x * gate,
            Act::HardSigmoid => gate,
            Act::Sigmoid => sigmoid,
            Act::QuickGelu => x / (1.0 + (-f64::from(QUICK) * x).exp()),
            // Φ(x) by summing the density: enough for six digits.
            Act::Gelu => {
                let steps = 20_000;
                let h = x / steps as f64;
                let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let area: f64 = (0..steps).map(|i| density((i as f64 + 0.5) * h) * h).sum();
                x * (0.5 + area)
            }
        }
    }

    #[test]
    fn activations_are_right_to_the_last_digits() {
        let acts = [Act::Relu, Act::Relu6, Act::Silu, Act::HardSwish, Act::HardSigmoid, Act::Sigmoid, Act::Gelu, Act::QuickGelu];
        let inputs: Vec<f32> = (0..10 * LANES).map(|i| (i as f32 - 80.0) / 8.0).chain([-100.0; LANES]).chain([100.0; LANES]).collect();
        for (isa, act) in Isa::available().into_iter().flat_map(|isa| acts.map(|a| (isa, a))) {
            let mut got = inputs.clone();
            dispatch(isa, Activate { values: got.as_mut_ptr(), lines: got.len() / LANES, act });
            for (&x, &y) in inputs.iter().zip(&got) {
                let want = reference(act, f64::from(x));
                let bound = 1e-6 * (0.1 + want.abs()) + 1e-7 * f64::from(x.abs());
                assert!((f64::from(y) - want).abs() <= bound, "{isa:?} {act:?}({x}) = {y}, not {want}");
            }
        }
    }
}
