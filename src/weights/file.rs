//! A weights file mapped into memory: tensors found once, read when asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::digest::hex;
use super::element::{Element, Layout};
use super::source::{Tensor, TensorSource, no_tensor};
use crate::graph::Parameter;
use crate::map::Map;
use crate::{Error, Result};

/// A fault of a file, and the way out.
#[derive(Debug)]
pub(super) struct Problem {
    pub problem: String,
    pub hint: String,
}

impl Problem {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { problem: problem.into(), hint: hint.into() }
    }

    /// A file that is not as its format says it should be.
    pub(super) fn damaged(what: impl std::fmt::Display) -> Problem {
        Problem::new(format!("damaged or cut short: {what}"), "get the file again and compare its size or digest with the publisher's")
    }

    pub(super) fn at(self, path: &Path) -> Error {
        Error::weights(path, self.problem, self.hint)
    }
}

/// One tensor of a file.
pub(super) struct Stored {
    pub shape: Vec<usize>,
    pub place: Place,
}

/// Where its values are.
pub(super) enum Place {
    /// Elements of a storage; checked to lie inside it.
    Strided { element: Element, storage: Range<usize>, layout: Layout },
    /// An HDF5 dataset, contiguous or in compressed chunks.
    Dataset(Box<hdf5_reader::Dataset>, Element),
}

/// Tensors by name.
pub(super) type Tensors = BTreeMap<String, Stored>;

/// The bytes of a file, shared with readers that want to own them.
#[derive(Clone)]
pub(crate) struct Mapped(Arc<Map>);

impl Mapped {
    pub(crate) fn open(path: &Path) -> Result<Mapped> {
        Ok(Mapped(Arc::new(Map::open(path)?)))
    }

    /// Asked before values that were read are used.
    ///
    /// # Errors
    /// The file was cut short meanwhile, or the disk cannot read a part of it.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A file of any format, opened.
pub(super) struct WeightsFile {
    path: PathBuf,
    bytes: Mapped,
    tensors: Tensors,
    digest: OnceLock<String>,
}

impl WeightsFile {
    pub(super) fn new(path: &Path, bytes: Mapped, tensors: Tensors) -> WeightsFile {
        WeightsFile { path: path.into(), bytes, tensors: without_wrapper(tensors), digest: OnceLock::new() }
    }

    fn decode(&self, stored: &Stored) -> Result<Vec<f32>, Problem> {
        match &stored.place {
            Place::Strided { element, storage, layout } => {
                let start = storage.start + layout.offset * element.size();
                let span = layout.span().unwrap_or(0) * element.size();
                let bytes =
                    self.bytes.as_ref().get(start..start + span).ok_or_else(|| Problem::damaged("a storage ends behind the file"))?;
                Ok(layout.gather(element.decode(bytes)))
            }
            Place::Dataset(dataset, element) => {
                let bytes = dataset.read_native_bytes().map_err(Problem::damaged)?;
                Ok(element.decode(&bytes))
            }
        }
    }
}

impl TensorSource for WeightsFile {
    fn origin(&self) -> PathBuf {
        self.path.clone()
    }

    fn digest(&self) -> String {
        self.digest.get_or_init(|| hex(&Sha256::digest(&self.bytes))).clone()
    }

    fn check(&self) -> Result<()> {
        self.bytes.check()
    }

    fn entries(&self) -> Vec<Parameter> {
        self.tensors.iter().map(|(name, t)| Parameter { name: name.clone(), shape: t.shape.clone() }).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let stored = self.tensors.get(name).ok_or_else(|| no_tensor(self, name))?;
        let decoded = self.decode(stored);
        self.bytes.check()?;
        let data = decoded.map_err(|p| Problem { problem: format!("tensor `{name}`: {}", p.problem), ..p }.at(&self.path))?;
        if data.len() != stored.shape.iter().product::<usize>() {
            let problem = format!("tensor `{name}` has {} values, not those of shape {:?}", data.len(), stored.shape);
            return Err(Problem::damaged(problem).at(&self.path));
        }
        if let Some(index) = data.iter().position(|v| !v.is_finite()) {
            let problem = format!("tensor `{name}` holds {} at element {index}", data[index]);
            let hint =
                "features made with it would be worthless: the training behind this file diverged, or the file is damaged; use another one";
            return Err(Error::weights(&self.path, problem, hint));
        }
        Ok(Tensor { shape: stored.shape.clone(), data })
    }
}

/// Drops the prefix that a wrapper around the network put before every name: `DataParallel`'s, a
/// compiled module's, a training script's.
fn without_wrapper(tensors: Tensors) -> Tensors {
    const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "model.", "state_dict."];
    let wrapper =
        WRAPPERS.into_iter().find(|w| !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(w) && name.len() > w.len()));
    match wrapper {
        Some(w) => without_wrapper(tensors.into_iter().map(|(name, t)| (name[w.len()..].to_string(), t)).collect()),
        None => tensors,
    }
}
