//! All images below a folder, in whatever folders they lie: what `predict` reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::decode;
use crate::{Error, Result};

/// What a folder holds. Links are followed; hidden files and folders are left out.
#[derive(Debug, Default)]
pub struct Below {
    /// Images, sorted folder by folder.
    pub images: Vec<PathBuf>,
    /// What the user should know: files that are no images, links in a circle or to nowhere.
    pub warnings: Vec<String>,
    /// Files and folders that the system refuses to read.
    pub unreadable: Vec<Error>,
}

/// Finds the images below `folder`; reads the first bytes of files whose extension says nothing, and no others.
pub fn images_below(folder: &Path) -> Below {
    let mut below = Below::default();
    let mut others = BTreeMap::new();
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || !is_hidden(e)) {
        let kind = entry.map_err(|error| trouble(folder, error)).and_then(|entry| {
            let path = entry.path();
            match entry.file_type() {
                kind if kind.is_dir() => Ok(None),
                kind => is_image(path, kind.is_file()).map(|is_image| Some((entry.into_path(), is_image))).map_err(Trouble::Unreadable),
            }
        });
        match kind {
            Ok(None) => {}
            Ok(Some((path, true))) => below.images.push(path),
            Ok(Some((path, false))) => *others.entry(extension(&path)).or_default() += 1,
            Err(Trouble::PassedOver(words)) => below.warnings.push(words),
            Err(Trouble::Unreadable(error)) => below.unreadable.push(error),
        }
    }
    below.warnings.extend(about_others(&others));
    below
}

/// Why an entry of a folder gives neither file nor folder.
pub(super) enum Trouble {
    /// A link in a circle or to nowhere: in these words.
    PassedOver(String),
    /// The system refuses to read it.
    Unreadable(Error),
}

/// Tells a link that leads nowhere from a folder that may not be read.
pub(super) fn trouble(root: &Path, error: walkdir::Error) -> Trouble {
    let path = error.path().unwrap_or(root).to_path_buf();
    if let Some(ancestor) = error.loop_ancestor() {
        Trouble::PassedOver(format!("passed over {}: the link leads back to {}", path.display(), ancestor.display()))
    } else if fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink()) {
        Trouble::PassedOver(format!("passed over {}: the link leads nowhere", path.display()))
    } else {
        Trouble::Unreadable(Error::io("read", path)(error.into()))
    }
}

pub(super) fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

/// Whether a file holds an image: by its extension, else by its first bytes.
pub(super) fn is_image(path: &Path, is_file: bool) -> Result<bool> {
    Ok(is_file && (decode::is_image_extension(&extension(path)) || starts_like_an_image(path)?))
}

/// In lower case, without the dot.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn starts_like_an_image(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io("open", path))?;
    file.take(32).read_to_end(&mut head).map_err(Error::io("read", path))?;
    Ok(decode::sniff(&head).is_some())
}

/// Counts files that are no images, by extension.
pub(super) fn about_others(others: &BTreeMap<String, usize>) -> Option<String> {
    let kinds = others.iter().map(|(e, n)| if e.is_empty() { format!("{n} without extension") } else { format!("{n} .{e}") });
    let kinds: Vec<String> = kinds.collect();
    let total: usize = others.values().sum();
    (total > 0).then(|| format!("passed over {total} files that are no images: {}", name_some(kinds.iter().map(String::as_str))))
}

/// The first few names and how many more there are.
pub(super) fn name_some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}
