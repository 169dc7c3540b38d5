//! From logits to the probabilities of classes.

use crate::heads::math::{sigmoid, softmax, softplus};
use crate::heads::settings::choices::Loss;
use crate::heads::settings::spec::HeadSpec;

/// Writes the class probabilities of one row of logits; NaN where a logit is not finite.
pub(crate) fn class_probabilities(spec: &HeadSpec, logits: &[f32], probabilities: &mut [f32]) {
    let each = |of: fn(f32) -> f32, probabilities: &mut [f32]| probabilities.iter_mut().zip(logits).for_each(|(p, &z)| *p = of(z));
    match (spec.loss, logits) {
        _ if logits.iter().any(|z| !z.is_finite()) => probabilities.fill(f32::NAN),
        (Loss::Sigmoid, [z]) if probabilities.len() == 2 => {
            probabilities[1] = sigmoid(*z);
            probabilities[0] = sigmoid(-*z);
        }
        (Loss::Sigmoid, _) if spec.is_one_versus_rest() => {
            // Computed from logarithms: if all classes are unlikely, the sigmoids themselves would
            // underflow.
            each(|z| -softplus(-z), probabilities);
            softmax(probabilities);
        }
        (Loss::Sigmoid, _) => each(sigmoid, probabilities),
        _ => {
            probabilities.copy_from_slice(logits);
            softmax(probabilities);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{Fit, Params};

    #[test]
    fn probabilities_of_classes_that_exclude_each_other_sum_to_one() {
        let of = |classes, many, logits: &[f32]| {
            let fit = Fit { tap: "t", shape: &[5], classes, many };
            let spec = Params { loss: Loss::Sigmoid, ..Params::default() }.check(fit).unwrap();
            let mut p = vec![0.0; classes];
            class_probabilities(&spec, logits, &mut p);
            p
        };
        let near = |got: Vec<f32>, want: &[f32]| assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} {want:?}");
        near(of(2, false, &[3.0]), &[0.047_425_87, 0.952_574_1]);
        // σ(2), σ(−1), σ(0) = 0.8808, 0.2689, 0.5, over their sum.
        near(of(3, false, &[2.0, -1.0, 0.0]), &[0.533_901, 0.163_020_6, 0.303_078_3]);
        near(of(3, true, &[2.0, -1.0, 0.0]), &[0.880_797, 0.268_941_4, 0.5]);
        near(of(3, false, &[-300.0, -301.0, -500.0]), &[0.731_058_6, 0.268_941_4, 0.0]);
        for logits in [[f32::NAN, 0.0, 0.0], [f32::INFINITY, 0.0, 0.0], [0.0, f32::NEG_INFINITY, 0.0]] {
            assert!([true, false].iter().all(|&many| of(3, many, &logits).iter().all(|p| p.is_nan())), "{logits:?}");
        }
    }
}
