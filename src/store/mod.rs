//! The cache on disk: features of every image, keyed by everything that decides them. See `docs/cache-format.md`.
//!
//! ```text
//! cache/<dataset>/<backbone>@<key12>/
//!   manifest.json    the key, classes, taps, shards with their digests, failed images, the digest of rows.csv
//!   rows.csv         one line an image: path, class, split, digest, status
//!   features/<tap>/v<view>-<first row>.safetensors
//! ```

mod checked;
mod commit;
mod compare;
mod dtype;
mod export;
mod find;
mod gc;
mod inspect;
mod key;
mod lock;
mod manifest;
mod memory;
mod merge;
mod objects;
mod origin;
mod reader;
mod reconcile;
mod recover;
mod rows;
mod rowset;
mod shard;
mod verify;
mod writer;

pub use dtype::Dtype;
pub(crate) use dtype::Unstorable;
#[cfg(feature = "parquet")]
pub use export::export_parquet;
pub use export::{Exported, Selection, export_npz};
pub use find::find_cache;
pub use gc::{Collected, gc};
pub use inspect::{ClassCounts, RowCounts, Summary, TapSummary, inspect};
pub use key::Key;
pub(crate) use key::folder_name;
pub(crate) use lock::Lock;
pub use lock::Wait;
pub(crate) use manifest::FORMAT;
pub(crate) use manifest::MANIFEST;
pub use manifest::{Deferred, Failure, Manifest, ShardInfo, Tap};
pub(crate) use memory::Memory;
pub use merge::{Merged, Missing, merge};
pub(crate) use objects::{LocalFiles, Objects};
pub(crate) use origin::{Origin, check_origin, earlier_caches, known_rows, remember_origin};
pub(crate) use reader::Table;
pub use reader::{Cache, FeatureMatrix};
pub use reconcile::Changes;
pub(crate) use reconcile::{Known, Reconciled, reconcile};
pub use rows::{Row, Status};
pub(crate) use rowset::RowSet;
pub use verify::{Damage, Verified, verify};
#[doc(hidden)]
pub use writer::Writer;
pub(crate) use writer::{Group, NewShard};

#[cfg(test)]
pub(crate) use key::tests::example as example_key;
#[cfg(test)]
mod tests;
