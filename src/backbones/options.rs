//! Settings of a backbone's graph.

use serde::{Deserialize, Serialize};

use crate::weights::mapping::Dialect;

/// The original that a graph follows where two of the same name differ.
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

impl From<Dialect> for Flavour {
    fn from(dialect: Dialect) -> Flavour {
        match dialect {
            Dialect::Native => Flavour::Torchvision,
            Dialect::Timm => Flavour::Timm,
            Dialect::Keras => Flavour::Keras,
        }
    }
}

/// Settings of a backbone's graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOptions {
    /// Outputs of the classifier.
    pub classes: usize,
    /// The original to follow.
    pub flavour: Flavour,
    /// Whether the network itself turns torchvision's input range into the one of its weights
    /// (Inception v3, GoogLeNet).
    pub input_transform: bool,
}

impl Default for BuildOptions {
    /// ImageNet's 1,000 classes, torchvision's flavour.
    fn default() -> Self {
        BuildOptions { classes: 1000, flavour: Flavour::default(), input_transform: false }
    }
}
