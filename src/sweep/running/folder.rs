//! The folder of a sweep: which sweep it holds, and the ones that were there before.
//!
//! A folder holds the newest sweep. One with other settings or other caches finds the files of the last one there: they move into `earlier/1`,
//! `earlier/2`, …, each of which is a sweep's folder like any other, and nothing is written over. Which sweep it is stands in the first line of
//! `config.yaml`, which is the last file to move and the first to be written: a kill in between leaves the one sweep or the other.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::run::SweepJob;
use crate::files::{create_folder, replace, sync_folder};
use crate::heads::BEST_FOLDER;
use crate::sweep::results::record::{LOG_FILE, read_trials};
use crate::sweep::settings::config::SweepConfig;
use crate::{Error, Result};

/// The sweep file as it ran.
pub(crate) const CONFIG_FILE: &str = "config.yaml";
/// The folder of the sweeps that were there before.
pub(crate) const EARLIER_FOLDER: &str = "earlier";
/// What stands before a sweep's digest in its first line.
const MARK: &str = "# sweep ";

/// What else a sweep leaves, and what a report of it.
const FILES: [&str; 10] = [
    LOG_FILE,
    "results.csv",
    "predictions.csv",
    "confusion.csv",
    "per_class.csv",
    crate::sweep::results::output::NOTES_FILE,
    BEST_FOLDER,
    "report.html",
    "run.json",
    "tensorboard",
];

/// Digest of all that makes a sweep this one: its settings but for the time it is given, and what it runs on and by.
fn identity(job: &SweepJob, numbers: &str) -> String {
    let config = SweepConfig { time_cap: None, ..job.config.clone() };
    let source = |s: &crate::sweep::Source| json!([s.name, s.digest(), s.taps.iter().map(|tap| &tap.name).collect::<Vec<_>>()]);
    let text = json!([config.to_yaml(), job.sources.iter().map(source).collect::<Vec<_>>(), numbers]).to_string();
    Sha256::digest(text)[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// Makes the folder this sweep's own: what another one left moves aside. Returns where to.
///
/// `plans` tells whether this sweep has a trial: of a folder that does not say which sweep it holds, the trials have to.
pub(crate) fn settle(job: &SweepJob, numbers: &str, plans: impl Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let id = identity(job, numbers);
    let file = job.out.join(CONFIG_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io("read", &file)(e)),
    };
    let is_this = match &text {
        Some(text) => match text.strip_prefix(MARK).map(|rest| rest.split_whitespace().next()) {
            Some(other) => other == Some(&id),
            // Written by an earlier headstart.
            None => *text == job.config.to_yaml() && read_trials(&job.out.join(LOG_FILE))?.finished.keys().all(|id| plans(id)),
        },
        None => false,
    };
    let aside = if is_this { None } else { move_aside(&job.out)? };
    let first = format!("{MARK}{id} goes on here where it is started again on the same caches\n");
    replace(&file, (first + &job.config.to_yaml()).as_bytes())?;
    Ok(aside)
}

/// Moves a sweep's files into a folder of their own.
fn move_aside(folder: &Path) -> Result<Option<PathBuf>> {
    let mut names: Vec<String> = FILES.iter().map(|name| (*name).to_owned()).collect();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name().to_string_lossy().into_owned();
        if name.starts_with("best_by_") && name.ends_with(".csv") {
            names.push(name);
        }
    }
    names.push(CONFIG_FILE.into());
    names.retain(|name| folder.join(name).symlink_metadata().is_ok());
    if names.is_empty() {
        return Ok(None);
    }
    let last = earlier(folder)?.pop();
    // One without its config was being filled when it was interrupted.
    let to = match last {
        Some((_, unfinished)) if !unfinished.join(CONFIG_FILE).exists() => unfinished,
        last => folder.join(EARLIER_FOLDER).join((last.map_or(0, |(number, _)| number) + 1).to_string()),
    };
    create_folder(&to)?;
    for name in names {
        let (from, to) = (folder.join(&name), to.join(&name));
        fs::rename(&from, &to).map_err(Error::io("move aside", &from))?;
    }
    sync_folder(&to)?;
    sync_folder(folder)?;
    Ok(Some(to))
}

/// The folders of earlier sweeps by their numbers, ascending.
pub(crate) fn earlier(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let all = folder.join(EARLIER_FOLDER);
    let entries = match fs::read_dir(&all) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io("list", &all)(e)),
    };
    let number = |path: PathBuf| Some((path.file_name()?.to_str()?.parse().ok()?, path));
    let paths = entries.map(|entry| Ok(entry.map_err(Error::io("list", &all))?.path())).collect::<Result<Vec<_>>>()?;
    let mut found: Vec<(u64, PathBuf)> = paths.into_iter().filter_map(number).collect();
    found.sort_unstable();
    Ok(found)
}
