//! Joining caches that parts of one extraction made, each on its own machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::compare::{other_images, other_labels};
use super::decide::decide_deferred;
use crate::data::{Assigned, SplitRule};
use crate::store::disk::commit::PENDING;
use crate::store::disk::lock::Wait;
use crate::store::disk::manifest::{Deferred, Failure, MANIFEST, Manifest, ShardInfo};
use crate::store::disk::rows::{ROWS, Row, Status};
use crate::store::disk::rowset::RowSet;
use crate::store::disk::shard::RECOMPUTE;
use crate::store::reading::cache::Cache;
use crate::store::reading::sound::read_sound;
use crate::store::writing::writer::{FEATURES, Writer};
use crate::{Error, Result};

/// How parts are made.
const SAME_COMMAND: &str = "parts differ in option `part` and option `cache` alone";

/// What [`merge`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Merged {
    /// Shards that were copied.
    pub shards: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Shards that were there already.
    pub present: usize,
    /// Images that count.
    pub images: usize,
    /// Taps and views of which some of these have no features yet.
    pub missing: Vec<Missing>,
    /// Rows whose path, split or labels are others in one of the parts: those of the cache that
    /// they are merged into count, or those of the first part.
    pub relabelled: usize,
    /// What the splitting did that the parts had left open, where it could be done now.
    pub split: Option<(SplitRule, Assigned)>,
    /// Copies that were taken out of train, as the parts had asked for.
    pub deduped: usize,
    /// Whether train has copies of images that stand in another split or class, too.
    pub copies_stay: bool,
    /// Images whose split is still open, since those of some are not read yet.
    pub open: usize,
    /// What the user should know: images that stand in several splits or classes among it.
    pub warnings: Vec<String>,
}

/// What is missing of a tap and view.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// The tap; empty where there is none at all.
    pub tap: String,
    /// The view.
    pub view: u32,
    /// Images without features.
    pub images: usize,
    /// Path of the first of them.
    pub first: String,
}

/// Copies the shards of `parts` into the cache `into`, which is made if it is not there. All must
/// have the same key, and rows that were numbered from the same listing: nothing is written before
/// that is known.
///
/// # Errors
/// Another key, other rows, a damaged shard; a folder of other files; another process writes `into`; the system's own.
pub fn merge(into: &Path, parts: &[PathBuf], wait: Wait) -> Result<Merged> {
    let parts: Vec<Cache> = parts.iter().map(Cache::open).collect::<Result<_>>()?;
    let Some(first) = parts.first() else {
        return Err(Error::setting("there is nothing to merge", "give the folders of the parts' caches"));
    };
    parts[1..].iter().try_for_each(|part| same_extraction(part, first.folder(), first.manifest(), first.rows()))?;
    can_take(into)?;
    let about = first.manifest();
    let there = Manifest::read(into).ok();
    let deferred = deferred(there.as_ref(), into, &parts)?;
    match &there {
        Some(there) => same_key(first, into, there)?,
        None => drop(copies(&Manifest::new(about.key.clone(), ""), &parts, &mut Merged::default())?),
    }
    let mut writer = Writer::open(into, &about.key, &about.dataset, wait)?;
    if !writer.rows().is_empty() {
        parts.iter().try_for_each(|part| same_extraction(part, into, &writer.manifest, &writer.rows))?;
    }
    let mut merged = Merged::default();
    let copies = copies(&writer.manifest, &parts, &mut merged)?;

    join_rows(&mut writer, &parts, deferred, &mut merged)?;
    merged.relabelled = parts.iter().map(|part| other_labels(part, &writer.rows, &writer.manifest.classes)).max().unwrap_or(0);
    for (part, infos) in parts.iter().zip(copies) {
        copy(&mut writer, part, &infos, &mut merged)?;
    }
    merged.images = writer.rows.iter().filter(|r| r.status == Status::Ok).count();
    merged.open = writer.rows.iter().filter(|r| r.status == Status::Ok && r.split.is_none()).count();
    merged.missing = missing(&writer);
    Ok(merged)
}

