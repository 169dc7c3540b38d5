//! A head by its kind, with the settings of this kind and no others.

use super::choices::{Activation, HeadKind};
use super::params::Params;

/// Kind and shape of a head.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadConfig {
    /// Dropout and one fully connected layer.
    Linear {
        /// Rate before the layer.
        dropout: f32,
    },
    /// Fully connected layers with an activation and dropout between them.
    Dense {
        /// Units of the hidden layers, first to last.
        hidden: Vec<usize>,
        /// Activation of the hidden layers.
        activation: Activation,
        /// Rate behind each hidden layer.
        dropout: f32,
        /// Rate before the first layer.
        input_dropout: f32,
    },
    /// Global average pooling of a map, then a linear layer.
    Gap,
    /// Global average pooling of a map, dropout, then a linear layer.
    GapDropout {
        /// Rate before the layer.
        dropout: f32,
    },
    /// The backbone's own fully connected layers with ReLUs between them, the last one replaced.
    Classifier {
        /// Units of the hidden layers, first to last.
        hidden: Vec<usize>,
        /// Rate of each dropout.
        dropout: f32,
        /// Whether dropout lies before each layer; layers beyond its end have none.
        drops: Vec<bool>,
    },
    /// Least squares on ±1 targets: a linear layer, solved for.
    Ridge {
        /// Strength of the penalty.
        alpha: f64,
    },
    /// Logistic regression with an L2 penalty: a linear layer, solved for.
    LogisticRegression {
        /// Inverse strength of the penalty.
        c: f64,
        /// Largest entry of the gradient at the end.
        tol: f64,
    },
    /// Weighted k nearest neighbours.
    Knn {
        /// Number of neighbours that vote.
        k: usize,
        /// A vote weighs exp(cosine similarity / temperature).
        temperature: f64,
    },
    /// The nearest class mean: a linear layer.
    NearestMean,
}

impl HeadConfig {
    /// The head that some settings name. `drops` belongs to [`HeadConfig::Classifier`] and tells
    /// which layers have dropout before them.
    pub(super) fn new(params: &Params, drops: Vec<bool>) -> HeadConfig {
        let Params { dropout, input_dropout, activation, .. } = *params;
        match params.head {
            HeadKind::Linear => HeadConfig::Linear { dropout },
            HeadKind::Dense => HeadConfig::Dense { hidden: params.hidden.clone(), activation, dropout, input_dropout },
            HeadKind::Gap => HeadConfig::Gap,
            HeadKind::GapDropout => HeadConfig::GapDropout { dropout },
            HeadKind::Classifier => HeadConfig::Classifier { hidden: params.hidden.clone(), dropout, drops },
            HeadKind::Ridge => HeadConfig::Ridge { alpha: params.alpha },
            HeadKind::Logreg => HeadConfig::LogisticRegression { c: params.c, tol: params.tol },
            HeadKind::Knn => HeadConfig::Knn { k: params.k, temperature: params.temperature },
            HeadKind::NearestMean => HeadConfig::NearestMean,
        }
    }

    /// Units of the hidden layers, first to last.
    pub fn hidden(&self) -> &[usize] {
        match self {
            HeadConfig::Dense { hidden, .. } | HeadConfig::Classifier { hidden, .. } => hidden,
            HeadConfig::Linear { .. }
            | HeadConfig::Gap
            | HeadConfig::GapDropout { .. }
            | HeadConfig::Ridge { .. }
            | HeadConfig::LogisticRegression { .. }
            | HeadConfig::Knn { .. }
            | HeadConfig::NearestMean => &[],
        }
    }

    /// Activation of the hidden layers. A head without any reports ReLU.
    pub fn activation(&self) -> Activation {
        match self {
            HeadConfig::Dense { activation, .. } => *activation,
            HeadConfig::Linear { .. }
            | HeadConfig::Gap
            | HeadConfig::GapDropout { .. }
            | HeadConfig::Classifier { .. }
            | HeadConfig::Ridge { .. }
            | HeadConfig::LogisticRegression { .. }
            | HeadConfig::Knn { .. }
            | HeadConfig::NearestMean => Activation::Relu,
        }
    }

    /// Number of layers with weights.
    pub fn layers(&self) -> usize {
        match self {
            HeadConfig::Knn { .. } => 0,
            HeadConfig::Dense { hidden, .. } | HeadConfig::Classifier { hidden, .. } => hidden.len() + 1,
            HeadConfig::Linear { .. }
            | HeadConfig::Gap
            | HeadConfig::GapDropout { .. }
            | HeadConfig::Ridge { .. }
            | HeadConfig::LogisticRegression { .. }
            | HeadConfig::NearestMean => 1,
        }
    }

    /// Dropout rate of each layer's input.
    pub fn dropouts(&self) -> Vec<f32> {
        let mut rates = vec![0.0; self.layers()];
        match self {
            HeadConfig::Linear { dropout } | HeadConfig::GapDropout { dropout } => rates[0] = *dropout,
            HeadConfig::Dense { dropout, input_dropout, .. } => {
                rates.fill(*dropout);
                rates[0] = *input_dropout;
            }
            HeadConfig::Classifier { dropout, drops, .. } => {
                rates.iter_mut().zip(drops).filter(|(_, drops)| **drops).for_each(|(rate, _)| *rate = *dropout);
            }
            HeadConfig::Gap
            | HeadConfig::Ridge { .. }
            | HeadConfig::LogisticRegression { .. }
            | HeadConfig::Knn { .. }
            | HeadConfig::NearestMean => {}
        }
        rates
    }
}
