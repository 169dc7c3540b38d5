//! Features, labels and partition together.

use super::labels::Labels;
use super::partition::Partition;
use super::table::FeatureTable;

/// The data that heads are trained and judged on. Features are transformed already.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// Features.
    pub features: &'a dyn FeatureTable,
    /// Their classes.
    pub labels: &'a Labels,
    /// The purpose of each row.
    pub partition: &'a Partition,
}
