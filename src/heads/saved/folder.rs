//! The folder that holds the files of a head.

use std::path::{Path, PathBuf};

use super::digests::{Digests, sha256};
use super::model::{BEST_FOLDER, HEAD_FILE, MODEL_FILE};
use crate::{Error, Result, steps};

/// The folder of the best head: of a sweep directory its `best/`, of a folder that holds
/// `model.json` the folder itself.
pub(crate) fn best_of(folder: &Path) -> PathBuf {
    let best = folder.join(BEST_FOLDER);
    if best.join(MODEL_FILE).is_file() { best } else { folder.into() }
}

/// The bytes of one of a head's files.
///
/// # Errors
/// A file that is missing or cannot be read.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if folder.join("trials.jsonl").is_file() => Error::data(
            folder,
            "is a sweep that has not finished: it has no best head yet",
            "start the same sweep again, which continues it; earlier sweeps of this folder are in its `earlier/N`",
        ),
        std::io::ErrorKind::NotFound => Error::data(&path, "does not exist", format!("name the directory of a sweep, or {}", steps::TRAIN)),
        _ => Error::io("read", &path)(e),
    })
}

/// The error of weights that are not those whose digest `model.json` holds.
pub(crate) fn wrong_weights(folder: &Path) -> Error {
    let problem = format!("is damaged, or another sweep's: its SHA-256 is not the one that {MODEL_FILE} promises");
    Error::data(folder.join(HEAD_FILE), problem, AGAIN)
}

/// The way out of a damaged head.
pub(crate) const AGAIN: &str = steps::TRAIN_AGAIN;

/// Checks that the best head's weights are those that `model.json` was written for. Files of
/// earlier versions that hold no digest pass.
///
/// # Errors
/// Files that are missing, damaged or do not belong together.
pub(crate) fn check_head_file(folder: impl AsRef<Path>) -> Result<()> {
    let folder = best_of(folder.as_ref());
    let path = folder.join(MODEL_FILE);
    let no_model = |e: serde_json::Error| Error::data(&path, format!("is not a model: {e}"), AGAIN);
    let digests: Digests = serde_json::from_slice(&read(&folder, MODEL_FILE)?).map_err(no_model)?;
    let weights = read(&folder, HEAD_FILE)?;
    let is_kept = digests.head_sha256.is_none_or(|promised| promised == sha256(&weights));
    if is_kept { Ok(()) } else { Err(wrong_weights(&folder)) }
}
