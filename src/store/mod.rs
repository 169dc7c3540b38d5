//! The cache on disk: features of every image, keyed by everything that decides them. See
//! `docs/cache-format.md`.
//!
//! ```text
//! cache/<dataset>/<backbone>@<key12>/
//!   manifest.json    the key, classes, taps, shards with their digests, failed images, the digest of rows.csv
//!   rows.csv         one line an image: path, class, split, digest, status
//!   features/<tap>/v<view>-<first row>.safetensors
//! ```
//!
//! | room | what for |
//! |---|---|
//! | `key`, `difference` | everything that decides a feature's value, and its digest; how two keys differ |
//! | `disk` | the files, and how they get there |
//! | `reading`, `writing` | an opened cache; the one writer of it |
//! | `upkeep` | what is done to whole caches: verify, gc, inspect, merge |
//! | `export` | features for other tools |

mod difference;
mod disk;
mod export;
mod key;
mod reading;
mod upkeep;
mod writing;

pub use disk::dtype::Dtype;
pub(crate) use disk::dtype::Unstorable;
pub(crate) use disk::lock::Lock;
pub use disk::lock::Wait;
#[cfg(test)]
pub(crate) use disk::manifest::FORMAT;
pub use disk::manifest::{Deferred, Failure, Manifest, ShardInfo, Tap};
pub(crate) use disk::manifest::{MANIFEST, is_cache};
pub(crate) use disk::memory::Memory;
pub(crate) use disk::objects::{LocalFiles, Objects};
pub use disk::rows::{Row, Status};
pub(crate) use disk::rowset::RowSet;
#[cfg(feature = "parquet")]
pub use export::export_parquet;
pub use export::{Exported, Selection, export_npz};
pub use key::CacheKey;
pub(crate) use key::folder_name;
pub use reading::cache::Cache;
pub use reading::find::find_cache;
pub use reading::matrix::FeatureMatrix;
pub use reading::sound::Damage;
pub use upkeep::gc::{Collected, gc};
pub use upkeep::inspect::{ClassCounts, RowCounts, Summary, TapSummary, inspect};
pub use upkeep::merge::{Merged, Missing, merge};
pub(crate) use upkeep::origin::{Origin, check_origin, earlier_caches, known_rows, origin_of, remember_origin};
pub use upkeep::verify::{Verified, verify};
pub use writing::reconcile::Changes;
pub(crate) use writing::reconcile::{Known, reconcile};
#[doc(hidden)]
pub use writing::writer::Writer;
pub(crate) use writing::writer::{Group, NewShard};

#[cfg(test)]
pub(crate) use key::tests::example as example_key;
#[cfg(test)]
mod tests;
