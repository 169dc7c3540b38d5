//! How files name a network's tensors, as its family describes it.

use std::collections::BTreeSet;

use super::mapped::Axes;
use crate::graph::Parameter;
use crate::weights::TensorSource;

/// Whose conventions a file follows. Beside names these are padding, epsilon and preprocess, so
/// that a graph has to follow the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// torchvision's, or those of the original that the graph was written after.
    Native,
    /// timm's: torchvision's but for names, the epsilon of MobileNet V3's norms (1e-5), and ViT's
    /// preprocess (also Hugging Face's).
    Timm,
    /// Keras's and TensorFlow's.
    Keras,
}

/// All names in a file.
pub(crate) type Names = BTreeSet<String>;

/// Renames a tensor and says how to turn its axes; `None` for tensors that the network does not
/// have.
pub(crate) type Rename = fn(&Parameter, &Names) -> Option<(String, Axes)>;

/// One library's names for the tensors of a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameMap {
    /// The conventions of files that are named so.
    pub dialect: Dialect,
    /// A tensor that every such file has, by its name in the graph.
    pub witness: &'static str,
    /// The library's names to the graph's.
    pub rename: Rename,
}

/// Names of a network's tensors in files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming {
    /// The conventions of files under the graph's own names.
    pub own: Dialect,
    /// Whether the graph's layers are called as in Keras Applications.
    pub keras_layers: bool,
    /// Other libraries' names; the first map that fits a file is taken.
    pub maps: &'static [NameMap],
    /// First words of names that only another network's file has, which would fit but for them.
    pub foreign: &'static [&'static str],
}

impl Naming {
    /// The graph's own names and no others.
    pub(crate) const OWN: Naming = Naming { own: Dialect::Native, keras_layers: false, maps: &[], foreign: &[] };
    /// Keras Applications' names.
    pub(crate) const KERAS: Naming = Naming { keras_layers: true, ..Naming::OWN };

    /// The graph's own names and those of other libraries.
    pub(crate) const fn with(maps: &'static [NameMap]) -> Naming {
        Naming { maps, ..Naming::OWN }
    }
}

/// A source under the names of a backbone's graph.
pub(crate) struct Adapted {
    /// The tensors.
    pub source: Box<dyn TensorSource>,
    /// The conventions that they follow.
    pub dialect: Dialect,
}
