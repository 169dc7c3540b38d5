//! What a head is fed: rows of features and labels, whichever store they come from.
//!
//! | file | what for |
//! |---|---|
//! | `augment` | rows that differ from epoch to epoch: views, brightness, mixup |
//! | `cached` | rows from the mapped shards of a cache |
//! | `groups` | rows that are never parted; hold-out, folds and few-shot subsets that respect them |
//! | `prefetch` | rows asked for before they are read |
//! | `table` | the trait of a feature table, matrices, labels, partitions |
//! | `transform` | unit length and standardisation |

pub(super) mod augment;
pub(super) mod cached;
pub(super) mod groups;
pub(super) mod prefetch;
pub(super) mod table;
pub(super) mod transform;
