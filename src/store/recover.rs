//! What a writer does first: takes up shards that a killed one finished and never listed.

use std::collections::{HashMap, HashSet};

use super::manifest::{ShardInfo, Tap};
use super::rows::Status;
use super::shard::Shard;
use super::writer::{FEATURES, Writer, file_name};
use crate::data::Digest;
use crate::{Error, Result};

/// Enters whole groups of unlisted shards, deletes other unlisted files below `features/`. Returns whether it entered any.
///
/// A shard's file appears under its name only after it was synced, so it is whole; its head says what it is. Shards of several taps and
/// views that were made in one pass count together or not at all.
pub(super) fn take_up(writer: &mut Writer) -> Result<bool> {
    let listed: HashSet<&str> = writer.manifest.shards.iter().map(|s| s.file.as_str()).collect();
    let prefix = format!("{FEATURES}/");
    let unlisted: Vec<String> = writer.objects.list(&prefix)?.into_iter().filter(|f| !listed.contains(f.as_str())).collect();
    if !unlisted.is_empty() && writer.rows.is_empty() {
        let hint = "put back rows.csv, or delete this folder and run `headstart features` again";
        return Err(Error::cache(&writer.folder, "has shards and no rows.csv, so nobody knows whose features they are", hint));
    }
    let mut groups: HashMap<Vec<u64>, Vec<(String, Shard)>> = HashMap::new();
    for file in unlisted {
        match Shard::open(&writer.folder.join(&file)) {
            Ok(shard) if belongs(writer, &file, &shard) => groups.entry(shard.rows.clone()).or_default().push((file, shard)),
            _ => writer.objects.remove(&file)?,
        }
    }
    let mut entered = false;
    for (file, shard, whole) in groups.into_values().flat_map(with_completeness) {
        if !whole {
            writer.objects.remove(&file)?;
            continue;
        }
        entered = true;
        let info = ShardInfo {
            tap: shard.head.tap.clone(),
            view: shard.head.view,
            file,
            rows: shard.rows.iter().copied().collect(),
            bytes: shard.bytes().len() as u64,
            sha256: Digest::of(shard.bytes()).to_string(),
        };
        writer.enter(Tap { shape: shard.shape.clone(), dtype: shard.dtype }, info);
        writer.add_failures(shard.head.failed);
    }
    if entered {
        // Their failed rows were not written either.
        writer.save(true)?;
    }
    Ok(entered)
}

/// Whether an unlisted shard is of this cache, as we would have named it, and of rows that have no features yet.
fn belongs(writer: &Writer, file: &str, shard: &Shard) -> bool {
    let (manifest, head) = (&writer.manifest, &shard.head);
    let covered = |row: &u64| manifest.shards_of(&head.tap, head.view).any(|s| s.rows.contains(*row));
    let known = |row: &u64| writer.rows.binary_search_by_key(row, |r| r.row).is_ok_and(|i| writer.rows[i].status != Status::Failed);
    head.key == manifest.key_digest
        && shard.dtype == manifest.key.store
        && manifest.taps.get(&head.tap).is_none_or(|t| t.shape == shard.shape)
        && shard.rows.first().is_some_and(|first| file_name(&head.tap, head.view, *first) == file)
        && shard.rows.iter().all(|row| known(row) && !covered(row))
}

/// Unlisted shards of the same rows, each with whether all that were made with it are there.
fn with_completeness(shards: Vec<(String, Shard)>) -> Vec<(String, Shard, bool)> {
    let there: HashSet<(String, u32)> = shards.iter().map(|(_, s)| (s.head.tap.clone(), s.head.view)).collect();
    let whole = |s: &Shard| s.head.together.iter().all(|t| there.contains(t));
    shards
        .into_iter()
        .map(|(file, s)| {
            let w = whole(&s);
            (file, s, w)
        })
        .collect()
}
