//! Is a cache whole? `verify` reads every digest; a writer that starts looks only where something changed.
//!
//! Files are read here, not mapped: a bad sector is then an error with the file's name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::manifest::{MANIFEST, Manifest, ShardInfo};
use super::reader::{Cache, fits_entry, open_shard};
use super::shard::{RECOMPUTE, Shard};
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
/// No cache there, a damaged manifest or `rows.csv`, a folder that the system refuses to read.
pub fn verify(folder: &Path) -> Result<Verified> {
    let cache = Cache::open(folder)?;
    let manifest = cache.manifest();
    let damaged = damaged(folder, manifest, |_| true, |_| true)?;
    damaged.iter().for_each(|damage| suspect(&folder.join(&damage.file)));
    Ok(Verified { shards: manifest.shards.len(), bytes: manifest.shards.iter().map(|s| s.bytes).sum(), damaged })
}

/// Makes the next `headstart features` look at a shard: it reads those that changed after the manifest. A cache that cannot be written is read all the
/// same.
pub(super) fn suspect(shard: &Path) {
    let _ = File::options().append(true).open(shard).and_then(|f| f.set_modified(SystemTime::now()));
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
        // A sector that the disk cannot read is damage of this one file.
        Err(Error::Io { action: "read", source, .. }) => {
            Ok(Some(Damage { file: info.file.clone(), problem: format!("cannot be read: {source}") }))
        }
        Err(other) => Err(other),
    };
    let found = shards.par_iter().map(look).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Holds a shard against its entry; with `whole`, its digest first.
fn check(folder: &Path, manifest: &Manifest, info: &ShardInfo, whole: bool) -> Result<()> {
    if whole {
        compare(folder, info)?;
    }
    open_shard(folder, info, manifest.tap(&info.tap)?).map(drop)
}

/// Reads a shard, piece by piece, and compares its size and digest with its entry.
pub(super) fn compare(folder: &Path, info: &ShardInfo) -> Result<()> {
    let path = folder.join(&info.file);
    let damaged = |problem: String| Error::cache(&path, problem, RECOMPUTE);
    let file = File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => damaged("is missing".into()),
        _ => Error::io("open", &path)(e),
    })?;
    let size = file.metadata().map_err(Error::io("read", &path))?.len();
    if size != info.bytes {
        return Err(damaged(format!("is damaged: it has {size} bytes instead of {}", info.bytes)));
    }
    match digest(file).map_err(Error::io("read", &path))?.to_string() == info.sha256 {
        true => Ok(()),
        false => Err(damaged(OTHER_DIGEST.into())),
    }
}

const OTHER_DIGEST: &str = "is damaged: its digest is not the one in the manifest";

fn digest(mut file: File) -> io::Result<Digest> {
    // Larger than any read-ahead of the system's, which reads what is asked for at once.
    let mut piece = vec![0; 1 << 20];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest(hash.finalize().into())),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Reads a shard into memory that is to be copied or written anew: damage must not get a digest that fits.
pub(super) fn read_sound(folder: &Path, manifest: &Manifest, info: &ShardInfo) -> Result<Shard<Vec<u8>>> {
    let path = folder.join(&info.file);
    let shard = Shard::read(&path)?;
    if Digest::of(shard.bytes()).to_string() != info.sha256 {
        return Err(Error::cache(&path, OTHER_DIGEST, RECOMPUTE));
    }
    fits_entry(&path, shard, info, manifest.tap(&info.tap)?)
}
