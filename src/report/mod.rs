//! Sweeps for people and other tools to look at: one self-contained HTML file, and TensorBoard's
//! event files.
//!
//! | file | what for |
//! |---|---|
//! | `files.rs` | the files of a sweep directory and of its caches, as far as they are there |
//! | `content.rs` | the content of the page, as plain data |
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

use crate::files::replace;
use crate::{Error, Result};

pub(crate) use crate::sweep::REPORT_FILE;
#[cfg(test)]
pub(crate) use crate::sweep::TENSORBOARD_FOLDER;
pub(crate) use content::Report;
pub(crate) use page::render_speedup;
pub(crate) use run::record_run;
pub use tensorboard::write_tensorboard;

/// A report that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The HTML file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Notes of the sweep, on damage to its files and on parts that could not be shown.
    pub notes: Vec<String>,
    /// The notes on damage.
    pub damage: Vec<String>,
}

/// Writes `report.html` into a sweep directory, from the files that are there.
///
/// Photos are read from `data`; where it is `None`, from the folder that the features were extracted
/// from.
///
/// # Errors
/// A folder that is not a sweep, a damaged file of it, a folder that cannot be written to, `data` that
/// does not exist.
pub fn write(folder: &Path, data: Option<&Path>) -> Result<Written> {
    if let Some(data) = data.filter(|data| !data.exists()) {
        return Err(Error::data(data, "does not exist", "give the folder that holds the photos of the sweep"));
    }
    let report = Report::read(folder, data)?;
    let html = page::render(&report)?;
    let file = folder.join(REPORT_FILE);
    replace(&file, html.as_bytes())?;
    Ok(Written { file, bytes: html.len() as u64, notes: report.notes, damage: report.damage })
}

#[cfg(test)]
mod tests;
