//! Elementwise work on a row between two layers and behind the last one: activation with dropout,
//! softmax and its gradient.
//!
//! Activations are plain loops over lanes, without branches, that a compiler vectorises inside
//! [`Simd::vectorize`].

use super::update::FLOOR;
use crate::heads::math::exp;
use crate::heads::settings::choices::{Activation, Loss};
use crate::heads::training::objective::Objective;
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch, exp2};

/// The error function to about a unit in the last place: two minimax polynomials by N. Juffa, one
/// of them of ln(1 − erf).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let (t, s) = (x.abs(), x * x);
    let near = ((((-5.967_617e-4 * s + 4.991_194e-3) * s - 2.676_813_5e-2) * s + 0.112_819_925) * s - 0.376_125_34) * s + 0.128_379_17;
    let near = near * x + x;
    let far = (-1.728_534_7e-5 * t + 3.831_971_3e-4) * s + (-3.883_964_4e-3 * t + 2.425_462_2e-2);
    let far = ((far * t - 0.106_777_88) * t - 0.634_846_7) * t - 0.128_717_51;
    let far = (1.0 - exp(far * t - t)).copysign(x);
    if t > 0.921_875 { far } else { near }
}

/// A hidden layer's row: replaces products by activations, and dropout factors by the slopes that
/// gradients are multiplied by on their way back. Both include dropout.
pub(super) struct Activate<'a> {
    /// The activation.
    pub act: Activation,
    /// Products in, activations out.
    pub units: &'a mut [f32],
    /// Dropout factors in, slopes out.
    pub slopes: &'a mut [f32],
}

impl Activate<'_> {
    /// Runs it.
    pub(super) fn run(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Vectorized for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let rows = self.units.iter_mut().zip(self.slopes);
        match self.act {
            Activation::Relu => rows.for_each(|(unit, slope)| {
                let factor = *slope;
                *slope = if *unit > 0.0 { factor } else { 0.0 };
                *unit *= *slope;
            }),
            Activation::Gelu => rows.for_each(|(unit, slope)| {
                let (z, factor) = (*unit, *slope);
                let share = 0.5 * (1.0 + erf(z * std::f32::consts::FRAC_1_SQRT_2));
                *unit = z * share * factor;
                *slope = (share + z * exp(-0.5 * z * z) * 0.398_942_3) * factor;
            }),
        }
    }
}

/// The last layer's row in training: replaces logits by their gradient.
pub(super) struct Judge<'a> {
    /// The loss that is minimised.
    pub objective: &'a Objective,
    /// Logits in, gradients out, in whole vectors.
    pub logits: &'a mut [f32],
    /// Classes of the row.
    pub labels: &'a [u32],
    /// Targets, in whole vectors.
    pub q: &'a [f32],
    /// Mass of the row.
    pub mass: f32,
    /// Factor of the gradient.
    pub scale: f32,
    /// Number of logits without padding.
    pub outputs: usize,
}

/// Outcome of a row.
pub(super) struct RowOutcome {
    /// Its loss, unscaled.
    pub loss: f64,
    /// Whether it was answered right.
    pub is_right: bool,
}

impl Judge<'_> {
    /// Runs it.
    pub(super) fn run(self, isa: Isa) -> RowOutcome {
        match self.objective.loss {
            Loss::Sigmoid => {
                let (logits, rest) = self.logits.split_at_mut(self.outputs);
                rest.fill(0.0);
                let is_right = self.objective.is_right(logits, self.labels);
                let loss = self.objective.row(logits, &self.q[..self.outputs], self.mass, self.scale);
                logits.iter_mut().for_each(|d| *d = (*d + FLOOR) - FLOOR);
                RowOutcome { loss, is_right }
            }
            Loss::Auto | Loss::Softmax => dispatch(isa, self),
        }
    }
}

