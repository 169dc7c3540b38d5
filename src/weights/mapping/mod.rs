//! Files of other libraries under the names and axis orders of our graphs.
//!
//! A map knows how one library names one network's tensors; [`adapt`] finds the map by the names in the file. What no map knows keeps its name, so
//! that an audit shows it.

mod applications;
mod keras;
mod mapped;
mod timm;
mod torchvision;
mod transformers;

use std::collections::BTreeSet;

use super::TensorSource;
use crate::graph::Parameter;

pub use mapped::{Axes, Mapped};

/// Whose conventions a file follows. Beside names these are padding, epsilon and preprocess, so that a graph has to follow the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// torchvision's, or whatever the graph itself was written after.
    Native,
    /// timm's: torchvision's but for names, the epsilon of MobileNet V3's norms (1e-5), and what ViT wants to see (also Hugging Face's).
    Timm,
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

/// All names of a file.
type Names = BTreeSet<String>;

/// Renames a tensor and says how to turn its axes; `None` for tensors that the network does not have.
type Rename = fn(&Parameter, &Names) -> Option<(String, Axes)>;

/// How one library names the tensors of some networks.
struct NameMap {
    /// The networks, by the start of their names.
    backbones: &'static [&'static str],
    dialect: Dialect,
    /// The name of a tensor, after renaming, that every such file has.
    witness: &'static str,
    rename: Rename,
}

const MAPS: &[NameMap] = &[
    NameMap {
        backbones: &["densenet"],
        dialect: Dialect::Native,
        witness: "features.denseblock1.denselayer1.norm1.weight",
        rename: torchvision::densenet,
    },
    NameMap { backbones: &["squeezenet1_1"], dialect: Dialect::Keras, witness: "features.0.weight", rename: keras::squeezenet },
    NameMap { backbones: &["mobilenet_v2_keras"], dialect: Dialect::Keras, witness: "Conv1.weight", rename: keras::slim_mobilenet_v2 },
    NameMap { backbones: &["mobilenet_v2"], dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm::mobilenet_v2 },
    NameMap { backbones: &["mobilenet_v3"], dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm::mobilenet_v3 },
    NameMap { backbones: &["efficientnet_lite"], dialect: Dialect::Timm, witness: "_conv_stem.weight", rename: timm::efficientnet_lite },
    NameMap { backbones: &["efficientnet_b"], dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm::efficientnet },
    NameMap { backbones: &["convnext"], dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm::convnext },
    NameMap { backbones: &["vgg"], dialect: Dialect::Timm, witness: "classifier.0.weight", rename: timm::vgg },
    transformer(&["vit_b_16"], Dialect::Native, transformers::torchvision_vit),
    transformer(&["vit_b_16"], Dialect::Timm, transformers::huggingface_vit),
    transformer(&["dinov2"], Dialect::Native, transformers::huggingface_dinov2),
    transformer(&["clip"], Dialect::Native, transformers::huggingface_clip),
    transformer(&["clip"], Dialect::Native, transformers::openai_clip),
];

/// Libraries name transformers each in their own way and compute them alike; the dialect tells what ViT's weights want to see.
const fn transformer(backbones: &'static [&'static str], dialect: Dialect, rename: Rename) -> NameMap {
    NameMap { backbones, dialect, witness: "patch_embed.proj.weight", rename }
}

/// Networks whose graphs carry the layer names of Keras Applications.
const KERAS: [&str; 6] = ["vgg16_keras", "vgg19_keras", "resnet50_keras", "inception_v3_keras", "xception", "mobilenet_v2_keras"];

/// Puts a source under the names of the graph of `backbone`, which needs these parameters, if it is named by a library that is known; else leaves it
/// as it is.
///
/// The digest of a renamed source depends on the file and on what became of each name.
pub fn adapt(backbone: &str, needed: &[Parameter], source: Box<dyn TensorSource>) -> Adapted {
    let entries = source.entries();
    let names: Names = entries.iter().map(|p| p.name.clone()).collect();
    let fits = |map: &&NameMap| {
        let renamed = |p: &Parameter| (map.rename)(p, &names).is_some_and(|(name, _)| name == map.witness);
        map.backbones.iter().any(|start| backbone.starts_with(start)) && !names.contains(map.witness) && entries.iter().any(renamed)
    };
    if let Some(map) = MAPS.iter().find(fits) {
        return Adapted { source: Box::new(Mapped::new(source, |p| (map.rename)(p, &names))), dialect: map.dialect };
    }
    let kept = match KERAS.contains(&backbone) {
        true => applications::adapt(needed, source),
        false => Err(source),
    };
    // The graph of ViT itself has timm's names.
    let dialect = if backbone == "vit_b_16" { Dialect::Timm } else { Dialect::Native };
    kept.unwrap_or_else(|source| Adapted { source, dialect })
}

#[cfg(test)]
mod tests;
