//! What the trials of a sweep share, and the steps that every way of training takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::features::{Features, Recipe};
use super::job::{Observer, SweepJob};
use super::non_finite::FiniteTables;
use super::state::{KeptHead, Run, State};
use crate::Result;
use crate::heads::{Epoch, Head, HeadKind, HeadSpec, Metric, Partition, Solver, Task, Training, Watch, solve};
use crate::sweep::results::log::{Finished, Log};
use crate::sweep::results::record::{EpochRecord, FinalRecord, Record, Status};
use crate::sweep::results::result::{TrialResult, summary};
use crate::sweep::search::trial::Trial;
use crate::sweep::settings::metric::Rank;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, partition};

/// Trains trials and holds what they share.
pub(super) struct Runner<'a> {
    pub(super) job: &'a SweepJob,
    pub(super) observer: &'a dyn Observer,
    pub(super) log: Log,
    /// Trials that earlier runs finished.
    pub(super) finished: Finished,
    /// The moment from which no trial is begun.
    pub(super) deadline: Option<Instant>,
    pub(super) features: Features,
    finite: FiniteTables,
    /// Rows of each training, by source: trials of large caches share them.
    partitions: Mutex<HashMap<(usize, Rows), Arc<Partition>>>,
    /// The work that solved heads share, between cohorts.
    pub(super) solvers: Mutex<HashMap<Family, Vec<Solver>>>,
    best: Mutex<Option<Best>>,
}

/// Trials that share the work of solving: heads of one kind on the same features and rows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Family {
    pub(super) head: HeadKind,
    pub(super) recipe: Recipe,
    pub(super) shots: Option<usize>,
}

/// The best trial that this run trained.
struct Best {
    trial: usize,
    rank: Rank,
    /// Its heads, one a run.
    heads: Vec<KeptHead>,
}

