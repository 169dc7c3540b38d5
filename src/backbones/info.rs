//! One network of the zoo, as its family describes it.

use super::entry::WeightsEntry;
use super::options::BuildOptions;
use super::usual;
use crate::graph::Graph;
use crate::preprocess::PreprocessSpec;
use crate::weights::mapping::Naming;

/// One network of the zoo with everything known of it: a family's file describes its members and
/// nothing else names them.
#[derive(Debug, Clone)]
pub struct BackboneInfo {
    /// torchvision's name where it has one: `resnet50`; with `_keras` behind it for Keras's network
    /// of that name where they differ.
    pub name: &'static str,
    /// Its family in words: `ResNet`.
    pub family: &'static str,
    /// Side of the square input that it was made for, in pixels.
    pub size: usize,
    /// The tensor whose first extent is the number of classes, where there is one.
    pub classifier: Option<&'static str>,
    /// Keras's network of the same name, or the one that Keras's shares its name with: another
    /// graph under other names.
    pub(crate) twin: Option<&'static str>,
    /// Pretrained weights of the family; those of this network come in the order of preference.
    pub(crate) entries: &'static [WeightsEntry],
    /// Names of its tensors in other libraries' files.
    pub(crate) naming: Naming,
    /// For weights that say nothing of it: the preprocess at the network's size, and crop over
    /// resized side.
    pub(crate) preprocess: fn(usize) -> (PreprocessSpec, f64),
    /// The graph, taps included.
    pub(crate) build: fn(&BuildOptions) -> Graph,
}

impl BackboneInfo {
    /// A network under its own names, that wants torchvision's preprocess and has no pretrained
    /// weights.
    pub(super) const fn new(name: &'static str, family: &'static str, size: usize, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
        let (entries, naming, preprocess) = (&[], Naming::OWN, usual::torchvision as fn(usize) -> (PreprocessSpec, f64));
        BackboneInfo { name, family, size, classifier: None, twin: None, entries, naming, preprocess, build }
    }

    /// One of Keras Applications, under its names.
    pub(super) const fn keras(
        name: &'static str,
        family: &'static str,
        size: usize,
        preprocess: fn(usize) -> (PreprocessSpec, f64),
        build: fn(&BuildOptions) -> Graph,
    ) -> BackboneInfo {
        let info = BackboneInfo::new(name, family, size, build);
        BackboneInfo { classifier: Some("predictions.weight"), naming: Naming::KERAS, preprocess, ..info }
    }

    /// The whole network as a graph, classifier and taps included.
    #[doc(hidden)]
    pub fn graph(&self, options: &BuildOptions) -> Graph {
        (self.build)(options)
    }

    /// Its pretrained weights, the default first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'static WeightsEntry> + use<> {
        let name = self.name;
        self.entries.iter().filter(move |entry| entry.backbone == name)
    }
}
