//! Opening weight files of every format, auditing their names and shapes, digests, fetching.

mod archive;
mod convert;
mod element;
mod file;
mod formula;
mod hdf5;
pub(crate) mod hub;
mod keras;
pub(crate) mod mapping;
mod open;
mod pickle;
mod safetensors;
mod sniff;
mod torch;
pub(crate) mod wheel;

use std::fmt;
use std::path::PathBuf;

use crate::{Error, Result, nearest};

pub use crate::graph::Parameter;
pub use convert::{Converted, convert};
pub(crate) use file::Mapped;
#[doc(hidden)]
pub use formula::Formula;
pub use open::open;
pub(crate) use wheel::WheelEntry;

/// What whoever waits for a file hears.
#[derive(Debug, Clone, Copy)]
pub enum Fetching<'a> {
    /// What is about to be fetched, with its licence.
    Begins(&'a str),
    /// How much is here.
    Bytes {
        /// Bytes here.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// PyTorch's cache folder, whose `hub/checkpoints` holds what torchvision fetched: `TORCH_HOME`, else `torch` in the user's cache folder.
///
/// # Errors
/// None of these variables and no home is set.
pub(crate) fn torch_home() -> Result<PathBuf> {
    wheel::cache_folder("TORCH_HOME", "torch")
}

/// A dense f32 tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values.
    pub data: Vec<f32>,
}

/// Named tensors: a weights file, a renaming of one, or a formula. Tensors are read one at a time, when asked for.
pub trait TensorSource: Send + Sync {
    /// Where the tensors come from, for messages.
    fn origin(&self) -> PathBuf;

    /// Digest (lower-case hex SHA-256) of what decides the values: it goes into the cache key.
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

/// What differs between the tensors a backbone needs and those a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Needed and not there.
    pub missing: Vec<String>,
    /// There and not needed (bookkeeping such as `num_batches_tracked` is left out).
    pub unexpected: Vec<String>,
    /// Name, needed shape, shape found.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Audit {
    /// Compares what is needed with what is there.
    pub fn new(needed: &[Parameter], there: &[Parameter]) -> Audit {
        let found: std::collections::BTreeMap<_, _> = there.iter().map(|p| (p.name.as_str(), &p.shape)).collect();
        let wanted: std::collections::BTreeSet<_> = needed.iter().map(|p| p.name.as_str()).collect();
        let mut audit = Audit::default();
        for p in needed {
            match found.get(p.name.as_str()) {
                None => audit.missing.push(p.name.clone()),
                Some(&shape) if *shape != p.shape => audit.misshapen.push((p.name.clone(), p.shape.clone(), shape.clone())),
                Some(_) => {}
            }
        }
        audit.unexpected = there
            .iter()
            .map(|p| &p.name)
            .filter(|n| !wanted.contains(n.as_str()) && !n.ends_with("num_batches_tracked"))
            .cloned()
            .collect();
        audit
    }

    /// Whether the needed tensors are all there in their shapes (unexpected ones do no harm).
    pub fn is_usable(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut list = |what: &str, names: &[String]| -> fmt::Result {
            if names.is_empty() {
                return Ok(());
            }
            writeln!(
                f,
                "  {what} ({}): {}{}",
                names.len(),
                names[..names.len().min(SHOWN)].join(", "),
                if names.len() > SHOWN { ", …" } else { "" }
            )
        };
        list("missing", &self.missing)?;
        let shapes: Vec<String> = self.misshapen.iter().map(|(n, want, got)| format!("{n} {got:?} instead of {want:?}")).collect();
        list("wrong shape", &shapes)?;
        list("unexpected", &self.unexpected)
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
fn no_tensor(source: &dyn TensorSource, name: &str) -> Error {
    let entries = source.entries();
    let hint = match nearest(name, entries.iter().map(|p| p.name.as_str())) {
        Some(near) => format!("the nearest of its {} names is `{near}`", entries.len()),
        None => format!("none of its {} names is like it", entries.len()),
    };
    Error::weights(source.origin(), format!("holds no tensor `{name}`"), hint)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
