//! All that lies below a folder: links are followed, what systems put beside photos is passed over and counted. `features` and `predict` see the same.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::passed::{Passed, is_systems_own};
use crate::{Error, Result};

/// What a walk comes upon.
pub(super) enum Step {
    Folder(PathBuf),
    Image(PathBuf),
    /// A link in a circle or to nowhere, in words.
    PassedOver(String),
}

/// A walk over a folder and all below, sorted. An error is something that the system refuses to read; the walk goes on behind it.
pub(super) struct Walk {
    root: PathBuf,
    entries: walkdir::IntoIter,
    /// What is neither folder nor image.
    pub passed: Passed,
}

impl Walk {
    /// Looks into files whose extension says nothing, and into no others.
    pub fn new(root: &Path) -> Walk {
        let entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
        Walk { root: root.into(), entries, passed: Passed::default() }
    }

    /// A folder that the system refuses to read is an error; a link that leads nowhere is none.
    fn trouble(&self, error: walkdir::Error) -> Result<Step> {
        let path = error.path().unwrap_or(&self.root).to_path_buf();
        if let Some(ancestor) = error.loop_ancestor() {
            Ok(Step::PassedOver(format!("passed over {}: the link leads back to {}", path.display(), ancestor.display())))
        } else if fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink()) {
            Ok(Step::PassedOver(format!("passed over {}: the link leads nowhere", path.display())))
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

/// What `predict` reads of a folder: all images, in whatever folders they lie.
#[derive(Debug, Default)]
pub struct Below {
    /// Images, sorted folder by folder.
    pub images: Vec<PathBuf>,
    /// What the user should know: what was passed over, counted.
    pub warnings: Vec<String>,
    /// Files and folders that the system refuses to read.
    pub unreadable: Vec<Error>,
}

/// Finds the images below `folder`.
pub fn images_below(folder: &Path) -> Below {
    let mut below = Below::default();
    let mut walk = Walk::new(folder);
    for step in &mut walk {
        match step {
            Ok(Step::Folder(_)) => {}
            Ok(Step::Image(path)) => below.images.push(path),
            Ok(Step::PassedOver(words)) => below.warnings.push(words),
            Err(error) => below.unreadable.push(error),
        }
    }
    below.warnings.extend(walk.passed.warnings());
    below
}
