//! What a writer does first: takes up shards that a killed one finished and never listed.

use std::collections::{HashMap, HashSet};

use super::writer::{FEATURES, Writer, file_name};
use crate::data::Digest;
use crate::store::disk::manifest::{ShardInfo, Tap};
use crate::store::disk::rows::{Row, Status};
use crate::store::disk::shard::{Head, RECOMPUTE, Shard};
use crate::{Error, Result};

/// Enters whole groups of unlisted shards, deletes other unlisted files below `features/`. Returns
/// whether it entered any.
///
/// A shard's file appears under its name only after it was synced, so it is whole; its head says
/// what it is. Shards of several taps and views that were made in one pass count together or not at
/// all.
pub(in crate::store) fn take_up(writer: &mut Writer) -> Result<bool> {
    let listed: HashSet<&str> = writer.manifest.shards.iter().map(|s| s.file.as_str()).collect();
    let prefix = format!("{FEATURES}/");
    let unlisted: Vec<String> = writer.objects.list(&prefix)?.into_iter().filter(|f| !listed.contains(f.as_str())).collect();
    if !unlisted.is_empty() && writer.rows.is_empty() {
        let hint = "put back rows.csv, or delete this folder and extract the features again";
        return Err(Error::cache(&writer.folder, "has shards and no rows.csv, so it is not known whose features they are", hint));
    }
    let mut groups: HashMap<Vec<u64>, Vec<Found>> = HashMap::new();
    let mut damaged = 0;
    for file in unlisted {
        match Found::read(writer, &file) {
            Ok(found) if belongs(writer, &found) => groups.entry(found.rows.clone()).or_default().push(found),
            Ok(_) => writer.objects.remove(&file)?,
            Err(_) => {
                damaged += 1;
                writer.objects.remove(&file)?;
            }
        }
    }
    let mut entered = false;
    for group in groups.into_values() {
        let there: HashSet<(String, u32)> = group.iter().map(|f| (f.head.tap.clone(), f.head.view)).collect();
        for found in group {
            if !found.head.together.iter().all(|t| there.contains(t)) {
                writer.objects.remove(&found.info.file)?;
                continue;
            }
            entered = true;
            writer.enter(found.tap, found.info);
            writer.add_failures(found.head.failed);
        }
    }
    if damaged > 0 {
        let folder = writer.folder.display();
        writer.warnings.push(format!("{folder}: {damaged} shards that no manifest lists are damaged: what they held is made again"));
    }
    if entered {
        // Their failed rows were not written either.
        writer.save(true)?;
    }
    Ok(entered)
}

/// An unlisted shard, without its values: there may be more of them than memory holds.
struct Found {
    head: Head,
    rows: Vec<u64>,
    tap: Tap,
    info: ShardInfo,
}

impl Found {
    fn read(writer: &Writer, file: &str) -> Result<Found> {
        let path = writer.folder.join(file);
        let shard = Shard::read(&path)?;
        if !shard.is_sound() {
            return Err(Error::cache(path, "is damaged: its checksum does not fit", RECOMPUTE));
        }
        let info = ShardInfo {
            tap: shard.head.tap.clone(),
            view: shard.head.view,
            file: file.into(),
            rows: shard.rows.iter().copied().collect(),
            bytes: shard.bytes().len() as u64,
            sha256: Digest::of(shard.bytes()).to_string(),
        };
        Ok(Found { head: shard.head, rows: shard.rows, tap: Tap { shape: shard.shape, dtype: shard.dtype }, info })
    }
}

/// Whether an unlisted shard is of this cache, as we would have named it, and of rows that have no
/// features yet.
fn belongs(writer: &Writer, found: &Found) -> bool {
    let (manifest, head) = (&writer.manifest, &found.head);
    let covered = manifest.rows_of(&head.tap, head.view);
    // A row without a digest is known by its path alone, and its file may be another one by now.
    let is_known = |row: &Row| row.status != Status::Failed && row.digest.is_some();
    let known = |row: u64| writer.rows.binary_search_by_key(&row, |r| r.row).is_ok_and(|i| is_known(&writer.rows[i]));
    head.key == manifest.key_digest
        && found.tap.dtype == manifest.key.store
        && manifest.taps.get(&head.tap).is_none_or(|t| t.shape == found.tap.shape)
        && found.rows.first().is_some_and(|first| file_name(&head.tap, head.view, *first) == found.info.file)
        && found.rows.iter().all(|&row| known(row) && !covered.contains(row))
}
