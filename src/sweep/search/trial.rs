//! One trial of a sweep.

use serde_json::{Map, Value};

use crate::heads::HeadSpec;
use crate::sweep::settings::protocol::Protocol;
use crate::sweep::sources::source::Source;

/// One head with one setting, on one set of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number, from 0, in the order of the plan.
    pub number: usize,
    /// Its settings, without those that its head does not use.
    pub settings: Map<String, Value>,
    /// The features that it reads; several are joined. The first input's source has its labels.
    pub(crate) inputs: Vec<Input>,
    /// Number of training rows of each class, where they are limited.
    pub shots: Option<usize>,
    /// The head.
    pub(crate) spec: HeadSpec,
    /// Digest of everything that decides its numbers.
    pub id: String,
}

/// A tap of a source, by their indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Input {
    /// Index of the source.
    pub source: usize,
    /// Index of the tap among the source's taps.
    pub tap: usize,
}

impl Trial {
    /// Index of the source whose rows and labels it is trained and judged on.
    pub(crate) fn source(&self) -> usize {
        self.inputs[0].source
    }

    /// Number of its trainings. A head that is solved for is the same whatever the seed: where all
    /// repeats have the same rows, one is enough.
    pub(crate) fn runs(&self, source: &Source, protocol: Protocol) -> usize {
        let same_rows = protocol.folds == 1 && !source.partition.val.is_empty() && self.shots.is_none();
        if same_rows && self.spec.params().head.is_solved() { 1 } else { protocol.runs() }
    }
}

/// The settings of a trial, by which a Bayesian search draws the next one.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'r> {
    /// Number of the trial.
    pub number: usize,
    /// Its settings.
    pub settings: &'r Map<String, Value>,
}
