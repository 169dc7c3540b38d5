//! What is on disk, and how it gets there.
//!
//! | file | what for |
//! |---|---|
//! | `manifest` | `manifest.json`: what a cache holds |
//! | `rows`, `rowset` | `rows.csv`: one line an image; sets of row numbers |
//! | `shard`, `dtype` | one file of features; the types in which values are stored |
//! | `commit` | rows and manifest change together: the old state or the new one |
//! | `lock` | one writer a cache |
//! | `objects`, `memory` | where shards are kept: files, or memory |

pub(super) mod commit;
pub(super) mod dtype;
pub(super) mod lock;
pub(super) mod manifest;
pub(super) mod memory;
pub(super) mod objects;
pub(super) mod rows;
pub(super) mod rowset;
pub(super) mod shard;
