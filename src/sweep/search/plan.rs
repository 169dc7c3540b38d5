//! The trials of a sweep, cohort by cohort.

use std::collections::{HashSet, VecDeque};

use super::builder::{Candidate, TrialBuilder, grid};
use super::conflicts::{self, Conflict};
use super::tpe::{STARTUP, Tpe};
use super::trial::{Observed, Trial};
use crate::Result;
use crate::sweep::settings::axis::Axis;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::settings::method::Method;
use crate::sweep::sources::source::Source;

/// Number of trials of a search by draws whose file names no `run_cap`.
const DEFAULT_CAP: usize = 30;
/// Number of trials of a Bayesian search that are drawn from the same results. A constant, so that
/// the search does not depend on the number of threads.
const GENERATION: usize = 8;
/// Number of draws for a trial that the sweep does not have yet.
const ATTEMPTS: usize = 100;
/// Number of trials in training at a time where some are ended early: those that wait for the
/// others to be judged stay in memory.
const COHORT: usize = 16;

/// The trials of a sweep, cohort by cohort. Trials of one cohort are independent of each other;
/// each cohort may build on the results of those before it.
pub struct Search<'a> {
    builder: TrialBuilder<'a>,
    axes: Vec<Axis>,
    /// Trials that are decided but not handed out.
    waiting: VecDeque<Trial>,
    handed_out: usize,
    /// Largest number of trials, where they are not all decided from the start.
    cap: usize,
    /// Digests of all trials so far.
    seen: HashSet<String>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

impl<'a> Search<'a> {
    /// Lists the trials of a sweep; of a Bayesian search, those that it starts with.
    ///
    /// # Errors
    /// An unknown cache or tap, a head that fits none of them, a grid without a trial.
    pub fn new(config: &'a SweepConfig, sources: &'a [Source], trainer: &'a str) -> Result<Search<'a>> {
        let builder = TrialBuilder::new(config, sources, trainer);
        let axes = builder.axes();
        config.check()?;
        conflicts::refuse_report_by(config, &axes)?;
        let cap = config.run_cap.unwrap_or(if config.method == Method::Grid { usize::MAX } else { DEFAULT_CAP });
        let first = if config.method == Method::Bayes { cap.min(STARTUP) } else { cap };
        let candidates = if config.method == Method::Grid { grid(&axes)? } else { builder.random(&axes, first) };
        let mut search = Search { builder, axes, waiting: VecDeque::new(), handed_out: 0, cap, seen: HashSet::new(), notes: vec![] };
        let mut conflicts = vec![];
        for settings in candidates {
            if search.waiting.len() == first {
                break;
            }
            match search.builder.trial(settings.clone())? {
                Candidate::Trial(trial) => search.take(*trial),
                Candidate::Conflict(reason) => conflicts.push(Conflict { settings, reason }),
            }
        }
        search.notes = conflicts::judge(config, conflicts, &search.waiting)?;
        conflicts::refuse_without_effect(config, &search.waiting)?;
        Ok(search)
    }

    /// Adds a trial unless the sweep has it.
    fn take(&mut self, trial: Trial) {
        if self.seen.insert(trial.id.clone()) {
            let number = self.handed_out + self.waiting.len();
            self.waiting.push_back(Trial { number, ..trial });
        }
    }

    /// Number of trials; of a Bayesian search, the largest.
    pub fn total(&self) -> usize {
        if self.builder.config.method == Method::Bayes { self.cap } else { self.handed_out + self.waiting.len() }
    }

    /// Whether a trial of this digest is planned so far.
    pub(crate) fn plans(&self, id: &str) -> bool {
        self.seen.contains(id)
    }

    /// The next trials, given those so far, the best first. An empty list means that none are left.
    ///
    /// # Errors
    /// As [`Search::new`].
    pub fn next(&mut self, ranked: &[Observed<'_>]) -> Result<Vec<Trial>> {
        let config = self.builder.config;
        if self.waiting.is_empty() && config.method == Method::Bayes {
            self.propose(ranked)?;
        }
        let most = if config.early_terminate.is_some() { COHORT } else { usize::MAX };
        let cohort: Vec<Trial> = self.waiting.drain(..self.waiting.len().min(most)).collect();
        self.handed_out += cohort.len();
        Ok(cohort)
    }

    /// Draws a generation of a Bayesian search. Where settings are few, draws repeat: after many of
    /// them the space counts as exhausted.
    fn propose(&mut self, ranked: &[Observed<'_>]) -> Result<()> {
        let tpe = Tpe::new(ranked.to_vec(), self.builder.config.seed);
        for place in 0..GENERATION.min(self.cap - self.handed_out.min(self.cap)) {
            let before = self.waiting.len();
            for attempt in 0..ATTEMPTS {
                if let Candidate::Trial(trial) = self.builder.trial(tpe.draw(&self.axes, self.handed_out + place, attempt))? {
                    self.take(*trial);
                }
                if self.waiting.len() > before {
                    break;
                }
            }
        }
        Ok(())
    }
}
