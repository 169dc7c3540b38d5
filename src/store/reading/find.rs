//! The cache that a path stands for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::steps;
use crate::{Error, Result};

/// The folder of the cache that `path` names: itself, or the only one below it, at most two folders
/// deep.
///
/// # Errors
/// No cache there, or several: all are named.
pub fn find_cache(path: &Path) -> Result<PathBuf> {
    if is_cache(path) {
        return Ok(path.to_path_buf());
    }
    if !path.is_dir() {
        let problem = if path.exists() { "is a file, not a cache" } else { "is not there" };
        return Err(Error::data(path, problem, "name the folder of a cache, CACHE/DATASET/BACKBONE@KEY, or one above it"));
    }
    let mut found = vec![];
    for below in folders(path)? {
        if is_cache(&below) {
            found.push(below);
        } else {
            found.extend(folders(&below)?.into_iter().filter(|folder| is_cache(folder)));
        }
    }
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::data(path, "holds no cache", steps::EXTRACT)),
        several => {
            let names: Vec<String> = several.iter().map(|p| p.display().to_string()).collect();
            Err(Error::data(path, format!("holds {} caches", several.len()), format!("name one of {}", names.join(", "))))
        }
    }
}

fn is_cache(folder: &Path) -> bool {
    folder.join("manifest.json").is_file()
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    Ok(listed.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect())
}
