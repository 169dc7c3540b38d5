//! The directory of a sweep: which sweep it holds, and which directories cannot hold one.
//!
//! A directory holds the newest sweep. The files of another one, with other settings or other
//! caches, move into `earlier/1`, `earlier/2`, …, each of which is a sweep's directory like any
//! other; nothing is written over. The first line of `config.yaml` identifies the sweep. That file
//! is the last to move and the first to be written: a kill in between leaves one sweep or the
//! other.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::job::SweepJob;
use crate::files::replace;
use crate::store::{MANIFEST, is_cache};
use crate::sweep::results::earlier::{folders, move_aside};
use crate::sweep::results::log::read_trials;
use crate::sweep::results::names::{CONFIG_FILE, LOG_FILE};
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::sources::source::Source;
use crate::text::visible_path;
use crate::{Error, Result};

/// The beginning of the first line of `config.yaml`, before the digest of the sweep.
const MARK: &str = "# sweep ";

/// Refuses a path that cannot be a sweep's directory: a file, a folder that is or lies in a cache,
/// a folder with other files and no sweep.
pub(super) fn refuse_unusable(out: &Path) -> Result<()> {
    let hint = "name another folder for the sweep with option `out`";
    if let Some(file) = out.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir()) {
        return Err(Error::data(file, "is a file and cannot hold a sweep", hint));
    }
    if out.join(MANIFEST).is_file() {
        return Err(Error::data(out, "is the folder of a cache and cannot hold a sweep too", hint));
    }
    if let Some(cache) = cache_around(out) {
        return Err(Error::data(out, format!("lies in the folder of a cache, {}", visible_path(&cache)), hint));
    }
    if out.is_dir() && !is_empty(out)? && !is_sweep(out)? {
        return Err(Error::data(out, "is not empty and does not hold a sweep", hint));
    }
    Ok(())
}

/// The cache whose folder a path lies in.
fn cache_around(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|path| path.exists())?.canonicalize().ok()?;
    there.ancestors().find(|folder| is_cache(folder)).map(Path::to_path_buf)
}

/// Whether a folder holds nothing but a user's sweep file and notes, and what an interrupted run
/// leaves: a lock, unfinished files.
fn is_empty(folder: &Path) -> Result<bool> {
    let mut listed = fs::read_dir(folder).map_err(Error::io("list", folder))?.flatten();
    Ok(listed.all(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let is_note = path.extension().is_some_and(|ext| ["yaml", "yml", "md", "txt"].iter().any(|note| ext == *note));
        name.to_string_lossy().starts_with('.') || is_note && name != CONFIG_FILE && path.is_file()
    }))
}

/// Whether a folder holds a sweep, or earlier ones, or a part of one.
fn is_sweep(folder: &Path) -> Result<bool> {
    let config = folder.join(CONFIG_FILE);
    let is_config = |text: String| text.starts_with(MARK) || SweepConfig::parse(&text, &config).is_ok();
    Ok(folder.join(LOG_FILE).is_file() || fs::read_to_string(&config).is_ok_and(is_config) || !folders(folder)?.is_empty())
}

/// Digest of the sweep: of its settings but for the time that it is given, its caches and its
/// trainer.
fn identity(job: &SweepJob, trainer: &str) -> String {
    let config = SweepConfig { time_cap: None, ..job.config.clone() };
    let source = |s: &Source| json!([s.name, s.digest(), s.taps.iter().map(|tap| &tap.name).collect::<Vec<_>>()]);
    let text = json!([config.to_yaml(), job.sources.iter().map(source).collect::<Vec<_>>(), trainer]).to_string();
    Sha256::digest(text)[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// Makes the directory this sweep's own. Returns the folder into which another sweep's files moved.
///
/// `plans` tells whether this sweep has a trial of a digest. It decides for a directory that does
/// not identify its sweep.
pub(super) fn claim(job: &SweepJob, trainer: &str, plans: impl Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let id = identity(job, trainer);
    let file = job.out.join(CONFIG_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io("read", &file)(e)),
    };
    let is_this = match &text {
        Some(text) => match text.strip_prefix(MARK).map(|rest| rest.split_whitespace().next()) {
            Some(other) => other == Some(&id),
            // Written by an earlier version.
            None => *text == job.config.to_yaml() && read_trials(&job.out.join(LOG_FILE))?.finished.keys().all(|id| plans(id)),
        },
        None => false,
    };
    let aside = if is_this { None } else { move_aside(&job.out)? };
    let first = format!("{MARK}{id} goes on here where it is started again on the same caches\n");
    replace(&file, (first + &job.config.to_yaml()).as_bytes())?;
    Ok(aside)
}
