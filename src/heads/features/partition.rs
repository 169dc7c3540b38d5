//! Rows for training, for choosing and for the final judgement.

use crate::data::Split;

/// Row numbers by what they serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    /// For training.
    pub train: Vec<usize>,
    /// For choosing.
    pub val: Vec<usize>,
    /// Looked at once.
    pub test: Vec<usize>,
}

impl Partition {
    /// Sorts row numbers by their split.
    pub fn new(splits: &[Split]) -> Partition {
        let of = |split| (0..splits.len()).filter(|&row| splits[row] == split).collect();
        Partition { train: of(Split::Train), val: of(Split::Val), test: of(Split::Test) }
    }
}