/// A head trained on given rows.
pub(super) struct Fitted {
    pub(super) head: KeptHead,
    pub(super) partition: Arc<Partition>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(job: &'a SweepJob, observer: &'a dyn Observer, log: Log, finished: Finished) -> Runner<'a> {
        Runner {
            job,
            observer,
            log,
            finished,
            deadline: job.config.time_cap.and_then(|cap| Instant::now().checked_add(cap)),
            features: Features::default(),
            finite: FiniteTables::default(),
            partitions: Mutex::default(),
            solvers: Mutex::default(),
            best: Mutex::default(),
        }
    }

    /// The source whose rows a trial is trained and judged on.
    pub(super) fn source(&self, trial: &Trial) -> &'a Source {
        &self.job.sources[trial.source()]
    }

    /// The metric that heads are judged by.
    pub(super) fn metric(&self) -> Metric {
        self.job.config.metric
    }

    /// Checks that all features could be read so far. Asked before numbers count: parts of a cache
    /// that could not be read were taken for zeros.
    pub(super) fn intact(&self) -> Result<()> {
        self.job.sources.iter().try_for_each(Source::intact)
    }

    /// Refuses features that are not finite numbers. Asked where a head came out that is of no use.
    pub(super) fn refuse_non_finite(&self, trial: &Trial) -> Result<()> {
        self.finite.check(trial, &self.job.sources)
    }

    /// The rows of one training of a trial.
    pub(super) fn partition(&self, trial: &Trial, rows: Rows) -> Result<Arc<Partition>> {
        let source = trial.source();
        let mut known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partition) = known.get(&(source, rows)) {
            return Ok(partition.clone());
        }
        let partition = Arc::new(partition(&self.job.sources[source], self.job.config.protocol(), rows)?);
        known.insert((source, rows), partition.clone());
        Ok(partition)
    }

    /// The runs of a trial, made by the first who asks.
    pub(super) fn runs<'p>(&self, trial: &Trial, cell: &'p OnceLock<Vec<Run>>) -> Result<&'p [Run]> {
        if let Some(runs) = cell.get() {
            return Ok(runs);
        }
        let runs = trial.runs(self.source(trial), self.job.config.protocol());
        let runs = (0..runs).map(|run| self.make(trial, run)).collect::<Result<Vec<_>>>()?;
        Ok(cell.get_or_init(|| runs))
    }

    fn make(&self, trial: &Trial, run: usize) -> Result<Run> {
        self.prepare(trial, Rows::Run { run, shots: trial.shots }, trial.spec.repeated(run / self.job.config.folds))
    }

    /// What a training of a trial's head reads, on some rows.
    fn prepare(&self, trial: &Trial, rows: Rows, spec: HeadSpec) -> Result<Run> {
        let partition = self.partition(trial, rows)?;
        let prepared = self.features.of(trial, rows, &partition, &self.job.sources)?;
        let features = self.features.for_training(trial, rows, spec.params().seed, &prepared, &partition.train, &self.job.sources)?;
        Ok(Run { features, transform: prepared.transform, partition, spec })
    }

    /// A trial's head before its first step.
    pub(super) fn start(&self, trial: &Trial, spec: &HeadSpec) -> Result<Head> {
        match &self.source(trial).classifier {
            Some(classifier) if spec.params().head == HeadKind::Classifier => classifier.start(spec),
            _ => Ok(Head::initial(spec)),
        }
    }

    pub(super) fn task<'p>(&'p self, trial: &Trial, run: &'p Run) -> Task<'p> {
        Task { features: &*run.features, labels: &self.source(trial).labels, partition: &run.partition }
    }

    /// Trains a head of a trial once more, on some rows and for a number of epochs: an earlier run
    /// of the sweep leaves no weights.
    pub(super) fn again(&self, trial: &Trial, rows: Rows, epochs: usize) -> Result<Fitted> {
        let spec = match rows {
            Rows::Run { run, .. } => trial.spec.repeated(run / self.job.config.protocol().folds),
            Rows::All { repeat, .. } => trial.spec.repeated(repeat).without_patience(),
        };
        let run = self.prepare(trial, rows, spec)?;
        let task = self.task(trial, &run);
        let trained = if run.spec.params().head.is_solved() {
            solve(&mut Solver::default(), task, &run.spec, self.metric(), &mut |_| Watch::Continue)?
        } else {
            let mut training = Training::begin(&*self.job.trainer, task, self.start(trial, &run.spec)?, self.metric())?;
            training.advance(epochs, &mut |_| Watch::Continue)?;
            training.finish()?
        };
        Ok(Fitted { head: KeptHead { trained, transform: run.transform }, partition: run.partition })
    }

    /// Writes an epoch of one training of a trial into the log and its history.
    pub(super) fn record_epoch(&self, trial: &Trial, run: usize, epoch: &Epoch, history: &mut Vec<EpochRecord>) -> Result<()> {
        self.intact()?;
        let record = EpochRecord::new(trial.number, &trial.id, run, epoch);
        let logged = self.log.append(&Record::Epoch(record.clone()));
        history.push(record);
        self.observer.epoch(trial, epoch);
        logged
    }

    /// Writes the end of a trial into the log, and keeps its heads if it is the best so far.
    pub(super) fn record_end(
        &self,
        trial: &Trial,
        history: Vec<EpochRecord>,
        heads: Vec<KeptHead>,
        status: Status,
        seconds: f64,
    ) -> Result<TrialResult> {
        self.intact()?;
        if history.iter().any(EpochRecord::has_diverged) {
            self.refuse_non_finite(trial)?;
        }
        let epochs: Vec<usize> = heads.iter().map(|head| head.trained.epochs).collect();
        let status = if heads.iter().any(|head| head.trained.diverged) { Status::Diverged } else { status };
        let result = self.record_final(trial, history, &epochs, status, seconds)?;
        let rank = result.rank(&self.job.config.metric);
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let beats = |best: &Best| rank.total_cmp(&best.rank).then(best.trial.cmp(&trial.number)).is_gt();
        if best.as_ref().is_none_or(beats) {
            *best = Some(Best { trial: trial.number, rank, heads });
        }
        drop(best);
        self.observer.finished(&result);
        Ok(result)
    }

    /// Writes the final record of a trial, of whose runs the epochs `kept` count.
    pub(super) fn record_final(
        &self,
        trial: &Trial,
        history: Vec<EpochRecord>,
        kept: &[usize],
        status: Status,
        seconds: f64,
    ) -> Result<TrialResult> {
        let summary = summary(&history, kept);
        let end = FinalRecord {
            trial: trial.number,
            id: trial.id.clone(),
            settings: trial.settings.clone(),
            status,
            epochs: summary.epochs,
            seconds,
            metrics: summary.metrics,
        };
        self.log.append(&Record::Final(end.clone()))?;
        Ok(TrialResult::new(history, end))
    }

    /// Takes the heads of a trial, one a run, if it is the best one that this run trained.
    pub(super) fn take_heads(&self, trial: usize) -> Vec<KeptHead> {
        let best = self.best.lock().unwrap_or_else(PoisonError::into_inner).take_if(|best| best.trial == trial);
        best.map_or_else(Vec::new, |best| best.heads)
    }

    /// Lets a trial of an earlier run serve if that run brought it far enough; else the trial waits
    /// to be begun.
    pub(super) fn reuse_past(&self, state: &mut State<'_>, until: usize) {
        if let State::Past(past) = state {
            let is_far_enough = past.end.status != Status::Stopped || past.epochs.last().is_some_and(|last| last.epoch >= until);
            if is_far_enough && until == usize::MAX {
                let result = TrialResult::new(past.epochs.clone(), past.end.clone());
                self.observer.reused(&result);
                *state = State::Ended(result);
            } else if !is_far_enough {
                *state = State::Waiting;
            }
        }
    }

    /// Leaves out a waiting trial when the time is up.
    pub(super) fn leave_out_late(&self, state: &mut State<'_>) {
        if matches!(state, State::Waiting) && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            *state = State::LeftOut;
        }
    }

    pub(super) fn end_if_done(&self, trial: &Trial, state: &mut State<'_>) -> Result<()> {
        match state {
            State::Training(training) if training.runs.iter().all(Training::ended) => self.end(trial, state, Status::Done),
            _ => Ok(()),
        }
    }

    /// Ends a trial in training.
    pub(super) fn end(&self, trial: &Trial, state: &mut State<'_>, status: Status) -> Result<()> {
        if let State::Training(training) = std::mem::replace(state, State::LeftOut) {
            let heads = training.runs.into_iter().zip(training.transforms);
            let heads = heads.map(|(run, transform)| Ok(KeptHead { trained: run.finish()?, transform })).collect::<Result<_>>()?;
            *state = State::Ended(self.record_end(trial, training.history, heads, status, training.seconds)?);
        }
        Ok(())
    }
}
