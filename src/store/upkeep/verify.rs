//! Is a cache whole? Every shard is read and compared with its digest.

use std::path::Path;

use crate::Result;
use crate::store::reading::cache::Cache;
use crate::store::reading::sound::{Damage, damaged, suspect};

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Verified {
    /// Shards that were read.
    pub shards: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// Those that are damaged: `headstart features` makes them again.
    pub damaged: Vec<Damage>,
}

/// Reads every shard and compares its digest with the manifest's.
///
/// A damaged shard's modification time is set to now, so that the next `headstart features` looks
/// at it and makes it again.
///
/// # Errors
/// No cache there, a damaged manifest or `rows.csv`, a folder that the system refuses to read.
pub fn verify(folder: &Path) -> Result<Verified> {
    let cache = Cache::open(folder)?;
    let manifest = cache.manifest();
    let damaged = damaged(folder, manifest, |_| true, |_| true)?;
    damaged.iter().for_each(|damage| suspect(&folder.join(&damage.file)));
    Ok(Verified { shards: manifest.shards.len(), bytes: manifest.shards.iter().map(|s| s.bytes).sum(), damaged })
}
