//! Opening a weights file of whatever format its content shows.

use std::ops::Range;
use std::path::Path;

use super::archive::Archive;
use super::file::{Mapped, Problem, Tensors, WeightsFile};
use super::keras::{self, LayerNames};
use super::sniff::{self, Format};
use super::source::TensorSource;
use super::{hdf5, safetensors, torch};
use crate::Result;

/// Opens a weights file: safetensors, PyTorch's `.pth` (zip or legacy), Keras's `.h5` or `.keras`;
/// told apart by content, not by name.
///
/// The file is mapped and its table of contents read; tensors are read one at a time when asked
/// for. Names are the file's own, less the prefix of a wrapper (`module.`, `_orig_mod.`, `model.`)
/// where all of them carry it.
///
/// # Errors
/// A file that cannot be read, is of another kind (says which), is damaged, would need code to be
/// run (says whose), or has not the digest that its name promises (`resnet50-0676ba61.pth`).
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn TensorSource>> {
    let path = path.as_ref();
    if path.is_dir() {
        return Err(Problem::new("a folder, not a weights file", "give the file inside: .safetensors, .pth, .h5 or .keras").at(path));
    }
    let bytes = Mapped::open(path)?;
    let tensors = index(&bytes);
    bytes.check()?;
    let file = WeightsFile::new(path, bytes.clone(), tensors.map_err(|problem| problem.at(path))?);
    match promised(path) {
        Some(start) if !file.digest().starts_with(start) => {
            let problem = format!("its name promises a SHA-256 that starts with {start}, but it is {}…", &file.digest()[..start.len()]);
            Err(Problem::new(problem, "it is damaged or cut short: get it again. If you changed it yourself, give it another name")
                .at(path))
        }
        _ => Ok(Box::new(file)),
    }
}

/// The start of the digest that torchvision and others put into names: `resnet50-0676ba61.pth`.
fn promised(path: &Path) -> Option<&str> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".pth")?;
    let (_, digest) = stem.rsplit_once('-')?;
    let is_digest = digest.len() >= 8 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_digest.then_some(digest)
}

fn index(bytes: &Mapped) -> Result<Tensors, Problem> {
    match sniff::format(bytes.as_ref())? {
        Format::Safetensors => safetensors::index(bytes.as_ref()),
        Format::LegacyTorch => torch::index_legacy(bytes.as_ref()),
        Format::Hdf5 => hdf5::index(bytes.clone(), LayerNames::new(), most(bytes)),
        Format::Zip => index_zip(bytes),
    }
}

/// Most bytes that anything in a file may claim to be unpacked. Weights hardly shrink: an entry
/// that claims to be many times larger than its file is damaged, or made to fill the memory.
fn most(file: &Mapped) -> usize {
    file.as_ref().len().saturating_mul(16).saturating_add(1 << 24)
}

/// A zip archive is recognised by its entries.
fn index_zip(bytes: &Mapped) -> Result<Tensors, Problem> {
    /// The file inside a `.keras` zip.
    const KERAS: &str = "model.weights.h5";
    let archive = Archive::open(bytes.as_ref())?;
    if archive.contains(KERAS) {
        let most = most(bytes);
        let names = keras::configured(&archive.unpack("config.json", most)?);
        return match archive.is_stored(KERAS) {
            true => hdf5::index(Part { bytes: bytes.clone(), range: archive.stored(KERAS)?.0 }, names, most),
            false => hdf5::index(archive.unpack(KERAS, most)?, names, most),
        };
    }
    if let Some(data_pkl) =
        archive.names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl") && name.matches('/').count() == 1)
    {
        return torch::index_zip(&archive, data_pkl);
    }
    const WEIGHTS: [&str; 6] = [".safetensors", ".pth", ".pt", ".bin", ".h5", ".keras"];
    let inside = archive.names().find(|name| WEIGHTS.iter().any(|end| name.ends_with(end)));
    Err(match inside {
        Some(name) => Problem::new("a zip around a weights file", format!("unpack it and give `{name}`")),
        None => Problem::new("a zip, but neither PyTorch's nor Keras's", "is it a wheel or a data set? Give the weights file itself"),
    })
}

/// Part of a mapped file: an uncompressed entry of a zip.
struct Part {
    bytes: Mapped,
    range: Range<usize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes.as_ref()[self.range.clone()]
    }
}
