//! What people and other tools look at: a sweep as one self-contained HTML file, and as TensorBoard's event files.
//!
//! | file | holds |
//! |---|---|
//! | `files.rs` | the files of a sweep directory and of its caches, as far as they are there |
//! | `content.rs` | [`Report`]: what the page shows, as plain data |
//! | `answers.rs` | the best head's answers that the page carries, and which of them with a photo |
//! | `calibration.rs` | how often answers of a given confidence are right |
//! | `importance.rs` | which settings matter: permutation importance in a random forest |
//! | `photos.rs` | thumbnails |
//! | `run.rs` | the command that made a sweep, and when |
//! | `page.rs` | data → HTML, of a sweep and of a speed-up |
//! | `words.rs` | dates as people say them |
//! | `tensorboard.rs` | the trials as TensorBoard's event files |
//! | `assets/` | template, style and script of the page; [d3](https://d3js.org) and [Observable Plot](https://observablehq.com/plot), unchanged |

mod answers;
mod calibration;
mod content;
mod files;
mod importance;
mod page;
mod photos;
mod run;
mod tensorboard;
mod words;

use std::path::{Path, PathBuf};

use crate::Result;
use crate::files::replace;

pub(crate) use crate::sweep::REPORT_FILE;
pub(crate) use content::Report;
pub(crate) use page::render_speedup;
pub(crate) use run::record_run;
#[cfg(test)]
pub(crate) use tensorboard::TENSORBOARD_FOLDER;
pub use tensorboard::write_tensorboard;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The HTML file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What the sweep had to say; what could not be shown, and why.
    pub notes: Vec<String>,
}

/// Writes `report.html` into a sweep directory, from what is there.
///
/// Photos of mistakes are taken from `data`, or where nothing is given, from the folder that the features were extracted from.
///
/// # Errors
/// A folder that is no sweep, a damaged file of it, a folder that cannot be written to.
pub fn write(folder: &Path, data: Option<&Path>) -> Result<Written> {
    let report = Report::read(folder, data)?;
    let html = page::render(&report)?;
    let file = folder.join(REPORT_FILE);
    replace(&file, html.as_bytes())?;
    Ok(Written { file, bytes: html.len() as u64, notes: report.notes })
}

#[cfg(test)]
mod tests;
