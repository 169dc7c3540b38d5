//! From scores to residuals, probability less target, in logistic regression.
//!
//! Plain loops over lanes, without branches, that a compiler vectorises inside [`Simd::vectorize`].

use std::ops::Range;

use crate::heads::features::labels::Labels;
use crate::heads::math::exp;
use crate::heads::settings::choices::Loss;
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Numbers below 6·10⁻²⁸, half this one's last place, become 0: arithmetic on subnormal numbers is
/// slow.
const FLOOR: f32 = 1e-20;

/// Sums over some rows by output: the gradient of the biases, and p · (1 − p).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums {
    pub(super) bias: Vec<f64>,
    pub(super) spread: Vec<f64>,
}

impl Sums {
    pub(super) fn zeros(outputs: usize) -> Sums {
        Sums { bias: vec![0.0; outputs], spread: vec![0.0; outputs] }
    }

    pub(super) fn add(&mut self, other: &Sums) {
        self.bias.iter_mut().zip(&other.bias).for_each(|(a, b)| *a += b);
        self.spread.iter_mut().zip(&other.spread).for_each(|(a, b)| *a += b);
    }
}

/// Turns the scores `[rows, outputs]` of neighbouring rows into residuals.
pub(super) fn residuals(loss: Loss, outputs: usize, scores: &mut [f32], labels: &Labels, rows: Range<usize>) -> Sums {
    let padded = outputs.next_multiple_of(LANES);
    let (mut bias, mut spread, mut row) = (vec![0.0; padded], vec![0.0; padded], vec![0.0; padded]);
    dispatch(Isa::best(), Probabilities { loss, outputs, scores, row: &mut row, bias: &mut bias, spread: &mut spread });
    for (scores, row) in scores.chunks_exact_mut(outputs).zip(rows) {
        for &label in labels.of(row) {
            // Two classes may share an output: that of the second one.
            if let Some(output) = if outputs == 1 { label.checked_sub(1) } else { Some(label) } {
                scores[output as usize] -= 1.0;
                bias[output as usize] -= 1.0;
            }
        }
    }
    let of_outputs = |values: Vec<f32>| values[..outputs].iter().map(|&v| f64::from(v)).collect();
    Sums { bias: of_outputs(bias), spread: of_outputs(spread) }
}

/// Scores to probabilities, row by row; adds these to `bias`, and p · (1 − p) to `spread`.
struct Probabilities<'a> {
    loss: Loss,
    outputs: usize,
    scores: &'a mut [f32],
    /// Room for one row in whole vectors, as the others are.
    row: &'a mut [f32],
    bias: &'a mut [f32],
    spread: &'a mut [f32],
}

impl Vectorized for Probabilities<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for scores in self.scores.chunks_exact_mut(self.outputs) {
            let (own, rest) = self.row.split_at_mut(self.outputs);
            own.copy_from_slice(scores);
            rest.fill(f32::MIN);
            let row = self.row.as_chunks_mut::<LANES>().0;
            let scale = match self.loss {
                Loss::Sigmoid => {
                    row.iter_mut().for_each(|z| *z = z.map(|z| 1.0 / (1.0 + exp(-z))));
                    1.0
                }
                _ => 1.0 / exponentials(row),
            };
            let sums = self.bias.as_chunks_mut::<LANES>().0.iter_mut().zip(self.spread.as_chunks_mut::<LANES>().0);
            for (z, (bias, spread)) in row.iter_mut().zip(sums) {
                for i in 0..LANES {
                    let p = z[i] * scale;
                    bias[i] += p;
                    spread[i] += p * (1.0 - p);
                    z[i] = (p + FLOOR) - FLOOR;
                }
            }
            scores.copy_from_slice(&self.row[..self.outputs]);
        }
    }
}

/// Each number's exponential, relative to the largest; returns their sum.
#[inline(always)]
fn exponentials(row: &mut [[f32; LANES]]) -> f32 {
    let mut largest = [f32::MIN; LANES];
    for z in row.iter() {
        largest = std::array::from_fn(|i| if z[i] > largest[i] { z[i] } else { largest[i] });
    }
    let largest = largest.into_iter().fold(f32::MIN, f32::max);
    let mut sum = [0.0; LANES];
    for z in row {
        *z = z.map(|z| exp(z - largest));
        sum = std::array::from_fn(|i| sum[i] + z[i]);
    }
    sum.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_probability_less_target() {
        let scores: Vec<f32> = (0..3 * 20).map(|i| (i as f32 * 1.7).sin() * 5.0).collect();
        let softmax = |z: &[f32], k: usize| f64::from(z[k]).exp() / z.iter().map(|&z| f64::from(z).exp()).sum::<f64>();
        let sigmoid = |z: &[f32], k: usize| 1.0 / (1.0 + f64::from(-z[k]).exp());
        let one = Labels::One(vec![9, 2, 19, 0]);
        let many = Labels::Many(vec![vec![], vec![2, 5], vec![], vec![0, 1, 19]]);
        for (loss, labels) in [(Loss::Softmax, &one), (Loss::Sigmoid, &many)] {
            let probability = |z: &[f32], k: usize| if loss == Loss::Softmax { softmax(z, k) } else { sigmoid(z, k) };
            let mut got = scores.clone();
            let sums = residuals(loss, 20, &mut got, labels, 1..4);
            let mut want = Sums::zeros(20);
            for (row, z) in scores.chunks_exact(20).enumerate() {
                for k in 0..20 {
                    let (p, is) = (probability(z, k), labels.of(row + 1).contains(&(k as u32)));
                    let residual = p - f64::from(u8::from(is));
                    assert!((f64::from(got[row * 20 + k]) - residual).abs() < 1e-6, "{loss} {row} {k}");
                    want.bias[k] += residual;
                    want.spread[k] += p * (1.0 - p);
                }
            }
            let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near(&sums.bias, &want.bias) && near(&sums.spread, &want.spread), "{loss}");
        }
    }

    #[test]
    fn two_classes_share_the_output_of_the_second() {
        let mut scores = [0.0, 0.0];
        let sums = residuals(Loss::Sigmoid, 1, &mut scores, &Labels::One(vec![0, 1]), 0..2);
        assert_eq!((scores, sums.bias[0], sums.spread[0]), ([0.5, -0.5], 0.0, 0.5));
    }

    #[test]
    fn what_is_next_to_nothing_is_nothing() {
        let mut scores = [0.0, -80.0, -1e9];
        residuals(Loss::Softmax, 3, &mut scores, &Labels::One(vec![0]), 0..1);
        assert_eq!(scores, [0.0; 3]);
    }
}
