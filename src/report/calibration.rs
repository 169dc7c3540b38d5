//! How often answers of a given confidence are right: the reliability diagram and its expected
//! error.

use rayon::prelude::*;
use serde::Serialize;

use super::files::Prediction;
use crate::rng::Philox;

/// Number of bins of equal width, as in the metric `ece`.
const BINS: usize = 15;

/// Stream of the draws of answers that are right as often as their confidences say.
const CHANCE: u64 = 0x4543_4501;
/// Largest number of draws of single answers; largest and smallest number of draws of all answers.
const DRAWS: [usize; 3] = [5_000_000, 1000, 20];

/// A reliability diagram (Guo et al., "On calibration of modern neural networks", ICML 2017).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Calibration {
    /// Name of the split.
    pub split: String,
    /// Bins that hold an answer.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean distance of confidence and accuracy, weighted by
    /// answers.
    pub ece: f64,
    /// Number of answers.
    pub n: usize,
    /// Mean and 95th percentile of the same error for as many answers with the same confidences
    /// that are right exactly as often as these say: few answers miss their confidences by chance.
    pub by_chance: [f64; 2],
}

/// Answers of about the same confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Bin {
    /// Number of answers in it.
    pub n: usize,
    /// Their mean probability.
    pub confidence: f64,
    /// Share of them that is right.
    pub accuracy: f64,
    /// Range of that share, in 19 cases of 20, where answers are right exactly as often as they
    /// say.
    pub by_chance: [f64; 2],
}

impl Calibration {
    /// The diagram of one split's answers; `None` where there are none.
    pub(crate) fn of(predictions: &[Prediction], split: &str) -> Option<Calibration> {
        let own: Vec<&Prediction> = predictions.iter().filter(|p| p.split == split).collect();
        let mut sums = [(0usize, 0f64, 0f64); BINS];
        for p in &own {
            let sum = &mut sums[bin(p.probability)];
            *sum = (sum.0 + 1, sum.1 + p.probability, sum.2 + f64::from(p.correct));
        }
        let all: usize = sums.iter().map(|s| s.0).sum();
        if all == 0 {
            return None;
        }
        let ece = sums.iter().map(|(_, confidence, right)| (confidence - right).abs()).sum::<f64>() / all as f64;
        let chance = by_chance(&own.iter().map(|p| p.probability).collect::<Vec<_>>());
        let bin = |(&(n, confidence, right), gaps): (&(usize, f64, f64), [f64; 2])| {
            let (count, confidence) = (n as f64, confidence / n as f64);
            let by_chance = [gaps[1], gaps[0]].map(|gap| (confidence - gap / count).clamp(0.0, 1.0));
            Bin { n, confidence, accuracy: right / count, by_chance }
        };
        let bins = sums.iter().zip(chance.gaps).filter(|(sum, _)| sum.0 > 0).map(bin).collect();
        Some(Calibration { split: split.into(), bins, ece, n: all, by_chance: chance.ece })
    }
}

fn bin(probability: f64) -> usize {
    ((probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// Statistics of draws of answers that are right exactly as often as their confidences say.
struct Chance {
    /// Calibration error: mean and 95th percentile.
    ece: [f64; 2],
    /// Excess of the sum of the confidences over the right answers of each bin: 2.5th and 97.5th
    /// percentile.
    gaps: [[f64; 2]; BINS],
}

/// Draws answers of these confidences many times.
fn by_chance(probabilities: &[f64]) -> Chance {
    let [single, most, fewest] = DRAWS;
    let times = (single / probabilities.len().max(1)).clamp(fewest, most);
    let philox = Philox::new(0, CHANCE);
    let draw = |time: usize| {
        let mut gaps = [0f64; BINS];
        for (block, four) in probabilities.chunks(4).enumerate() {
            let uniform = philox.uniform([block as u32, time as u32, 0, 0]);
            four.iter().zip(uniform).for_each(|(&p, u)| gaps[bin(p)] += p - f64::from(u8::from(f64::from(u) < p)));
        }
        gaps
    };
    let drawn: Vec<[f64; BINS]> = (0..times).into_par_iter().map(draw).collect();
    let sorted = |of: &dyn Fn(&[f64; BINS]) -> f64| {
        let mut all: Vec<f64> = drawn.iter().map(of).collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    };
    let errors = sorted(&|gaps| gaps.iter().map(|gap| gap.abs()).sum::<f64>() / probabilities.len() as f64);
    let range = |bin: usize| {
        let all = sorted(&|gaps| gaps[bin]);
        [all[times / 40], all[times - 1 - times / 40]]
    };
    Chance { ece: [errors.iter().sum::<f64>() / times as f64, errors[times * 19 / 20]], gaps: std::array::from_fn(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_what_the_answers_say() {
        let answer = |probability, correct| Prediction {
            path: String::new(),
            split: "val".into(),
            class: String::new(),
            predicted: String::new(),
            correct,
            probability,
            probability_of_class: None,
        };
        let c = Calibration::of(&[answer(0.9, 1), answer(0.9, 0), answer(0.5, 1)], "val").unwrap();
        assert_eq!(c.bins.iter().map(|b| b.n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(c.bins[1].accuracy, 0.5);
        assert!((c.ece - (0.8 + 0.5) / 3.0).abs() < 1e-12, "{}", c.ece);
        assert_eq!(Calibration::of(&[], "val"), None);
    }

    #[test]
    fn few_answers_miss_their_confidences_by_chance_as_much_as_theory_says() {
        // Of n answers of one confidence c the share that is right is off by √(2 c (1 − c) / (π n))
        // in the mean.
        for (n, c) in [(25, 0.8), (100, 0.9), (1000, 0.6)] {
            let chance = by_chance(&vec![c; n]);
            let [mean, most] = chance.ece;
            let theory = (2.0 * c * (1.0 - c) / (std::f64::consts::PI * n as f64)).sqrt();
            assert!((mean / theory - 1.0).abs() < 0.1, "{n} × {c}: {mean}, not {theory}");
            assert!(most > 1.8 * mean && most < 3.5 * mean, "{n} × {c}: {mean} {most}");
            assert_eq!(by_chance(&vec![c; n]).ece, [mean, most]);
            // 1.96 standard deviations of the number of right answers on either side.
            let (range, theory) = (chance.gaps[bin(c)], 1.96 * (n as f64 * c * (1.0 - c)).sqrt());
            assert!((range[1] - range[0] - 2.0 * theory).abs() < 0.35 * theory + 1.0, "{n} × {c}: {range:?}, not ±{theory}");
        }
        assert_eq!(by_chance(&[1.0; 7]).ece, [0.0; 2]);
    }
}
