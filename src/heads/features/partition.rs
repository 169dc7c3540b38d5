//! Rows for training, for choosing and for the final judgement.

use crate::data::Split;

/// Row numbers by purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    /// For training.
    pub train: Vec<usize>,
    /// For choosing among heads.
    pub val: Vec<usize>,
    /// For the final judgement, used once.
    pub test: Vec<usize>,
}

impl Partition {
    /// Sorts row numbers by their split.
    pub fn new(splits: &[Split]) -> Partition {
        let of = |split| (0..splits.len()).filter(|&row| splits[row] == split).collect();
        Partition { train: of(Split::Train), val: of(Split::Val), test: of(Split::Test) }
    }
}
