//! The rows on which a trial is trained and judged, and how often.

/// The rows on which a trial is trained and judged, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// Number of parts of train and val together, each of which serves as val once; 1 for a fixed
    /// val.
    pub folds: usize,
    /// Number of repeats, each with its own seed and splits.
    pub repeats: usize,
    /// Seed of the splits.
    pub seed: u64,
}

impl Protocol {
    /// Number of heads that are trained for a trial.
    pub fn runs(&self) -> usize {
        self.folds * self.repeats
    }
}
