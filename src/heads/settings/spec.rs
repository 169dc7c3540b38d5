//! A head with settings that have been checked: every dimension is known.

use serde::{Deserialize, Serialize};

use super::choices::Loss;
use super::config::HeadConfig;
use super::optimizer::Optimizer;
use super::params::Params;

/// The data that a head is fitted to: the shape of the features and the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit<'a> {
    /// The tap's name, for messages.
    pub tap: &'a str,
    /// Shape of one row: `[D]` or `[C, H, W]`.
    pub shape: &'a [usize],
    /// Number of classes.
    pub classes: usize,
    /// Whether rows may have several classes.
    pub many: bool,
}

/// The fully connected layers (with ReLUs between them) that a backbone has behind a tap. The last
/// one stands for the backbone's own classes; a head replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenLayers {
    /// The tap that they lie behind.
    pub tap: String,
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether dropout lies before each layer, the last one included.
    pub dropouts: Vec<bool>,
}

/// A head whose settings have been checked: it fits its features, and every dimension is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "FlatSpec", into = "FlatSpec")]
pub struct HeadSpec {
    params: Params,
    config: HeadConfig,
    optimizer: Optimizer,
    /// Features of one row as the first layer sees them.
    pub(crate) inputs: usize,
    /// Number of classes.
    pub(crate) classes: usize,
    /// Units of the last layer: the classes, or 1 where two classes share a sigmoid.
    pub(crate) outputs: usize,
    /// The loss, no longer `auto`.
    pub(crate) loss: Loss,
    /// Whether there is a sigmoid per class although classes exclude each other: probabilities are
    /// then divided by their sum.
    pub(crate) exclusive: bool,
}

/// A head in files: settings flat, as a sweep file names them.
#[derive(Serialize, Deserialize)]
pub(super) struct FlatSpec {
    pub(super) params: Params,
    pub(super) inputs: usize,
    pub(super) classes: usize,
    pub(super) outputs: usize,
    pub(super) loss: Loss,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) exclusive: bool,
    /// Of a classifier: whether dropout lies before each of its layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) classifier_dropouts: Vec<bool>,
}

impl From<FlatSpec> for HeadSpec {
    fn from(flat: FlatSpec) -> HeadSpec {
        let FlatSpec { params, inputs, classes, outputs, loss, exclusive, classifier_dropouts } = flat;
        let (config, optimizer) = (HeadConfig::new(&params, classifier_dropouts), Optimizer::new(&params));
        HeadSpec { params, config, optimizer, inputs, classes, outputs, loss, exclusive }
    }
}

impl From<HeadSpec> for FlatSpec {
    fn from(spec: HeadSpec) -> FlatSpec {
        let classifier_dropouts = match spec.config {
            HeadConfig::Classifier { drops, .. } => drops,
            HeadConfig::Linear { .. }
            | HeadConfig::Dense { .. }
            | HeadConfig::Gap
            | HeadConfig::GapDropout { .. }
            | HeadConfig::Ridge { .. }
            | HeadConfig::LogisticRegression { .. }
            | HeadConfig::Knn { .. }
            | HeadConfig::NearestMean => vec![],
        };
        let HeadSpec { params, inputs, classes, outputs, loss, exclusive, .. } = spec;
        FlatSpec { params, inputs, classes, outputs, loss, exclusive, classifier_dropouts }
    }
}

impl HeadSpec {
    /// The settings that it was made from.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Its kind with the settings of this kind.
    pub fn config(&self) -> &HeadConfig {
        &self.config
    }

    /// The optimiser that trains it, unless it is solved for.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The same features and classes with other settings.
    pub(crate) fn with(&self, params: Params) -> HeadSpec {
        let flat = FlatSpec::from(self.clone());
        HeadSpec::from(FlatSpec { params, ..flat })
    }

    /// The same head with the seed of a repetition.
    pub fn repeated(&self, repeat: usize) -> HeadSpec {
        let mut spec = self.clone();
        spec.params.seed += repeat as u64;
        spec
    }

    /// The same head, trained to its last epoch.
    pub fn without_patience(&self) -> HeadSpec {
        let mut spec = self.clone();
        spec.params.patience = 0;
        spec
    }

    /// Units of each layer, the input first and the output last. Nearest neighbours have no layer.
    pub fn dims(&self) -> Vec<usize> {
        match self.config.layers() {
            0 => vec![self.inputs],
            _ => [&[self.inputs], self.config.hidden(), &[self.outputs]].concat(),
        }
    }

    /// Whether it is solved for, without a learning rate, rather than trained.
    pub fn is_solved(&self) -> bool {
        self.params.head.is_solved()
    }

    /// Whether each class has an independent probability. (Otherwise all classes share one
    /// distribution, as do two classes with one sigmoid.)
    pub fn is_each(&self) -> bool {
        self.loss == Loss::Sigmoid && self.outputs == self.classes && !self.exclusive
    }

    /// Whether the sigmoids of classes are divided by their sum, as scikit-learn's one-versus-rest
    /// does: the softmax of their logarithms.
    pub fn is_one_versus_rest(&self) -> bool {
        self.exclusive
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The loss that is minimised: softmax or sigmoid.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether maps are pooled before the first layer.
    pub fn pools(&self) -> bool {
        self.params.head.pools()
    }

    /// Whether the features go through a batch norm.
    pub fn has_batch_norm(&self) -> bool {
        self.params.batch_norm && !self.is_solved()
    }

    /// Dropout rate of each layer's input.
    pub fn dropouts(&self) -> Vec<f32> {
        self.config.dropouts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that an earlier version wrote, whose settings were fields of one struct.
    #[test]
    fn files_hold_the_flat_settings_byte_for_byte_as_before() {
        let text = include_str!("../../../tests/goldens/head_spec.json");
        let spec: HeadSpec = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&spec).unwrap(), text.trim_end());
        let HeadConfig::Classifier { hidden, dropout, drops } = spec.config() else { panic!("{:?}", spec.config()) };
        assert_eq!((&**hidden, *dropout, &**drops), (&[4096, 4096][..], 0.5, &[true, true, false][..]));
        let Optimizer::Rmsprop(rmsprop) = spec.optimizer() else { panic!("{:?}", spec.optimizer()) };
        assert_eq!((rmsprop.alpha, rmsprop.eps), (0.95, 1e-8));
        assert_eq!((spec.dims(), spec.dropouts()), (vec![9216, 4096, 4096, 3], vec![0.5, 0.5, 0.0]));
    }
}
