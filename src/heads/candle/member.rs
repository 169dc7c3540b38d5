//! A head of a group.

use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::dropout::Dropout;

/// A head of the group.
pub(super) struct Member {
    pub spec: HeadSpec,
    /// Of each layer's input.
    pub dropouts: Vec<Dropout>,
}

impl Member {
    pub(super) fn new(spec: &HeadSpec) -> Member {
        Member { spec: spec.clone(), dropouts: Dropout::of(spec) }
    }

    pub(super) fn weight_decay(&self) -> f64 {
        self.spec.params().weight_decay
    }
}
