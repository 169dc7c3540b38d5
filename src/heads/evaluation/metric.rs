//! The metrics that a head may be chosen by.

/// A metric and the direction in which it improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name without the split: `acc1`.
    pub name: &'static str,
    /// Whether a larger value is better.
    pub more: bool,
}

/// All metrics.
pub(crate) const METRICS: &[Metric] = &[
    Metric { name: "acc1", more: true },
    Metric { name: "acc5", more: true },
    Metric { name: "loss", more: false },
    Metric { name: "mean_per_class_recall", more: true },
    Metric { name: "macro_f1", more: true },
    Metric { name: "ece", more: false },
    Metric { name: "auc", more: true },
];

impl Metric {
    /// A value as a score of which more is better; one that is missing or not finite is worst.
    pub fn score(&self, value: Option<f64>) -> f64 {
        match value.filter(|value| value.is_finite()) {
            Some(value) if self.more => value,
            Some(value) => -value,
            None => f64::NEG_INFINITY,
        }
    }
}
