//! Where the files of a head lie.

use std::path::{Path, PathBuf};

use super::model::{BEST_FOLDER, HEAD_FILE, MODEL_FILE};
use super::promise::{Promise, sha256};
use crate::{Error, Result};

/// Where a sweep directory has the best head: a folder that holds `model.json` itself will do.
pub fn best_of(folder: &Path) -> PathBuf {
    let best = folder.join(BEST_FOLDER);
    if best.join(MODEL_FILE).is_file() { best } else { folder.into() }
}

pub fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if folder.join("trials.jsonl").is_file() => Error::data(
            folder,
            "is a sweep that has not finished: it has no best head yet",
            "start the same `headstart sweep` again, it goes on; sweeps that were in this folder before are in its `earlier/N`",
        ),
        std::io::ErrorKind::NotFound => Error::data(&path, "is not there", "name a folder that `headstart sweep` has written"),
        _ => Error::io("read", &path)(e),
    })
}

/// What is wrong with a head whose weights are not those that `model.json` promises.
pub fn broken_promise(folder: &Path) -> Error {
    let problem = format!("is damaged, or another sweep's: its SHA-256 is not the one that {MODEL_FILE} promises");
    Error::data(folder.join(HEAD_FILE), problem, AGAIN)
}

/// What helps against a damaged head.
pub const AGAIN: &str = crate::steps::TRAIN_AGAIN;

/// Whether the best head's weights are those that `model.json` was written for; one that promises nothing is believed.
///
/// # Errors
/// Files that are not there, that are damaged or do not belong together.
pub fn check_head_file(folder: impl AsRef<Path>) -> Result<()> {
    let folder = best_of(folder.as_ref());
    let path = folder.join(MODEL_FILE);
    let no_model = |e: serde_json::Error| Error::data(&path, format!("is no model: {e}"), AGAIN);
    let promise: Promise = serde_json::from_slice(&read(&folder, MODEL_FILE)?).map_err(no_model)?;
    let weights = read(&folder, HEAD_FILE)?;
    let is_kept = promise.head_sha256.is_none_or(|promised| promised == sha256(&weights));
    if is_kept { Ok(()) } else { Err(broken_promise(&folder)) }
}
