//! A sweep to be run, and who watches it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::heads::{Epoch, Trainer};
use crate::sweep::results::result::TrialResult;
use crate::sweep::search::trial::Trial;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::sources::source::Source;

/// A sweep to be run.
pub struct SweepJob {
    /// The caches that it runs on.
    pub sources: Vec<Source>,
    /// Its settings.
    pub config: SweepConfig,
    /// The directory for its files. The same sweep resumes there; another sweep's files move into
    /// the folder `earlier` first.
    pub out: PathBuf,
    /// The trainer of its heads.
    pub trainer: Arc<dyn Trainer>,
}

/// Watches a sweep. Calls come from many threads.
pub trait Observer: Sync {
    /// The sweep begins; `trials` is the number of its trials, or the largest.
    fn started(&self, _trials: usize) {}
    /// A trial is taken from an earlier run, which finished it.
    fn reused(&self, _result: &TrialResult) {}
    /// A trial has gone through an epoch.
    fn epoch(&self, _trial: &Trial, _epoch: &Epoch) {}
    /// A trial has come to its end.
    fn finished(&self, _result: &TrialResult) {}
    /// A note for the user.
    fn note(&self, _note: &str) {}
}

/// Watches nothing.
impl Observer for () {}
