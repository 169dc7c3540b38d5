//! Features, labels and partition together.

use super::labels::Labels;
use super::partition::Partition;
use super::table::FeatureTable;

/// What heads are trained and judged on; features went through the transform already.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// Features.
    pub features: &'a dyn FeatureTable,
    /// Their classes.
    pub labels: &'a Labels,
    /// Which rows serve what.
    pub partition: &'a Partition,
}
