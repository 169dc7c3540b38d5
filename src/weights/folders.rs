//! Folders that hold fetched files.

use std::path::PathBuf;

use crate::{Error, Result};

/// Where fetched files are kept: `HEADSTART_HOME`, else `headstart` in the user's cache folder
/// (`XDG_CACHE_HOME`, else `~/.cache`).
///
/// # Errors
/// None of these variables and no home is set.
pub(crate) fn home() -> Result<PathBuf> {
    cache_folder("HEADSTART_HOME", "headstart")
}

/// The folder that `variable` names, else `name` in the user's cache folder.
pub(super) fn cache_folder(variable: &str, name: &str) -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var(variable)
        .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join(name)))
        .or_else(|| var("HOME").map(|d| d.join(".cache").join(name)))
        .ok_or_else(|| Error::setting("no home folder is set to keep fetched files in", format!("set {variable} to a folder")))
}

/// PyTorch's cache folder, whose `hub/checkpoints` holds the files that torchvision fetched:
/// `TORCH_HOME`, else `torch` in the user's cache folder.
///
/// # Errors
/// None of these variables and no home is set.
pub(crate) fn torch_home() -> Result<PathBuf> {
    cache_folder("TORCH_HOME", "torch")
}
