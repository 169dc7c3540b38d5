//! How often answers of a given confidence are right: the reliability diagram and its expected error.

use serde::Serialize;

use super::files::Prediction;

/// Bins of equal width, as in the metric `ece`.
const BINS: usize = 15;

/// A reliability diagram (Guo et al., "On calibration of modern neural networks", ICML 2017).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Whose answers.
    pub split: String,
    /// Bins that hold an answer.
    pub bins: Vec<Bin>,
    /// Mean distance of confidence and accuracy, weighted by answers.
    pub ece: f64,
}

/// Answers of about the same confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Answers in it.
    pub n: usize,
    /// Their mean probability.
    pub confidence: f64,
    /// Share of them that is right.
    pub accuracy: f64,
}

impl Calibration {
    /// Of one split's answers; nothing where there are none.
    pub fn of(predictions: &[Prediction], split: &str) -> Option<Calibration> {
        let mut sums = [(0usize, 0f64, 0f64); BINS];
        for p in predictions.iter().filter(|p| p.split == split) {
            let sum = &mut sums[((p.probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
            *sum = (sum.0 + 1, sum.1 + p.probability, sum.2 + f64::from(p.correct));
        }
        let all: usize = sums.iter().map(|s| s.0).sum();
        if all == 0 {
            return None;
        }
        let ece = sums.iter().map(|(_, confidence, right)| (confidence - right).abs()).sum::<f64>() / all as f64;
        let bin = |&(n, confidence, right): &(usize, f64, f64)| Bin { n, confidence: confidence / n as f64, accuracy: right / n as f64 };
        Some(Calibration { split: split.into(), bins: sums.iter().filter(|s| s.0 > 0).map(bin).collect(), ece })
    }
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
}
