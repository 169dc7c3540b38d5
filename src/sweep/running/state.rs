//! How far each trial of a cohort is.

use std::sync::{Arc, OnceLock};

use crate::heads::{FeatureTable, HeadSpec, Partition, Trained, Training, Transform};
use crate::sweep::results::record::{EpochRecord, FinishedTrial};
use crate::sweep::results::result::TrialResult;
use crate::sweep::search::trial::Trial;

/// A trained head and the transform of its features.
pub(super) struct KeptHead {
    pub(super) trained: Trained,
    pub(super) transform: Transform,
}

/// Everything that one training of a trial reads.
pub(super) struct Run {
    pub(super) features: Arc<dyn FeatureTable>,
    pub(super) transform: Transform,
    pub(super) partition: Arc<Partition>,
    pub(super) spec: HeadSpec,
}

/// How far a trial is.
pub(super) enum State<'p> {
    Waiting,
    /// Brought so far by an earlier run.
    Past(FinishedTrial),
    Training(InTraining<'p>),
    Ended(TrialResult),
    /// Not begun, since the time is up.
    LeftOut,
}

/// A trial in training.
pub(super) struct InTraining<'p> {
    pub(super) runs: Vec<Training<'p>>,
    pub(super) transforms: Vec<Transform>,
    pub(super) history: Vec<EpochRecord>,
    pub(super) seconds: f64,
}

impl<'p> InTraining<'p> {
    pub(super) fn new(of: &[Run], runs: Vec<Training<'p>>) -> InTraining<'p> {
        InTraining { runs, transforms: of.iter().map(|run| run.transform.clone()).collect(), history: vec![], seconds: 0.0 }
    }
}

/// A trial of a cohort, its runs once they are made, and how far it is.
pub(super) struct Member<'m, 'p> {
    pub(super) trial: &'m Trial,
    pub(super) runs: &'p OnceLock<Vec<Run>>,
    pub(super) state: &'m mut State<'p>,
}