/// Folds lanes into one number, always in the same order.
#[inline(always)]
fn fold<S: Simd>(s: S, v: S::V, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    // SAFETY: `lanes` holds sixteen values.
    unsafe { s.store(lanes.as_mut_ptr(), v) };
    let eight: [f32; 8] = std::array::from_fn(|i| f(lanes[i], lanes[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| f(eight[i], eight[i + 4]));
    f(f(four[0], four[2]), f(four[1], four[3]))
}

impl Vectorized for Judge<'_> {
    type Output = RowOutcome;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> RowOutcome {
        let Judge { logits, labels, q, mass, scale, outputs, .. } = self;
        let first = logits[0];
        logits[outputs..].fill(first);
        let (vectors, targets) = (logits.as_chunks_mut::<LANES>().0, q.as_chunks::<LANES>().0);
        // SAFETY: an array of sixteen values.
        let load = |x: &[f32; LANES]| unsafe { s.load(x.as_ptr()) };
        let mut largest = s.splat(first);
        for z in vectors.iter() {
            largest = s.max(largest, load(z));
        }
        let largest = s.splat(fold(s, largest, f32::max));
        let mut best = outputs;
        for (v, z) in vectors.iter().enumerate() {
            let others = s.nonzero_lanes(s.sub(load(z), largest));
            if others != u16::MAX {
                best = v * LANES + others.trailing_ones() as usize;
                break;
            }
        }
        let last = vectors.len() - 1;
        let counts: [f32; LANES] = std::array::from_fn(|lane| f32::from(u8::from(last * LANES + lane < outputs)));
        let (mut dot, mut sum) = (s.splat(0.0), s.splat(0.0));
        for (v, (z, q)) in vectors.iter_mut().zip(targets).enumerate() {
            let above = s.sub(load(z), largest);
            dot = s.fma(load(q), above, dot);
            let power = exp2(s, s.mul(above, s.splat(std::f32::consts::LOG2_E)));
            let power = if v == last { s.mul(power, load(&counts)) } else { power };
            sum = s.add(sum, power);
            // SAFETY: `z` is an array of sixteen values.
            unsafe { s.store(z.as_mut_ptr(), power) };
        }
        let (sum, dot) = (fold(s, sum, |a, b| a + b), fold(s, dot, |a, b| a + b));
        let (share, floor) = (s.splat(mass * scale / sum), s.splat(FLOOR));
        for (z, q) in vectors.iter_mut().zip(targets) {
            let gradient = s.fma(load(z), share, s.fma(load(q), s.splat(-scale), floor));
            // SAFETY: `z` is an array of sixteen values.
            unsafe { s.store(z.as_mut_ptr(), s.sub(gradient, floor)) };
        }
        RowOutcome { loss: f64::from(mass * sum.ln() - dot), is_right: labels.contains(&(best as u32)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::features::labels::Labels;
    use crate::heads::settings::params::Params;
    use crate::heads::settings::spec::Fit;

    #[test]
    fn exponential_and_error_function_are_exact_to_f32() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) / want - 1.0).abs() < 3e-7, "e^{x}");
        }
        for i in -5000..5000 {
            let x = i as f32 / 1000.0;
            assert!((erf(x) - libm::erff(x)).abs() < 3e-7, "erf({x}) is not {}", erf(x));
        }
    }

    #[test]
    fn activations_and_slopes_are_those_of_the_plain_functions() {
        for isa in Isa::available() {
            for act in [Activation::Relu, Activation::Gelu] {
                let z: Vec<f32> = (0..48).map(|i| (i as f32 - 24.0) / 6.0).collect();
                let (mut units, mut slopes) = (z.clone(), vec![2.0; 48]);
                Activate { act, units: &mut units, slopes: &mut slopes }.run(isa);
                for (i, &z) in z.iter().enumerate() {
                    assert!((units[i] - 2.0 * act.of(z)).abs() < 2e-6 && (slopes[i] - 2.0 * act.slope(z)).abs() < 2e-6, "{act} {z}");
                }
            }
        }
    }

    #[test]
    fn rows_are_judged_as_the_plain_loss_judges_them() {
        for (isa, outputs) in Isa::available().into_iter().flat_map(|isa| [2, 5, 16, 37, 133].map(|outputs| (isa, outputs))) {
            let spec = Params::default().check(Fit { tap: "gap", shape: &[4], classes: outputs, many: false }).unwrap();
            let objective = Objective::new(&spec, &Labels::One((0..outputs as u32).collect()), &[]);
            for seed in 0..20 {
                // Steps of a half, so that the largest comes more than once.
                let z: Vec<f32> = (0..outputs).map(|i| ((i * 31 + seed * 17) % 23) as f32 / 2.0 - 4.0).collect();
                let (labels, mass, scale) = ([(seed * 5 % outputs) as u32], 0.9, 0.05);
                let q: Vec<f32> = (0..outputs.next_multiple_of(LANES)).map(|i| if i == labels[0] as usize { mass } else { 0.0 }).collect();
                let mut want = z.clone();
                let loss = objective.row(&mut want, &q[..outputs], mass, scale);
                let mut got = z.clone();
                got.resize(q.len(), 9.0);
                let judge = Judge { objective: &objective, logits: &mut got, labels: &labels, q: &q, mass, scale, outputs };
                let judged = judge.run(isa);
                assert!((judged.loss - loss).abs() < 2e-6 * loss.abs().max(1.0), "{isa:?}: {} is not {loss}", judged.loss);
                assert_eq!(judged.is_right, objective.is_right(&z, &labels), "{isa:?}");
                assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-8), "{isa:?} {outputs}");
                assert!(got[outputs..].iter().all(|&d| d == 0.0), "{isa:?}");
            }
        }
    }
}
