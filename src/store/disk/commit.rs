//! Rows and manifest change together. The manifest names the digest of its rows, and the renaming
//! that puts it into place is the one moment at which a change happens: before it a reader sees the
//! old state, behind it the new one.
//!
//! | step | on disk | a reader takes |
//! |---|---|---|
//! | 1. the new rows are written beside the old | `rows.next.csv` | the old manifest and `rows.csv` |
//! | 2. **the manifest is renamed into place** | a manifest whose digest fits `rows.next.csv` | the new manifest and `rows.next.csv` |
//! | 3. the new rows take the place of the old | `rows.csv` alone | the new manifest and `rows.csv` |
//!
//! A writer that is killed between two steps leaves a whole state; the next writer brings it to its
//! end. Caches of earlier versions name no digest: their `rows.csv` counts where it fits the
//! manifest's classes.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::manifest::Manifest;
use super::rows::{self, RELIST, ROWS, Row};
use crate::data::Digest;
use crate::{Error, Result, files};

/// Rows that the manifest may name before they are `rows.csv`.
pub(in crate::store) const PENDING: &str = "rows.next.csv";

/// How often a reader looks again while a writer is at work.
const TRIES: usize = 100;
/// How often it looks at a state that does not change before it calls it damaged.
const STEADY: usize = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Writes a state: the manifest, and `changed` rows.
///
/// # Errors
/// The system's own: the state on disk is then the one before, or this one.
pub(in crate::store) fn write(folder: &Path, manifest: &mut Manifest, changed: Option<&[Row]>) -> Result<()> {
    let Some(rows) = changed else { return manifest.write(folder) };
    let text = rows::encode(rows, &manifest.classes)?;
    let digest = Some(Digest::of(&text).to_string());
    files::replace(&folder.join(PENDING), &text)?;
    let before = std::mem::replace(&mut manifest.rows_sha256, digest);
    if let Err(error) = manifest.write(folder) {
        manifest.rows_sha256 = before;
        return Err(error);
    }
    finish(folder)
}

/// Step 3.
fn finish(folder: &Path) -> Result<()> {
    let to = folder.join(ROWS);
    fs::rename(folder.join(PENDING), &to).map_err(Error::io("rename rows.next.csv to", &to))?;
    files::sync_folder(folder)
}

/// Reads a state: manifest and rows that belong together, whatever a writer does meanwhile.
///
/// # Errors
/// No cache there, a damaged manifest, or rows that do not belong to it.
pub(in crate::store) fn read(folder: &Path) -> Result<(Manifest, Vec<Row>)> {
    let mut manifest = Manifest::read(folder)?;
    let mut steady = 0;
    for tried in 1.. {
        let error = match rows_of(folder, &manifest) {
            Ok(rows) => return Ok((manifest, rows)),
            Err(error) => error,
        };
        if steady == STEADY || tried == TRIES {
            return Err(error);
        }
        sleep(PAUSE);
        let now = Manifest::read(folder)?;
        steady = if now == manifest { steady + 1 } else { 0 };
        manifest = now;
    }
    unreachable!("the loop ends by itself")
}

fn rows_of(folder: &Path, manifest: &Manifest) -> Result<Vec<Row>> {
    let path = folder.join(ROWS);
    let current = text(folder, ROWS)?;
    let is_missing = current.is_none();
    let fitting = match current.filter(|current| manifest.rows_sha256.is_none() || fits(manifest, current)) {
        Some(current) => Some(current),
        None => text(folder, PENDING)?.filter(|pending| fits(manifest, pending)),
    };
    match fitting {
        Some(text) => rows::decode(&path, &text, &manifest.classes),
        None if is_missing => Err(missing(&path)),
        None => Err(Error::cache(&path, "is not the one that manifest.json was written with", RELIST)),
    }
}

/// What a writer finds.
pub(in crate::store) struct Found {
    pub rows: Vec<Row>,
    /// Why the rows are perhaps not those of the manifest.
    pub doubt: Option<String>,
}

/// Brings what a killed writer left to its end, or discards it.
///
/// # Errors
/// `rows.csv` is missing; the system's own.
pub(in crate::store) fn finish_interrupted(folder: &Path, manifest: &Manifest) -> Result<Found> {
    let path = folder.join(ROWS);
    let (mut current, pending) = (text(folder, ROWS)?, text(folder, PENDING)?);
    match pending {
        Some(pending) if fits(manifest, &pending) && !current.as_ref().is_some_and(|text| fits(manifest, text)) => {
            finish(folder)?;
            current = Some(pending);
        }
        Some(_) => files::remove_if_there(&folder.join(PENDING))?,
        None => {}
    }
    let text = current.ok_or_else(|| missing(&path))?;
    let is_another = manifest.rows_sha256.is_some() && !fits(manifest, &text);
    let doubt = match rows::decode(&path, &text, &manifest.classes) {
        Ok(rows) if !is_another => return Ok(Found { rows, doubt: None }),
        Ok(_) => "is not the one that manifest.json was written with".to_string(),
        Err(Error::Cache { problem, .. }) => problem,
        Err(other) => return Err(other),
    };
    let (rows, lost) = rows::salvage(&text, &manifest.classes);
    let lost = if lost == 0 { String::new() } else { format!("; {lost} of its lines are lost") };
    Ok(Found { rows, doubt: Some(format!("{} {doubt}{lost}", path.display())) })
}

/// What is left where the manifest is lost, or where there never was one: rows and, put into the
/// new manifest, the names of their classes.
///
/// # Errors
/// A `rows.csv` of which nothing can be read; the system's own.
pub(in crate::store) fn without_manifest(folder: &Path, manifest: &mut Manifest) -> Result<Found> {
    files::remove_if_there(&folder.join(PENDING))?;
    let Some(text) = text(folder, ROWS)? else { return Ok(Found { rows: vec![], doubt: None }) };
    manifest.classes = rows::all_names(&text);
    let (rows, lost) = rows::salvage(&text, &manifest.classes);
    if rows.is_empty() && lost > 0 {
        let hint = "put back a copy of manifest.json or rows.csv, or delete this folder and extract the features again";
        return Err(Error::cache(folder.join(ROWS), "cannot be read, and there is no manifest.json", hint));
    }
    manifest.next_row = rows.last().map_or(0, |r| r.row + 1);
    let doubt = (lost > 0).then(|| format!("{}: {lost} lines are lost", folder.join(ROWS).display()));
    Ok(Found { rows, doubt })
}

fn fits(manifest: &Manifest, text: &[u8]) -> bool {
    manifest.rows_sha256.as_ref().is_some_and(|digest| *digest == Digest::of(text).to_string())
}

fn text(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

fn missing(path: &Path) -> Error {
    let hint = "put back a copy; without one it is not known whose features these are: delete this folder and extract the features again";
    Error::cache(path, "is missing", hint)
}
