//! A backbone's own fully connected layers as a head: `head: classifier`.

use std::sync::Arc;

use crate::Result;
use crate::heads::fitted::head::Head;
use crate::heads::fitted::layer::Layer;
use crate::heads::settings::choices::Init;
use crate::heads::settings::spec::{HeadSpec, HiddenLayers};

/// Reads the weights of the hidden layers, first to last.
type Read = dyn Fn() -> Result<Vec<Layer>> + Send + Sync;

/// A backbone's fully connected layers, whose weights are read where a head starts from them.
#[derive(Clone)]
pub struct PretrainedLayers {
    /// Their place in the backbone and their sizes.
    pub hidden: HiddenLayers,
    read: Arc<Read>,
}

impl PretrainedLayers {
    /// Layers of these sizes. `read` is called by each trial that starts from pretrained weights,
    /// and by no other.
    pub fn new(hidden: HiddenLayers, read: impl Fn() -> Result<Vec<Layer>> + Send + Sync + 'static) -> PretrainedLayers {
        PretrainedLayers { hidden, read: Arc::new(read) }
    }

    /// A head before its first step. If its settings ask for them, all layers but the last start
    /// from the backbone's weights.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn start(&self, spec: &HeadSpec) -> Result<Head> {
        if spec.params().init != Init::Pretrained {
            return Ok(Head::initial(spec));
        }
        let mut layers = (self.read)()?;
        layers.push(Layer::initial(spec, layers.len()));
        Ok(Head::of_layers(spec, layers))
    }
}
