//! Files of other libraries under the names and axis orders of our graphs.
//!
//! A map knows how one library names one network's tensors; [`adapt`] finds the map by the names in the file. What no map knows keeps its name, so
//! that an audit shows it.

mod keras;
mod mapped;

use super::TensorSource;
use crate::graph::Parameter;

pub use mapped::{Axes, Mapped};

/// Whose conventions a file follows. Beside names these are padding, epsilon and preprocess, so that a graph has to follow the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// torchvision's, or whatever the graph itself was written after.
    Native,
    /// Keras's and TensorFlow's.
    Keras,
}

/// A source under the names of a backbone's graph.
pub struct Adapted {
    /// The tensors.
    pub source: Box<dyn TensorSource>,
    /// The conventions that they follow.
    pub dialect: Dialect,
}

/// Renames a tensor and says how to turn its axes; `None` for tensors that the network does not have.
type Rename = fn(&Parameter) -> Option<(String, Axes)>;

/// How one library names the tensors of some networks.
struct NameMap {
    backbones: &'static [&'static str],
    dialect: Dialect,
    /// The name, after renaming, of a tensor without which the file is none of these.
    witness: &'static str,
    rename: Rename,
}

const MAPS: &[NameMap] = &[
    NameMap { backbones: &["squeezenet1_1"], dialect: Dialect::Keras, witness: "features.0.weight", rename: keras::squeezenet },
    NameMap { backbones: &["mobilenet_v2"], dialect: Dialect::Keras, witness: "features.0.0.weight", rename: keras::mobilenet_v2 },
];

/// Puts a source under the names of the graph of `backbone`, if it is named by a library that is known; else leaves it as it is.
///
/// The digest of a renamed source depends on the file and on what became of each name.
pub fn adapt(backbone: &str, source: Box<dyn TensorSource>) -> Adapted {
    let entries = source.entries();
    let fits = |map: &&NameMap| {
        let renamed = |p: &Parameter| (map.rename)(p).is_some_and(|(name, _)| name == map.witness);
        map.backbones.contains(&backbone) && !entries.iter().any(|p| p.name == map.witness) && entries.iter().any(renamed)
    };
    match MAPS.iter().find(fits) {
        Some(map) => Adapted { source: Box::new(Mapped::new(source, map.rename)), dialect: map.dialect },
        None => Adapted { source, dialect: Dialect::Native },
    }
}

#[cfg(test)]
mod tests;
