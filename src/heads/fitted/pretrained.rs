//! A backbone's own fully connected layers as a head: `head: classifier`.

use std::sync::Arc;

use crate::Result;
use crate::heads::fitted::head::{Head, Layer};
use crate::heads::settings::choices::Init;
use crate::heads::settings::params::HeadSpec;

/// What reads the weights of the hidden layers, first to last.
type Read = dyn Fn() -> Result<Vec<Layer>> + Send + Sync;

/// The fully connected layers (with ReLUs between them) that a backbone has behind a tap. The last one answers for the backbone's own classes: a
/// head has one of its own in its place.
#[derive(Clone)]
pub struct Classifier {
    /// The tap that they lie behind.
    pub tap: String,
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    /// Whether dropout lies before each layer, the last one included.
    pub dropouts: Vec<bool>,
    read: Arc<Read>,
}

impl Classifier {
    /// Layers of these sizes. `read` is called by each trial that starts from pretrained weights, and by no other.
    pub fn new(
        tap: impl Into<String>,
        hidden: Vec<usize>,
        dropouts: Vec<bool>,
        read: impl Fn() -> Result<Vec<Layer>> + Send + Sync + 'static,
    ) -> Classifier {
        Classifier { tap: tap.into(), hidden, dropouts, read: Arc::new(read) }
    }

    /// A head before its first step: with the backbone's weights up to the last layer where its settings ask for them.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn start(&self, spec: &HeadSpec) -> Result<Head> {
        if spec.params().init != Init::Pretrained {
            return Ok(Head::initial(spec));
        }
        let mut layers = (self.read)()?;
        let (weight, bias) = spec.initial(layers.len());
        layers.push(Layer { weight, bias });
        Ok(Head::of_layers(spec, layers))
    }
}
