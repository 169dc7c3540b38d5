//! Whether shards are as they were written: held against their entries in the manifest, and against
//! their digests.
//!
//! Files are read here, not mapped: a bad sector is then an error with the file's name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::data::Digest;
use crate::store::disk::manifest::{MANIFEST, Manifest, ShardInfo, Tap};
use crate::store::disk::shard::{RECOMPUTE, Shard};
use crate::{Error, Result};

/// A shard that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Path below the cache's folder.
    pub file: String,
    /// What is wrong.
    pub problem: String,
}

/// Makes the next `headstart features` look at a shard: it reads those that changed after the
/// manifest. A cache that cannot be written is read all the same.
pub(in crate::store) fn suspect(shard: &Path) {
    let _ = File::options().append(true).open(shard).and_then(|f| f.set_modified(SystemTime::now()));
}

/// Damaged shards among the wanted. A shard that was modified before the manifest, which is written
/// last, is not read whole.
pub(in crate::store) fn changed(folder: &Path, manifest: &Manifest, wanted: impl Fn(&ShardInfo) -> bool) -> Result<Vec<Damage>> {
    let modified = |file: &str| fs::metadata(folder.join(file)).and_then(|m| m.modified());
    let written = modified(MANIFEST).unwrap_or(SystemTime::UNIX_EPOCH);
    damaged(folder, manifest, wanted, |shard| !modified(&shard.file).is_ok_and(|m| m < written))
}

pub(in crate::store) fn damaged(
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
pub(in crate::store) fn compare(folder: &Path, info: &ShardInfo) -> Result<()> {
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

/// Reads a shard into memory that is to be copied or written anew: damage must not get a digest
/// that fits.
pub(in crate::store) fn read_sound(folder: &Path, manifest: &Manifest, info: &ShardInfo) -> Result<Shard<Vec<u8>>> {
    let path = folder.join(&info.file);
    let shard = Shard::read(&path)?;
    if Digest::of(shard.bytes()).to_string() != info.sha256 {
        return Err(Error::cache(&path, OTHER_DIGEST, RECOMPUTE));
    }
    fits_entry(&path, shard, info, manifest.tap(&info.tap)?)
}

/// Maps a shard and holds it against its entry: size, tap, view, type, shape and rows (not the
/// digest, which would read it all).
pub(in crate::store) fn open_shard(folder: &Path, info: &ShardInfo, tap: &Tap) -> Result<Shard> {
    let path = folder.join(&info.file);
    fits_entry(&path, Shard::open(&path)?, info, tap)
}

/// The shard in the file at `path`, if it is the one that its entry describes.
pub(in crate::store) fn fits_entry<B: Deref<Target = [u8]>>(path: &Path, shard: Shard<B>, info: &ShardInfo, tap: &Tap) -> Result<Shard<B>> {
    let damaged = |problem: String| Err(Error::cache(path, problem, RECOMPUTE));
    let size = shard.bytes().len() as u64;
    if size != info.bytes {
        return damaged(format!("is damaged: it has {size} bytes instead of {}", info.bytes));
    }
    let is_that = shard.head.tap == info.tap && shard.head.view == info.view && shard.shape == tap.shape && shard.dtype == tap.dtype;
    if !is_that || !shard.rows.iter().copied().eq(info.rows.iter()) {
        return damaged("is not the shard that the manifest describes".into());
    }
    Ok(shard)
}
