//! What happens to a row between two layers and behind the last one: activation with dropout, softmax and its gradient.
//!
//! Plain loops over lanes, without branches, that a compiler makes vector code of inside [`Simd::vectorize`].

use super::rule::FLOOR;
use crate::engine::native::simd::{Isa, LANES, Simd, Vectorized, dispatch};
use crate::heads::loss::Objective;
use crate::heads::words::{Activation, Loss};

/// eˣ to about a unit in the last place, for −87 ≤ x ≤ 88 and clamped to that: Cephes's polynomial after reduction by ln 2.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ rounds to an integer and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_65) * r + 0.5;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    (p * r * r + r + 1.0) * power
}

/// The error function to about a unit in the last place: two minimax polynomials by N. Juffa, one of them of ln(1 − erf).
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

/// A hidden layer's row: products replaced by activations, and the slopes by which gradients are multiplied on their way back. Both are
/// multiplied by the dropout factors that `slopes` holds before.
pub struct Activate<'a> {
    /// Which activation.
    pub act: Activation,
    /// Products in, activations out.
    pub units: &'a mut [f32],
    /// Dropout factors in, slopes out.
    pub slopes: &'a mut [f32],
}

impl Activate<'_> {
    /// Does it.
    pub fn run(self, isa: Isa) {
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

/// The last layer's row in training: logits replaced by their gradient; returns the row's loss (unscaled).
pub struct Judge<'a> {
    /// What is minimised.
    pub objective: &'a Objective,
    /// Logits in, gradients out, in whole vectors.
    pub logits: &'a mut [f32],
    /// Targets, in whole vectors.
    pub q: &'a [f32],
    /// Mass of the row.
    pub mass: f32,
    /// What the batch's sum is multiplied by.
    pub scale: f32,
    /// How many logits count.
    pub outputs: usize,
}

impl Judge<'_> {
    /// Does it.
    pub fn run(self, isa: Isa) -> f64 {
        match self.objective.loss {
            Loss::Sigmoid => {
                let (logits, rest) = self.logits.split_at_mut(self.outputs);
                rest.fill(0.0);
                let loss = self.objective.row(logits, &self.q[..self.outputs], self.mass, self.scale);
                logits.iter_mut().for_each(|d| *d = (*d + FLOOR) - FLOOR);
                loss
            }
            _ => dispatch(isa, self),
        }
    }
}

/// Folds lanes into one number, always in the same order.
#[inline(always)]
fn fold(lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| f(lanes[i], lanes[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| f(eight[i], eight[i + 4]));
    f(f(four[0], four[2]), f(four[1], four[3]))
}

impl Vectorized for Judge<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let first = self.logits[0];
        self.logits[self.outputs..].fill(first);
        let vectors = self.logits.as_chunks_mut::<LANES>().0;
        let targets = self.q.as_chunks::<LANES>().0;
        let mut largest = [first; LANES];
        for z in vectors.iter() {
            largest = std::array::from_fn(|i| if z[i] > largest[i] { z[i] } else { largest[i] });
        }
        let largest = fold(largest, f32::max);
        let (mut dot, mut sum) = ([0.0; LANES], [0.0; LANES]);
        for (v, (z, q)) in vectors.iter_mut().zip(targets).enumerate() {
            for i in 0..LANES {
                let above = z[i] - largest;
                dot[i] += q[i] * above;
                z[i] = if v * LANES + i < self.outputs { exp(above) } else { 0.0 };
                sum[i] += z[i];
            }
        }
        let sum = fold(sum, |a, b| a + b);
        let share = self.mass * self.scale / sum;
        for (z, q) in vectors.iter_mut().zip(targets) {
            for i in 0..LANES {
                z[i] = (z[i] * share - q[i] * self.scale + FLOOR) - FLOOR;
            }
        }
        f64::from(self.mass * sum.ln() - fold(dot, |a, b| a + b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
