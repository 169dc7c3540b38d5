//! Features for other tools: NumPy's `.npz` and Parquet.
//!
//! | file | what for |
//! |---|---|
//! | `chosen.rs` | rows and features to export, by tap, view and split |
//! | `npz.rs`, `parquet.rs` | a file per format |

mod chosen;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(test)]
mod tests;

use std::path::Path;

use chosen::Chosen;
pub use chosen::{Exported, Selection};

use crate::store::reading::cache::Cache;
use crate::{Error, Result, files};

/// Writes a `.npz` that `numpy.load` reads: `X` `[n, …tap shape]`, `y` `[n]` (of several labels an
/// image, `[n, classes]` of 0 and 1), `row`, `path`, `split`, `group` where there are groups, and
/// `classes`, the names behind `y`. bf16 becomes f32.
///
/// # Errors
/// A tap or view that is not there, no rows, a damaged shard, a file that cannot be written:
/// nothing half-written is left.
pub fn export_npz(cache: &Cache, selection: &Selection, to: &Path) -> Result<Exported> {
    let chosen = Chosen::new(cache, selection)?;
    let to = &files::output(to)?;
    chosen
        .done(to, files::write(to, |file| npz::write(&chosen, file).map_err(Error::io("write", to)).and_then(|()| chosen.matrix.intact())))
}

/// Writes a Parquet file of one line an image: `row`, `path`, `class`, `label` (of several labels
/// an image, the list `labels`), `split`, where there are groups `group`, and the list `features`
/// of floats, a map's in order C, H, W.
///
/// # Errors
/// As [`export_npz`].
#[cfg(feature = "parquet")]
pub fn export_parquet(cache: &Cache, selection: &Selection, to: &Path) -> Result<Exported> {
    let chosen = Chosen::new(cache, selection)?;
    let to = &files::output(to)?;
    chosen.done(
        to,
        files::write(to, |file| parquet::write(&chosen, file).map_err(Error::io("write", to)).and_then(|()| chosen.matrix.intact())),
    )
}
