//! Is a cache whole? `verify` reads every digest; a writer that starts looks only where something changed.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;

use super::manifest::{MANIFEST, Manifest, ShardInfo};
use super::reader::{Cache, open_shard};
use super::shard::RECOMPUTE;
use crate::data::Digest;
use crate::{Error, Result};

/// A shard that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Path below the cache's folder.
    pub file: String,
    /// What is wrong.
    pub problem: String,
}

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
/// A damaged shard's modification time is set to now, so that the next `headstart features` looks at it and makes it again.
///
/// # Errors
/// No cache there, a damaged manifest or `rows.csv`, a file that the system refuses to read.
pub fn verify(folder: &Path) -> Result<Verified> {
    let cache = Cache::open(folder)?;
    let manifest = cache.manifest();
    let damaged = damaged(folder, manifest, |_| true, |_| true)?;
    for damage in &damaged {
        // A cache that cannot be written is verified all the same.
        let _ = File::options().append(true).open(folder.join(&damage.file)).and_then(|f| f.set_modified(SystemTime::now()));
    }
    Ok(Verified { shards: manifest.shards.len(), bytes: manifest.shards.iter().map(|s| s.bytes).sum(), damaged })
}

/// Damaged shards among the wanted. A shard that was modified before the manifest, which is written last, is not read whole.
pub(super) fn changed(folder: &Path, manifest: &Manifest, wanted: impl Fn(&ShardInfo) -> bool) -> Result<Vec<Damage>> {
    let modified = |file: &str| fs::metadata(folder.join(file)).and_then(|m| m.modified());
    let written = modified(MANIFEST).unwrap_or(SystemTime::UNIX_EPOCH);
    damaged(folder, manifest, wanted, |shard| !modified(&shard.file).is_ok_and(|m| m < written))
}

fn damaged(
    folder: &Path,
    manifest: &Manifest,
    wanted: impl Fn(&ShardInfo) -> bool,
    whole: impl Fn(&ShardInfo) -> bool + Sync,
) -> Result<Vec<Damage>> {
    let shards: Vec<&ShardInfo> = manifest.shards.iter().filter(|s| wanted(s)).collect();
    let look = |info: &&ShardInfo| match check(folder, manifest, info, whole(info)) {
        Ok(()) => Ok(None),
        Err(Error::Cache { problem, .. }) => Ok(Some(Damage { file: info.file.clone(), problem })),
        Err(other) => Err(other),
    };
    let found = shards.par_iter().map(look).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Holds a shard against its entry; with `whole`, its digest too.
pub(super) fn check(folder: &Path, manifest: &Manifest, info: &ShardInfo, whole: bool) -> Result<()> {
    let tap = manifest.tap(&info.tap)?;
    let shard = open_shard(folder, info, &tap.shape, tap.dtype)?;
    if whole && Digest::of(shard.bytes()).to_string() != info.sha256 {
        return Err(Error::cache(folder.join(&info.file), "is damaged: its digest is not the one in the manifest", RECOMPUTE));
    }
    Ok(())
}
