//! A head with settings that have been checked: every dimension is known.

use serde::{Deserialize, Serialize};

use super::choices::{HeadKind, Loss};
use super::params::Params;

/// What a head is fitted to: the features' shape and the classes.
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

/// Plain description of the fully connected layers (with ReLUs between them) that a backbone has behind a tap. The last one answers for the
/// backbone's own classes: a head has one of its own in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenLayers {
    /// The tap that they lie behind.
    pub tap: String,
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether dropout lies before each layer, the last one included.
    pub dropouts: Vec<bool>,
}

/// Checked parameters: a head that fits its features, with every dimension known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// The settings it was made of.
    pub(crate) params: Params,
    /// Features of one row as the first layer sees them.
    pub(crate) inputs: usize,
    /// Number of classes.
    pub(crate) classes: usize,
    /// Units of the last layer: the classes, or 1 where two classes share a sigmoid.
    pub(crate) outputs: usize,
    /// The loss, no longer `auto`.
    pub(crate) loss: Loss,
    /// Whether sigmoids, one a class, are those of classes that exclude each other: their probabilities are divided by their sum.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exclusive: bool,
    /// Of a classifier: whether dropout lies before each of its layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) classifier_dropouts: Vec<bool>,
}

impl HeadSpec {
    /// The settings.
    pub fn params(&self) -> &Params {
        &self.params
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
        if self.params.head == HeadKind::Knn {
            return vec![self.inputs];
        }
        let layered = matches!(self.params.head, HeadKind::Dense | HeadKind::Classifier);
        let hidden: &[usize] = if layered { &self.params.hidden } else { &[] };
        [&[self.inputs], hidden, &[self.outputs]].concat()
    }

    /// Whether each class has a probability of its own, rather than all one distribution (as two classes that share a sigmoid have).
    pub fn is_each(&self) -> bool {
        self.loss == Loss::Sigmoid && self.outputs == self.classes && !self.exclusive
    }

    /// Whether the sigmoids of classes are divided by their sum, as scikit-learn's one-versus-rest does: the softmax of their logarithms.
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
        matches!(self.params.head, HeadKind::Gap | HeadKind::GapDropout)
    }

    /// Whether the features go through a batch norm.
    pub fn has_batch_norm(&self) -> bool {
        self.params.batch_norm && !self.params.head.is_solved()
    }

    /// Dropout rate of each layer's input.
    pub fn dropouts(&self) -> Vec<f32> {
        let p = &self.params;
        let first = match p.head {
            HeadKind::Linear | HeadKind::GapDropout => p.dropout,
            HeadKind::Dense => p.input_dropout,
            _ => 0.0,
        };
        let mut rates = vec![p.dropout; self.dims().len() - 1];
        rates[0] = first;
        if p.head == HeadKind::Classifier {
            rates = self.classifier_dropouts.iter().map(|&drops| if drops { p.dropout } else { 0.0 }).collect();
            rates.resize(self.dims().len() - 1, 0.0);
        }
        rates
    }
}
