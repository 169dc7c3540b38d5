//! Keras's `.h5`, and the `.h5` inside a `.keras` zip: datasets by their path, kernels as stored
//! (HWIO).

use std::collections::BTreeSet;

use hdf5_reader::group::Group;
use hdf5_reader::{Datatype, Hdf5File, OpenOptions};

use super::element::Element;
use super::file::{Place, Problem, Stored, Tensors};
use super::keras::{self, LayerNames};

/// Finds the tensors of an HDF5 file: `conv1/conv1/kernel:0`. Variables that Keras 3 has numbered
/// get the names of their layers, from `names` or, where that has none, from the file itself. The
/// `model_weights/` of a whole saved model is left out of the names, what belongs to its optimiser
/// altogether; so are datasets other than floats and small integers (random states, texts).
///
/// Nothing in it may claim to be larger than `most` bytes.
pub(super) fn index(bytes: impl AsRef<[u8]> + Send + Sync + 'static, names: LayerNames, most: usize) -> Result<Tensors, Problem> {
    let options = OpenOptions::default().with_max_read_bytes(most).with_max_chunk_bytes(most);
    let file = Hdf5File::from_owner(bytes, options).map_err(Problem::damaged)?;
    let mut found = Found { tensors: Tensors::new(), names: LayerNames::new(), seen: BTreeSet::new() };
    found.walk(&file.root_group().map_err(Problem::damaged)?, "")?;
    if found.tensors.is_empty() {
        let hint = "Keras writes one with `model.save_weights(\"model.weights.h5\")` or `model.save(\"model.keras\")`";
        return Err(Problem::new("an HDF5 file without a single array of numbers in it", hint));
    }
    Ok(keras::named(found.tensors, if names.is_empty() { &found.names } else { &names }))
}

struct Found {
    tensors: Tensors,
    /// Notes of Keras 3.7 and later beside a layer's variables.
    names: LayerNames,
    /// Groups by address, so that a link in a circle ends.
    seen: BTreeSet<u64>,
}

impl Found {
    fn walk(&mut self, group: &Group, path: &str) -> Result<(), Problem> {
        /// Deepest nesting; Keras's own files have some ten levels.
        const DEEPEST: usize = 64;
        if !self.seen.insert(group.address()) || path.matches('/').count() > DEEPEST {
            return Ok(());
        }
        let (groups, datasets) = group.members().map_err(Problem::damaged)?;
        for dataset in datasets {
            let shape = dataset.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>().map_err(Problem::damaged)?;
            if let Some(element) = element(dataset.dtype()) {
                let name = format!("{path}{}", dataset.name());
                self.tensors.insert(name, Stored { shape, place: Place::Dataset(Box::new(dataset), element) });
            }
        }
        if let Some(layer) = path.strip_suffix("/vars/")
            && let Ok(name) = group.attribute("name").and_then(|attribute| attribute.read_string())
        {
            self.names.insert(layer.into(), name);
        }
        for group in groups {
            let below = match (path, group.name()) {
                ("", "optimizer_weights" | "optimizer") => continue,
                ("", "model_weights") => String::new(),
                (_, name) => format!("{path}{name}/"),
            };
            self.walk(&group, &below)?;
        }
        Ok(())
    }
}

fn element(datatype: &Datatype) -> Option<Element> {
    Some(match datatype {
        Datatype::FloatingPoint { size: 2, .. } => Element::F16,
        Datatype::FloatingPoint { size: 4, .. } => Element::F32,
        Datatype::FloatingPoint { size: 8, .. } => Element::F64,
        Datatype::FixedPoint { size: 8, signed: true, .. } => Element::I64,
        Datatype::FixedPoint { size: 4, signed: true, .. } => Element::I32,
        Datatype::FixedPoint { size: 2, signed: true, .. } => Element::I16,
        Datatype::FixedPoint { size: 1, signed: true, .. } => Element::I8,
        Datatype::FixedPoint { size: 1, signed: false, .. } => Element::U8,
        _ => return None,
    })
}
