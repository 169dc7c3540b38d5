//! The zoo: one file a family, each writing its networks down as graphs under the parameter names of their originals.

mod alexnet;
mod build;
mod clip;
mod convnext;
mod densenet;
mod dinov2;
mod efficientnet;
mod efficientnet_lite;
mod entries;
mod googlenet;
mod inception;
mod mobilenet_v2;
mod mobilenet_v3;
mod resnet;
mod shufflenet;
mod squeezenet;
mod transformer;
mod vgg;
mod vit;
mod xception;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::graph::Graph;
use crate::{Error, Result, nearest};

#[doc(hidden)]
pub use entries::{Opened, open_weights};
pub use entries::{Source, WeightsEntry, entries, find_entry};

/// Which original a graph follows where two of the same name differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// torchvision's (or the only one there is).
    #[default]
    Torchvision,
    /// timm's: the epsilon of MobileNet V3's norms.
    Timm,
    /// Keras's: other padding, rounding or epsilon.
    Keras,
}

/// What a graph depends on beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Outputs of the classifier.
    pub classes: usize,
    /// Which original to follow.
    pub flavour: Flavour,
    /// Whether the network itself turns torchvision's input range into the one of its weights (Inception v3, GoogLeNet).
    pub input_transform: bool,
}

impl Default for Options {
    /// ImageNet's 1,000 classes, torchvision's flavour.
    fn default() -> Self {
        Options { classes: 1000, flavour: Flavour::default(), input_transform: false }
    }
}

/// One network of the zoo.
#[derive(Debug, Clone)]
pub struct BackboneInfo {
    /// torchvision's name where it has one: `resnet50`; with `_keras` behind it for Keras's network of that name where they differ.
    pub name: &'static str,
    /// Its family in words: `ResNet`.
    pub family: &'static str,
    /// Side of the square input that it was made for, in pixels.
    pub size: usize,
    /// The tensor whose first extent is the number of classes, where there is one.
    pub classifier: Option<&'static str>,
    build: fn(&Options) -> Graph,
}

impl BackboneInfo {
    /// The whole network as a graph, classifier and taps included.
    pub fn graph(&self, options: &Options) -> Graph {
        (self.build)(options)
    }
}

/// Every backbone, family by family.
pub fn all() -> &'static [BackboneInfo] {
    static ALL: OnceLock<Vec<BackboneInfo>> = OnceLock::new();
    ALL.get_or_init(|| {
        [
            &alexnet::ALL[..],
            &vgg::ALL,
            &resnet::ALL,
            &squeezenet::ALL,
            &densenet::ALL,
            &inception::ALL,
            &xception::ALL,
            &googlenet::ALL,
            &shufflenet::ALL,
            &mobilenet_v2::ALL,
            &mobilenet_v3::ALL,
            &efficientnet::ALL,
            &efficientnet_lite::ALL,
            &convnext::ALL,
            &vit::ALL,
            &dinov2::ALL,
            &clip::ALL,
        ]
        .concat()
    })
}

/// The backbone of this name.
///
/// # Errors
/// An unknown name: says the nearest.
///
/// ```
/// let vgg16 = headstart::backbones::find("vgg16")?;
/// assert_eq!((vgg16.family, vgg16.size), ("VGG", 224));
/// let mistyped = headstart::backbones::find("resnet5O").unwrap_err();
/// assert!(mistyped.to_string().contains("did you mean `resnet50`?"));
/// # Ok::<(), headstart::Error>(())
/// ```
pub fn find(name: &str) -> Result<&'static BackboneInfo> {
    all().iter().find(|b| b.name == name).ok_or_else(|| {
        let hint = match nearest(name, all().iter().map(|b| b.name)) {
            Some(near) => format!("did you mean `{near}`? `headstart backbones` lists them all"),
            None => "`headstart backbones` lists them all".into(),
        };
        Error::setting(format!("no backbone `{name}`"), hint)
    })
}

#[cfg(test)]
mod tests;