/// Refuses a folder that holds something else than a cache or the beginnings of one.
fn can_take(into: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(into) else { return Ok(()) };
    // Locks and files in the making are hidden.
    let holds_files = entries.flatten().any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    if holds_files && ![MANIFEST, ROWS, PENDING, FEATURES].iter().any(|name| into.join(name).try_exists().unwrap_or(true)) {
        let hint = "merge into a new folder, an empty one or one that is a cache";
        return Err(Error::cache(into, "holds files and is not a cache", hint));
    }
    Ok(())
}

/// Whether a part was made by the same command over the same images.
fn same_extraction(part: &Cache, place: &Path, manifest: &Manifest, rows: &[Row]) -> Result<()> {
    same_key(part, place, manifest)?;
    match other_images(part.rows(), rows) {
        None => Ok(()),
        Some(others) => {
            let problem = format!("holds features of other images than {}: {others}", place.display());
            Err(Error::cache(
                part.folder(),
                problem,
                "parts are made over the same data: bring it to the same state everywhere and extract the features again",
            ))
        }
    }
}

fn same_key(part: &Cache, place: &Path, manifest: &Manifest) -> Result<()> {
    match part.manifest().key.difference(&manifest.key) {
        None => Ok(()),
        Some(differs) => {
            let problem = format!("was made in another way than {}: {differs}", place.display());
            Err(Error::cache(part.folder(), problem, SAME_COMMAND))
        }
    }
}

/// What is to be copied of each part: a shard that several parts have is taken from the first. One
/// that is cut short or missing is found now, before anything is written.
fn copies(there: &Manifest, parts: &[Cache], merged: &mut Merged) -> Result<Vec<Vec<ShardInfo>>> {
    let mut covered: BTreeMap<(String, u32), RowSet> = BTreeMap::new();
    let mut all = vec![];
    for part in parts {
        let mut of_part = vec![];
        for info in &part.manifest().shards {
            let path = part.folder().join(&info.file);
            has_size(&path, info)?;
            let tap = part.manifest().tap(&info.tap)?;
            if there.taps.get(&info.tap).is_some_and(|before| before != tap) {
                return Err(Error::cache(&path, format!("has another shape than tap `{}` there", info.tap), "merge into an empty folder"));
            }
            let rows = covered.entry((info.tap.clone(), info.view)).or_insert_with(|| there.rows_of(&info.tap, info.view));
            if is_covered(&path, info, rows)? {
                merged.present += 1;
                continue;
            }
            *rows = RowSet::union([&*rows, &info.rows].into_iter()).unwrap_or_default();
            of_part.push(info.clone());
        }
        all.push(of_part);
    }
    Ok(all)
}

