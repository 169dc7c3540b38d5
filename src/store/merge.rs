//! Joining caches that parts of one extraction made, each on its own machine.

use std::path::{Path, PathBuf};

use super::lock::Wait;
use super::manifest::Manifest;
use super::reader::Cache;
use super::rows::Status;
use super::verify::check;
use super::writer::Writer;
use crate::{Error, Result};

/// What [`merge`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Merged {
    /// Shards that were copied.
    pub shards: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Shards that were there already.
    pub present: usize,
}

/// Copies the shards of `parts` into the cache `into`, which is made if it is not there. All must have the same key, and rows that were
/// numbered from the same listing.
///
/// # Errors
/// Another key, other rows, a damaged shard; another process writes `into`; the system's own.
pub fn merge(into: &Path, parts: &[PathBuf], wait: Wait) -> Result<Merged> {
    let parts: Vec<Cache> = parts.iter().map(Cache::open).collect::<Result<_>>()?;
    let Some(first) = parts.first() else {
        return Err(Error::setting("there is nothing to merge", "give the folders of the parts' caches"));
    };
    let about: &Manifest = first.manifest();
    let mut writer = Writer::open(into, &about.key, &about.dataset, wait)?;
    if writer.rows().is_empty() {
        let failed = about.failed.iter().map(|f| (f.row, f.reason.clone())).collect();
        writer.set_weights(&about.weights)?;
        writer.set_rows(first.rows().to_vec(), about.classes.clone(), about.next_row, failed)?;
    }
    let mut merged = Merged::default();
    for part in &parts {
        same_images(&writer, part)?;
        copy(&mut writer, part, &mut merged)?;
    }
    Ok(merged)
}

/// Whether both give the same numbers to the same images.
fn same_images(writer: &Writer, part: &Cache) -> Result<()> {
    let same = part.manifest().key == writer.manifest.key
        && part.rows().iter().map(|r| (r.row, r.digest)).eq(writer.rows.iter().map(|r| (r.row, r.digest)));
    if same {
        return Ok(());
    }
    let problem = format!("holds features of other images, or made in another way, than {}", writer.folder().display());
    Err(Error::cache(part.folder(), problem, "parts are made by the same command over the same data, but for `--part i/n` and `--cache`"))
}

fn copy(writer: &mut Writer, part: &Cache, merged: &mut Merged) -> Result<()> {
    let manifest = part.manifest();
    for info in &manifest.shards {
        let covered = |row: u64| writer.manifest.shards_of(&info.tap, info.view).any(|s| s.rows.contains(row));
        let there = info.rows.iter().filter(|row| covered(*row)).count();
        if there == info.rows.len() {
            merged.present += 1;
            continue;
        }
        let path = part.folder().join(&info.file);
        if there > 0 {
            let hint = "merge into an empty folder, or drop that part";
            return Err(Error::cache(&path, "has rows that are there already and rows that are not", hint));
        }
        check(part.folder(), manifest, info, true)?;
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        if !writer.objects.put_if_absent(&info.file, &bytes)? {
            return Err(Error::cache(writer.folder().join(&info.file), "is already there", "merge into an empty folder"));
        }
        writer.enter(manifest.tap(&info.tap)?.clone(), info.clone());
        merged.shards += 1;
        merged.bytes += info.bytes;
    }
    let failed = |row: u64| manifest.failed.iter().find(|f| f.row == row).map(|f| f.reason.clone());
    let news: Vec<(u64, String)> =
        part.rows().iter().filter(|r| r.status == Status::Failed).filter_map(|r| Some((r.row, failed(r.row)?))).collect();
    writer.add_failures(news);
    writer.save(true)
}
