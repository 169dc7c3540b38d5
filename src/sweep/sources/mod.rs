//! The caches that a sweep runs on, and how their rows serve.
//!
//! | file | what for |
//! |---|---|
//! | `source.rs` | [`Source`](source::Source): a cache's features, labels, partition and groups |
//! | `names.rs` | the shortest names that tell caches apart |
//! | `open.rs` | several caches opened together |
//! | `splits.rs` | the rows of each training: held-out parts, folds, few-shot subsets |

pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod source;
pub(crate) mod splits;
