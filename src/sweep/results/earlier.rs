//! Earlier sweeps of a directory: each in a folder of its own, `earlier/1`, `earlier/2`, ….

use std::fs;
use std::path::{Path, PathBuf};

use super::names::{
    CONFIG_FILE, CONFUSION_FILE, EARLIER_FOLDER, LOG_FILE, NOTES_FILE, PER_CLASS_FILE, PREDICTIONS_FILE, REPORT_FILE, RESULTS_FILE,
    RUN_FILE, TENSORBOARD_FOLDER, is_best_by_file,
};
use crate::files::{create_folder, sync_folder};
use crate::heads::BEST_FOLDER;
use crate::{Error, Result};

/// Files of a sweep and of its report, beside its config.
const FILES: [&str; 10] = [
    LOG_FILE,
    RESULTS_FILE,
    PREDICTIONS_FILE,
    CONFUSION_FILE,
    PER_CLASS_FILE,
    NOTES_FILE,
    BEST_FOLDER,
    RUN_FILE,
    REPORT_FILE,
    TENSORBOARD_FOLDER,
];

/// Moves the files of the sweep in a directory into a folder of their own. Returns that folder;
/// `None` where there was no sweep.
pub(crate) fn move_aside(folder: &Path) -> Result<Option<PathBuf>> {
    let mut names: Vec<String> = FILES.iter().map(|name| (*name).to_owned()).collect();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name().to_string_lossy().into_owned();
        if is_best_by_file(&name) {
            names.push(name);
        }
    }
    names.push(CONFIG_FILE.into());
    names.retain(|name| folder.join(name).symlink_metadata().is_ok());
    if names.is_empty() {
        return Ok(None);
    }
    let last = folders(folder)?.pop();
    // One without its config was being filled when it was interrupted.
    let to = match last {
        Some(last) if !last.folder.join(CONFIG_FILE).exists() => last.folder,
        last => folder.join(EARLIER_FOLDER).join((last.map_or(0, |last| last.number) + 1).to_string()),
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

/// An earlier sweep of a directory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sweep) struct EarlierSweep {
    number: u64,
    pub folder: PathBuf,
}

/// The earlier sweeps of a directory, in the order of their numbers.
pub(in crate::sweep) fn folders(folder: &Path) -> Result<Vec<EarlierSweep>> {
    let all = folder.join(EARLIER_FOLDER);
    let entries = match fs::read_dir(&all) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io("list", &all)(e)),
    };
    let numbered = |folder: PathBuf| Some(EarlierSweep { number: folder.file_name()?.to_str()?.parse().ok()?, folder });
    let paths = entries.map(|entry| Ok(entry.map_err(Error::io("list", &all))?.path())).collect::<Result<Vec<_>>>()?;
    let mut found: Vec<EarlierSweep> = paths.into_iter().filter_map(numbered).collect();
    found.sort_unstable();
    Ok(found)
}
