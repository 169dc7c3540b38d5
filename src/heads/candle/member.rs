//! A head of a group.

use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::dropout::Dropout;

/// A head of the group.
pub struct Member {
    pub spec: HeadSpec,
    /// Of each layer's input.
    pub dropouts: Vec<Dropout>,
}

impl Member {
    pub fn new(spec: &HeadSpec) -> Member {
        Member { spec: spec.clone(), dropouts: Dropout::of(spec) }
    }

    pub fn weight_decay(&self) -> f64 {
        self.spec.params().weight_decay
    }
}