fn has_size(path: &Path, info: &ShardInfo) -> Result<()> {
    match fs::metadata(path).map(|m| m.len()) {
        Ok(size) if size == info.bytes => Ok(()),
        Ok(size) => Err(Error::cache(path, format!("is damaged: it has {size} bytes instead of {}", info.bytes), RECOMPUTE)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::cache(path, "is missing", RECOMPUTE)),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// Whether a shard's rows are there: all or none.
fn is_covered(path: &Path, info: &ShardInfo, there: &RowSet) -> Result<bool> {
    let covered = info.rows.iter().filter(|row| there.contains(*row)).count();
    if 0 < covered && covered < info.rows.len() {
        let hint = "merge into an empty folder, or drop that part";
        return Err(Error::cache(path, "has rows that are there already and rows that are not", hint));
    }
    Ok(covered > 0)
}

/// What the parts leave open, which is the same in all that leave anything.
fn deferred(there: Option<&Manifest>, into: &Path, parts: &[Cache]) -> Result<Deferred> {
    let all =
        there.map(|there| (into, there.deferred)).into_iter().chain(parts.iter().map(|part| (part.folder(), part.manifest().deferred)));
    let mut open = all.filter(|(_, deferred)| !deferred.is_nothing());
    let Some((place, first)) = open.next() else { return Ok(Deferred::default()) };
    match open.find(|(_, other)| *other != first) {
        None => Ok(first),
        Some((other, deferred)) => {
            let words = |d: Deferred| {
                let split = d.split.map_or("the data's own splits".into(), |rule| format!("option `split={rule}`"));
                format!("{split}{}", if d.dedupe { " and option `dedupe`" } else { "" })
            };
            let problem = format!("was made with {} and {} with {}", words(deferred), place.display(), words(first));
            Err(Error::cache(other, problem, SAME_COMMAND))
        }
    }
}

/// Rows and classes are those of the cache, unless it has none or a stopped merge left them behind;
/// images that one machine could not read have the digest that another one saw, and splits that are
/// open those that another part knows. What waits for the digests of all images is settled where
/// they are known.
fn join_rows(writer: &mut Writer, parts: &[Cache], deferred: Deferred, merged: &mut Merged) -> Result<()> {
    let first = &parts[0];
    let lags = writer.rows.is_empty() || writer.believe_rows().is_err() || writer.manifest.classes.is_empty();
    let base = if lags { first.manifest() } else { &writer.manifest };
    let mut rows = if lags { first.rows().to_vec() } else { writer.rows.clone() };
    let (classes, failed) = (base.classes.clone(), base.failed.clone());
    let next_row = parts.iter().map(|p| p.manifest().next_row).fold(writer.manifest.next_row, u64::max);
    for other in parts.iter().flat_map(|part| part.rows().iter().zip(0..)).filter(|(other, _)| other.digest.is_some()) {
        let (other, i): (&Row, usize) = other;
        if rows[i].digest.is_none() {
            (rows[i].digest, rows[i].status) = (other.digest, other.status);
        }
    }
    for part in parts {
        part.rows().iter().zip(&mut rows).for_each(|(other, row)| row.split = row.split.or(other.split));
    }
    let decided = decide_deferred(&mut rows, &classes, deferred, writer.folder())?;
    if writer.manifest.weights.is_empty() {
        writer.set_weights(&first.manifest().weights)?;
    }
    let is_failed = |failure: &Failure| rows.iter().any(|r| r.row == failure.row && r.status == Status::Failed);
    let failed = failed.into_iter().filter(is_failed).collect();
    let Some(decided) = decided else {
        writer.defer(deferred)?;
        return writer.set_rows(rows, classes, next_row, failed);
    };
    (merged.split, merged.deduped) = (decided.split, decided.deduped);
    (merged.copies_stay, merged.warnings) = (decided.copies_stay, decided.warnings);
    writer.set_rows(rows, classes, next_row, failed)?;
    writer.defer(Deferred::default())
}

fn copy(writer: &mut Writer, part: &Cache, infos: &[ShardInfo], merged: &mut Merged) -> Result<()> {
    let manifest = part.manifest();
    for info in infos {
        let shard = read_sound(part.folder(), manifest, info)?;
        if !writer.objects.put_if_absent(&info.file, shard.bytes())? {
            return Err(Error::cache(writer.folder().join(&info.file), "is already there", "merge into an empty folder"));
        }
        writer.enter(manifest.tap(&info.tap)?.clone(), info.clone());
        merged.shards += 1;
        merged.bytes += info.bytes;
    }
    // Of an image that one part could not read and another one could, the other one is right.
    let is_news = |failure: &&Failure| {
        let row = |rows: &[Row]| rows.binary_search_by_key(&failure.row, |r| r.row).ok().map(|i| rows[i].digest);
        row(part.rows()) == row(&writer.rows)
    };
    let news: Vec<Failure> = manifest.failed.iter().filter(is_news).cloned().collect();
    writer.fail(news);
    writer.save(true)
}

/// Taps and views that are not there for every image.
fn missing(writer: &Writer) -> Vec<Missing> {
    let manifest = &writer.manifest;
    let each = manifest.taps.keys().flat_map(|tap| manifest.views(tap).into_iter().map(move |view| (tap, view)));
    let lacks = |(tap, view): (&String, u32)| {
        let rows = manifest.missing(&writer.rows, tap, view);
        let first = writer.rows.iter().find(|r| Some(&r.row) == rows.first())?;
        Some(Missing { tap: tap.clone(), view, images: rows.len(), first: first.path.clone() })
    };
    if manifest.taps.is_empty() {
        let rows: Vec<&Row> = writer.rows.iter().filter(|r| r.status == Status::Ok).collect();
        let nothing = |first: &&Row| Missing { tap: String::new(), view: 0, images: rows.len(), first: first.path.clone() };
        return rows.first().map(nothing).into_iter().collect();
    }
    each.filter_map(lacks).collect()
}
