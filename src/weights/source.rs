//! Named tensors, wherever they come from.

use std::path::PathBuf;

use crate::graph::Parameter;
use crate::{Error, Result, nearest};

/// Progress of a file that is being fetched.
#[derive(Debug, Clone, Copy)]
pub enum Fetching<'a> {
    /// The file that is about to be fetched, with its licence.
    Begins(&'a str),
    /// How much is here.
    Bytes {
        /// Bytes here.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// A dense f32 tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values.
    pub data: Vec<f32>,
}

/// Named tensors: a weights file, a renaming of one, or a formula. Tensors are read one at a time,
/// when asked for.
pub trait TensorSource: Send + Sync {
    /// Where the tensors come from, for messages.
    fn origin(&self) -> PathBuf;

    /// Digest (lower-case hex SHA-256) of everything that decides the values, for the cache key.
    fn digest(&self) -> String;

    /// Names and shapes of all tensors, sorted by name.
    fn entries(&self) -> Vec<Parameter>;

    /// Reads one tensor, converted to f32, row-major.
    ///
    /// # Errors
    /// A name that is not there, or a damaged file.
    fn read(&self, name: &str) -> Result<Tensor>;

    /// Asked before a digest counts: whether all that it is taken over could be read.
    ///
    /// # Errors
    /// A file that was cut short meanwhile, or that the disk cannot read.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Reads a tensor and insists on its shape.
///
/// # Errors
/// As [`TensorSource::read`], and a tensor of another shape.
pub(crate) fn read_shaped(source: &dyn TensorSource, name: &str, shape: &[usize]) -> Result<Tensor> {
    let tensor = source.read(name)?;
    if tensor.shape != shape {
        let problem = format!("tensor `{name}` has shape {:?}, not {shape:?}", tensor.shape);
        return Err(Error::weights(source.origin(), problem, "is this the backbone that the file was made for?"));
    }
    Ok(tensor)
}

/// The error for a name that a source does not hold.
pub(super) fn no_tensor(source: &dyn TensorSource, name: &str) -> Error {
    let entries = source.entries();
    let hint = match nearest(name, entries.iter().map(|p| p.name.as_str())) {
        Some(near) => format!("the nearest of its {} names is `{near}`", entries.len()),
        None => format!("none of its {} names is like it", entries.len()),
    };
    Error::weights(source.origin(), format!("holds no tensor `{name}`"), hint)
}
