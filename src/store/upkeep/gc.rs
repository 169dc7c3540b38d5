//! Making room: features of deleted rows, files that the manifest does not list.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use crate::Result;
use crate::data::Digest;
use crate::store::disk::lock::{LOCK, Wait};
use crate::store::disk::manifest::{Manifest, ShardInfo};
use crate::store::disk::rows::Status;
use crate::store::disk::shard;
use crate::store::reading::sound::{Damage, damaged, read_sound};
use crate::store::writing::writer::Writer;

/// What [`gc`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Collected {
    /// Deleted rows that are gone for good.
    pub rows: usize,
    /// Shards that were written anew without them.
    pub rewritten: usize,
    /// Shards of which nothing was left.
    pub removed: usize,
    /// Bytes that are free now, leftovers of killed writers included.
    pub bytes: u64,
    /// Shards that stay and are missing, or have another size or header than the manifest says: the
    /// next extraction makes them again.
    pub damaged: Vec<Damage>,
}

/// Drops deleted rows from `rows.csv` and from the shards, and deletes files that a killed writer
/// left. Numbers stay: other rows keep theirs, and those of dropped rows are not used again.
///
/// New shards are written under new names and old ones deleted last, so that a kill at any moment
/// leaves a whole cache.
///
/// # Errors
/// Another process writes the cache; rows that are not those of the manifest; a damaged shard,
/// which must be made again first; the system's own.
pub fn gc(folder: &Path, wait: Wait) -> Result<Collected> {
    let before = size(folder);
    let manifest = Manifest::read(folder)?;
    let mut writer = Writer::open(folder, &manifest.key, &manifest.dataset, wait)?;
    writer.believe_rows()?;
    let live: HashSet<u64> = writer.rows.iter().filter(|r| r.status != Status::Deleted).map(|r| r.row).collect();
    let mut collected = Collected { rows: writer.rows.len() - live.len(), ..Collected::default() };

    let (kept, stale): (Vec<ShardInfo>, Vec<ShardInfo>) =
        writer.manifest.shards.iter().cloned().partition(|s| s.rows.iter().all(|row| live.contains(&row)));
    writer.manifest.shards = kept;
    for info in &stale {
        match rewrite(&mut writer, info, &live)? {
            true => collected.rewritten += 1,
            false => collected.removed += 1,
        }
    }
    writer.rows.retain(|r| live.contains(&r.row));
    let used: BTreeSet<String> = writer.manifest.shards.iter().map(|s| s.tap.clone()).collect();
    writer.manifest.taps.retain(|tap, _| used.contains(tap));
    if collected != Collected::default() {
        writer.save(true)?;
    }
    stale.iter().try_for_each(|info| writer.objects.remove(&info.file))?;
    collected.damaged = damaged(folder, &writer.manifest, |_| true, |_| false)?;
    collected.bytes = before.saturating_sub(size(folder));
    Ok(collected)
}

/// Writes a shard's live rows under a new name. Returns whether there were any.
fn rewrite(writer: &mut Writer, info: &ShardInfo, live: &HashSet<u64>) -> Result<bool> {
    // A damaged shard must not become a new one with a digest that fits.
    let old = read_sound(&writer.folder, &writer.manifest, info)?;
    let tap = writer.manifest.tap(&info.tap)?.clone();
    let kept: Vec<usize> = (0..old.rows.len()).filter(|&i| live.contains(&old.rows[i])).collect();
    if kept.is_empty() {
        return Ok(false);
    }
    let rows: Vec<u64> = kept.iter().map(|&i| old.rows[i]).collect();
    let features: Vec<u8> = kept.iter().flat_map(|&i| old.row_bytes(i).iter().copied()).collect();
    let bytes = shard::encode(&old.head, &rows, &tap.shape, tap.dtype, &features)?;
    let stem = info.file.trim_end_matches(".safetensors");
    let (stem, generation) = match stem.rsplit_once('+') {
        Some((stem, n)) => (stem, n.parse::<u32>().unwrap_or(0) + 1),
        None => (stem, 1),
    };
    let file = format!("{stem}+{generation}.safetensors");
    // What a killed `gc` left under this name was removed when the cache was opened.
    writer.objects.put_if_absent(&file, &bytes)?;
    let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes).to_string());
    writer.enter(tap, ShardInfo { file, rows: rows.into_iter().collect(), bytes: size, sha256, ..info.clone() });
    Ok(true)
}

fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_name() != LOCK);
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(|m| m.is_file());
    files.map(|m| m.len()).sum()
}
