//! All that lies below a folder: links are followed, what systems put beside photos is passed over
//! and counted. `features` and `predict` see the same.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::passed::{Passed, is_systems_own};
use crate::text::visible_path;
use crate::{Error, Result};

/// A find of a walk.
pub(super) enum Step {
    Folder(PathBuf),
    Image(PathBuf),
    /// A link in a circle or a dangling one, in words.
    PassedOver(String),
}

/// A walk over a folder and all below, sorted. An error is something that the system refuses to
/// read; the walk goes on behind it.
pub(super) struct Walk {
    root: PathBuf,
    entries: walkdir::IntoIter,
    /// Entries that are neither folder nor image.
    pub passed: Passed,
}

impl Walk {
    /// Looks into files whose extension says nothing, and into no others.
    pub(super) fn new(root: &Path) -> Walk {
        let entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
        Walk { root: root.into(), entries, passed: Passed::default() }
    }

    /// A folder that the system refuses to read is an error; a dangling link is not.
    fn trouble(&self, error: walkdir::Error) -> Result<Step> {
        let path = error.path().unwrap_or(&self.root).to_path_buf();
        if let Some(ancestor) = error.loop_ancestor() {
            Ok(Step::PassedOver(format!("passed over {}: the link leads back to {}", visible_path(&path), visible_path(ancestor))))
        } else if fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink()) {
            Ok(Step::PassedOver(format!("passed over {}: the link is dangling", visible_path(&path))))
        } else {
            Err(Error::io("read", path)(error.into()))
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Result<Step>> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(self.trouble(error)),
            };
            let is_folder = entry.file_type().is_dir();
            if entry.depth() > 0 && is_systems_own(&entry.file_name().to_string_lossy()) {
                self.passed.count(&entry);
                if is_folder {
                    self.entries.skip_current_dir();
                }
            } else if is_folder {
                return Some(Ok(Step::Folder(entry.into_path())));
            } else {
                match self.passed.is_image(entry.path(), entry.file_type().is_file()) {
                    Ok(true) => return Some(Ok(Step::Image(entry.into_path()))),
                    Ok(false) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        }
    }
}

/// Image files that [`find_images`] found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files as named, and the images in folders, sorted folder by folder.
    pub images: Vec<PathBuf>,
    /// Sentences about files that were passed over, counted.
    pub warnings: Vec<String>,
    /// Files and folders that the system refuses to read.
    pub unreadable: Vec<Error>,
}

/// Finds images to predict: each of `paths` is an image file, or a folder with images below it,
/// whose hidden files do not count.
///
/// # Errors
/// A path that is not there; no image at all, for the reason of the first file or folder that
/// cannot be read where there is one.
pub fn find_images<P: AsRef<Path>>(paths: &[P]) -> Result<Found> {
    const HINT: &str = "name image files, or folders of them";
    let mut found = Found::default();
    for path in paths.iter().map(AsRef::as_ref) {
        let about = path.metadata().map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::data(path, "is not there", HINT),
            _ => Error::io("read", path)(e),
        })?;
        if about.is_dir() {
            found.add_folder(path);
        } else {
            found.images.push(path.to_path_buf());
        }
    }
    if found.images.is_empty() {
        let first = paths.first().map_or(Path::new("."), AsRef::as_ref);
        let problem = [vec!["holds no image".to_owned()], found.warnings].concat().join(": ");
        return Err(found.unreadable.into_iter().next().unwrap_or_else(|| Error::data(first, problem, HINT)));
    }
    Ok(found)
}

impl Found {
    fn add_folder(&mut self, folder: &Path) {
        let mut walk = Walk::new(folder);
        for step in &mut walk {
            match step {
                Ok(Step::Folder(_)) => {}
                Ok(Step::Image(path)) => self.images.push(path),
                Ok(Step::PassedOver(words)) => self.warnings.push(words),
                Err(error) => self.unreadable.push(error),
            }
        }
        self.warnings.extend(walk.passed.warnings());
    }
}
