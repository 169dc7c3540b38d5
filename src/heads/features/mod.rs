//! The input of heads: rows of features and labels, from any store.
//!
//! | file | what for |
//! |---|---|
//! | `table` | the trait of a feature table |
//! | `matrix` | features in memory |
//! | `combined` | tables side by side, maps pooled |
//! | `cached` | rows from the mapped shards of a cache |
//! | `transform` | unit length and standardisation |
//! | `augment` | rows that differ from epoch to epoch: views, brightness, mixup |
//! | `labels` | the classes of each row |
//! | `partition` | rows for training, choosing and the final judgement |
//! | `groups` | rows that are never parted; hold-out, folds and few-shot subsets that respect them |
//! | `task` | features, labels and partition together |
//! | `order` | the order of rows in an epoch |
//! | `prefetch` | rows asked for before they are read |

pub(super) mod augment;
pub(super) mod cached;
pub(super) mod combined;
pub(super) mod groups;
pub(super) mod labels;
pub(super) mod matrix;
pub(super) mod order;
pub(super) mod partition;
pub(super) mod prefetch;
pub(super) mod table;
pub(super) mod task;
pub(super) mod transform;
