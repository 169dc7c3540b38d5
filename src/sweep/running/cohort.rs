//! Training a cohort of trials side by side, from rung to rung where some are ended early; resumed where an earlier run stopped.

mod lockstep;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Map, Value};

use super::features::{Features, Recipe};
use super::non_finite::Sound;
use super::run::{Observer, SweepJob};
use crate::Result;
use crate::heads::{
    Epoch, FeatureTable, Head, HeadKind, HeadSpec, Partition, Solver, Task, Trained, Training, Transform, Watch, is_large, solve,
};
use crate::sweep::results::record::{EpochRecord, FinalRecord, Finished, Log, Record, Status};
use crate::sweep::results::result::{TrialResult, kept_epochs, rank_at, summary};
use crate::sweep::search::halving::{Halving, Rank};
use crate::sweep::search::plan::Trial;
use crate::sweep::settings::config::Method;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, partition, runs};

/// A head and the transform of its features.
pub(crate) type Kept = (Trained, Transform);

/// Trains trials and remembers what they share.
pub(crate) struct Runner<'a> {
    pub(crate) job: &'a SweepJob,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) log: Log,
    /// What earlier runs finished.
    pub(crate) finished: Finished,
    /// When no further trial is begun.
    pub(crate) deadline: Option<Instant>,
    pub(crate) features: Features,
    /// Whose features were looked through.
    sound: Sound,
    /// Rows of each training, by source: trials of large caches share them.
    partitions: Mutex<HashMap<(usize, Rows), Arc<Partition>>>,
    /// What solved heads share, between cohorts.
    solvers: Mutex<HashMap<Family, Vec<Solver>>>,
    /// The heads of the best trial that this run trained, one a run.
    pub(crate) best: Mutex<Option<(Rank, usize, Vec<Kept>)>>,
}

/// Trials that share work: heads of one kind that are solved for on the same features and rows.
type Family = (HeadKind, Recipe, Option<usize>);

/// What the trials of one family share.
#[derive(PartialEq)]
enum Kin {
    /// Nothing: a trial by itself.
    Alone,
    /// The work of solving.
    Solved(Family),
    /// Every batch: heads with this in common, trained on the same features and rows.
    Together(Box<HeadSpec>, Recipe, Option<usize>),
}

/// Everything that one training reads.
struct Run {
    features: Arc<dyn FeatureTable>,
    transform: Transform,
    partition: Arc<Partition>,
    spec: HeadSpec,
}

/// How far a trial is.
enum State<'p> {
    Waiting,
    /// As far as an earlier run brought it.
    Past(Vec<EpochRecord>, FinalRecord),
    Training(Course<'p>),
    Ended(TrialResult),
    /// Not begun, for the time is up.
    LeftOut,
}

/// A trial in training.
struct Course<'p> {
    runs: Vec<Training<'p>>,
    transforms: Vec<Transform>,
    history: Vec<EpochRecord>,
    seconds: f64,
}

impl<'p> Course<'p> {
    fn new(of: &[Run], runs: Vec<Training<'p>>) -> Course<'p> {
        Course { runs, transforms: of.iter().map(|run| run.transform.clone()).collect(), history: vec![], seconds: 0.0 }
    }
}

/// A trial, its runs once they are made, and how far it is.
struct Member<'m, 'p> {
    trial: &'m Trial,
    runs: &'p OnceLock<Vec<Run>>,
    state: &'m mut State<'p>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(job: &'a SweepJob, observer: &'a dyn Observer, log: Log, finished: Finished) -> Runner<'a> {
        let deadline = job.config.time_cap.and_then(|cap| Instant::now().checked_add(cap));
        let (features, sound) = (Features::default(), Sound::default());
        let (partitions, solvers, best) = (Mutex::default(), Mutex::default(), Mutex::default());
        Runner { job, observer, log, finished, deadline, features, sound, partitions, solvers, best }
    }

    /// Trains a cohort. Trials for which there is no time left are not among the results.
    pub(crate) fn train(&self, cohort: &[Trial], halving: &mut Option<Halving>) -> Result<Vec<TrialResult>> {
        let runs: Vec<OnceLock<Vec<Run>>> = cohort.iter().map(|_| OnceLock::new()).collect();
        let past = |trial: &Trial| match self.finished.get(&trial.id) {
            Some((history, end)) => State::Past(history.clone(), FinalRecord { trial: trial.number, ..end.clone() }),
            None => State::Waiting,
        };
        let mut states: Vec<State<'_>> = cohort.iter().map(past).collect();
        let mut rungs: Vec<usize> = halving.iter().flat_map(|h| cohort.iter().flat_map(move |t| h.rungs(t.spec.params().epochs))).collect();
        rungs.sort_unstable();
        rungs.dedup();
        for until in rungs.into_iter().chain([usize::MAX]) {
            let members = cohort.iter().zip(&runs).zip(&mut states).map(|((trial, runs), state)| Member { trial, runs, state });
            // Side by side, families whose features memory does not hold would each read them by itself, from two places of the disk at once.
            let is_large = |trial| is_large(rows(self.job, trial), dim(self.job, trial));
            let (mut large, mut others): (Vec<_>, Vec<_>) =
                families(members, self.job).into_iter().partition(|(_, members)| is_large(members[0].trial));
            large.iter_mut().try_for_each(|(kin, members)| self.advance_kin(kin, members, until))?;
            others.par_iter_mut().with_max_len(1).try_for_each(|(kin, members)| self.advance_kin(kin, members, until))?;
            if let Some(halving) = halving.as_mut().filter(|_| until != usize::MAX) {
                self.judge(cohort, &mut states, halving, until)?;
            }
        }
        let ended = |state| if let State::Ended(result) = state { Some(result) } else { None };
        Ok(states.into_iter().filter_map(ended).collect())
    }

    fn advance_kin<'p>(&'p self, kin: &Kin, members: &mut [Member<'_, 'p>], until: usize) -> Result<()> {
        match kin {
            Kin::Together(..) => self.advance_together(members, until),
            Kin::Solved(family) => self.advance_family(Some(family), members, until),
            Kin::Alone => self.advance_family(None, members, until),
        }
    }

    fn advance_family<'p>(&'p self, family: Option<&Family>, members: &mut [Member<'_, 'p>], until: usize) -> Result<()> {
        let lock = || self.solvers.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out while they are in use: a lock that is held while products run in parallel could be waited for by its own thread.
        let mut solvers = family.and_then(|family| lock().remove(family)).unwrap_or_default();
        solvers.resize_with(self.job.config.protocol().runs(), Solver::default);
        let outcome = members.iter_mut().try_for_each(|member| self.advance(member, &mut solvers, until));
        // All of a family are in one cohort, unless cohorts follow each other: then what they share is kept.
        let config = &self.job.config;
        if let Some(family) = family.filter(|_| config.method == Method::Bayes || config.early_terminate.is_some()) {
            lock().insert(family.clone(), solvers);
        }
        outcome
    }

    /// Brings a trial to the end of epoch `until`, or to its own end.
    fn advance<'p>(&'p self, member: &mut Member<'_, 'p>, solvers: &mut [Solver], until: usize) -> Result<()> {
        let (trial, state) = (member.trial, &mut *member.state);
        self.settle_past(state, until);
        self.leave_out_late(state);
        if matches!(state, State::Waiting) {
            let runs = self.runs(trial, member.runs)?;
            if trial.spec.params().head.is_solved() {
                *state = State::Ended(self.solve(trial, runs, solvers)?);
                return Ok(());
            }
            let begin =
                |run: &'p Run| Training::begin(&*self.job.trainer, self.task(trial, run), self.start(trial, &run.spec)?, self.metric());
            *state = State::Training(Course::new(runs, runs.iter().map(begin).collect::<Result<_>>()?));
        }
        if let State::Training(course) = state {
            self.advance_course(trial, course, until)?;
        }
        self.end_if_done(trial, state)
    }

    /// What an earlier run has of a trial serves if it goes so far; else the trial waits to be begun.
    fn settle_past(&self, state: &mut State<'_>, until: usize) {
        if let State::Past(history, end) = state {
            let goes_so_far = end.status != Status::Stopped || history.last().is_some_and(|last| last.epoch >= until);
            if goes_so_far && until == usize::MAX {
                let result = TrialResult::new(history.clone(), end.clone());
                self.observer.reused(&result);
                *state = State::Ended(result);
            } else if !goes_so_far {
                *state = State::Waiting;
            }
        }
    }

    /// No trial is begun when the time is up.
    fn leave_out_late(&self, state: &mut State<'_>) {
        if matches!(state, State::Waiting) && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            *state = State::LeftOut;
        }
    }

    fn advance_course(&self, trial: &Trial, course: &mut Course<'_>, until: usize) -> Result<()> {
        let start = Instant::now();
        for (number, run) in course.runs.iter_mut().enumerate() {
            let mut logged = Ok(());
            run.advance(until, &mut |epoch| {
                logged = self.write_down(trial, number, epoch, &mut course.history);
                if logged.is_err() { Watch::Stop } else { Watch::Continue }
            })?;
            logged?;
        }
        course.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn solve(&self, trial: &Trial, runs: &[Run], solvers: &mut [Solver]) -> Result<TrialResult> {
        let start = Instant::now();
        let (mut history, mut kept) = (vec![], vec![]);
        for (number, (run, solver)) in runs.iter().zip(solvers).enumerate() {
            let mut logged = Ok(());
            let trained = solve(solver, self.task(trial, run), &run.spec, self.metric().0, &mut |epoch| {
                logged = self.write_down(trial, number, epoch, &mut history);
                Watch::Continue
            });
            let trained = trained.map_err(|e| self.refuse_unusable(trial).err().unwrap_or(e))?;
            logged?;
            kept.push((trained, run.transform.clone()));
        }
        self.conclude(trial, history, kept, Status::Done, start.elapsed().as_secs_f64())
    }

    /// Asked before numbers count: what could not be read of a cache was taken for zeros.
    pub(crate) fn intact(&self) -> Result<()> {
        self.job.sources.iter().try_for_each(Source::intact)
    }

    /// An epoch of one training of a trial goes into the log and its history.
    fn write_down(&self, trial: &Trial, run: usize, epoch: &Epoch, history: &mut Vec<EpochRecord>) -> Result<()> {
        self.intact()?;
        let record = EpochRecord::new(trial.number, &trial.id, run, epoch);
        let logged = self.log.append(&Record::Epoch(record.clone()));
        history.push(record);
        self.observer.epoch(trial, epoch);
        logged
    }

    fn end_if_done(&self, trial: &Trial, state: &mut State<'_>) -> Result<()> {
        match state {
            State::Training(course) if course.runs.iter().all(Training::ended) => self.end(trial, state, Status::Done),
            _ => Ok(()),
        }
    }

    /// Ends a trial in training.
    fn end(&self, trial: &Trial, state: &mut State<'_>, status: Status) -> Result<()> {
        if let State::Training(course) = std::mem::replace(state, State::LeftOut) {
            let heads = course.runs.into_iter().zip(course.transforms).map(|(run, transform)| Ok((run.finish()?, transform)));
            let kept = heads.collect::<Result<Vec<Kept>>>()?;
            *state = State::Ended(self.conclude(trial, course.history, kept, status, course.seconds)?);
        }
        Ok(())
    }

    /// Features that are no numbers leave no head: asked where one came out that is of no use.
    pub(crate) fn refuse_unusable(&self, trial: &Trial) -> Result<()> {
        self.sound.check(trial, &self.job.sources)
    }

    /// Writes down how a trial ended, and keeps its heads if it is the best so far.
    fn conclude(&self, trial: &Trial, history: Vec<EpochRecord>, kept: Vec<Kept>, status: Status, seconds: f64) -> Result<TrialResult> {
        self.intact()?;
        if history.iter().any(EpochRecord::has_diverged) {
            self.refuse_unusable(trial)?;
        }
        let epochs: Vec<usize> = kept.iter().map(|(trained, _)| trained.epochs).collect();
        let status = if kept.iter().any(|(trained, _)| trained.diverged) { Status::Diverged } else { status };
        let result = self.record(trial, history, &epochs, status, seconds)?;
        let rank = result.rank(&self.job.config.metric);
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let beats = |(other, number, _): &(Rank, usize, Vec<Kept>)| rank.total_cmp(other).then(number.cmp(&trial.number)).is_gt();
        if best.as_ref().is_none_or(beats) {
            *best = Some((rank, trial.number, kept));
        }
        drop(best);
        self.observer.finished(&result);
        Ok(result)
    }

    fn record(&self, trial: &Trial, history: Vec<EpochRecord>, kept: &[usize], status: Status, seconds: f64) -> Result<TrialResult> {
        let (epochs, metrics) = summary(&history, kept);
        let (settings, id) = (trial.settings.clone(), trial.id.clone());
        let end = FinalRecord { trial: trial.number, id, settings, status, epochs, seconds, metrics };
        self.log.append(&Record::Final(end.clone()))?;
        Ok(TrialResult::new(history, end))
    }

    /// Judges a cohort at a rung, bracket by bracket, and ends who does not go on.
    fn judge(&self, cohort: &[Trial], states: &mut [State<'_>], halving: &mut Halving, rung: usize) -> Result<()> {
        let mut brackets: Vec<(usize, Vec<(usize, Rank)>)> = vec![];
        for (trial, state) in cohort.iter().zip(&*states) {
            let history = match state {
                State::Past(history, _) => history,
                State::Training(course) => &course.history,
                State::Ended(result) if result.status != Status::Stopped => &result.history,
                _ => continue,
            };
            let params = trial.spec.params();
            if params.head.is_solved() || !halving.judges(trial.number, params.epochs, rung) {
                continue;
            }
            let bracket = halving.bracket(trial.number, params.epochs);
            let entry = (trial.number, rank_at(history, rung, &self.job.config.metric));
            match brackets.iter_mut().find(|(b, _)| *b == bracket) {
                Some((_, entries)) => entries.push(entry),
                None => brackets.push((bracket, vec![entry])),
            }
        }
        let out: Vec<usize> = brackets.iter().flat_map(|(bracket, entries)| halving.judge(*bracket, rung, entries)).collect();
        for (trial, state) in cohort.iter().zip(states).filter(|(trial, _)| out.contains(&trial.number)) {
            match state {
                State::Training(_) => self.end(trial, state, Status::Stopped)?,
                State::Past(history, end) if end.status == Status::Stopped || history.iter().any(|e| e.epoch > rung) => {
                    let result = self.cut(trial, history, end, rung)?;
                    self.observer.reused(&result);
                    *state = State::Ended(result);
                }
                // It had come to its own end before.
                _ => {}
            }
        }
        Ok(())
    }

    /// What a trial of an earlier run is, ended at a rung: as it was recorded, where it was ended there then too.
    fn cut(&self, trial: &Trial, history: &[EpochRecord], end: &FinalRecord, rung: usize) -> Result<TrialResult> {
        let history: Vec<EpochRecord> = history.iter().filter(|e| e.epoch <= rung).cloned().collect();
        if end.status == Status::Stopped {
            return Ok(TrialResult::new(history, end.clone()));
        }
        history.iter().try_for_each(|e| self.log.append(&Record::Epoch(e.clone())))?;
        let kept = kept_epochs(&history, trial.spec.params().patience, &self.job.config.metric);
        self.record(trial, history, &kept, Status::Stopped, end.seconds)
    }

    /// A trial's head before its first step.
    fn start(&self, trial: &Trial, spec: &HeadSpec) -> Result<Head> {
        match &self.job.sources[trial.inputs[0].0].classifier {
            Some(classifier) if spec.params().head == HeadKind::Classifier => classifier.start(spec),
            _ => Ok(Head::initial(spec)),
        }
    }

    /// What heads are judged by, and whether more of it is better.
    fn metric(&self) -> (&str, bool) {
        (self.job.config.metric.name, self.job.config.metric.more)
    }

    fn task<'p>(&'p self, trial: &Trial, run: &'p Run) -> Task<'p> {
        let source = &self.job.sources[trial.inputs[0].0];
        Task { features: &*run.features, labels: &source.labels, partition: &run.partition }
    }

    fn runs<'p>(&self, trial: &Trial, cell: &'p OnceLock<Vec<Run>>) -> Result<&'p [Run]> {
        if let Some(runs) = cell.get() {
            return Ok(runs);
        }
        let source = &self.job.sources[trial.inputs[0].0];
        let runs = (0..runs(trial, source, self.job.config.protocol())).map(|run| self.make(trial, run)).collect::<Result<Vec<_>>>()?;
        Ok(cell.get_or_init(|| runs))
    }

    /// The rows of one training of a trial.
    pub(crate) fn partition(&self, trial: &Trial, rows: Rows) -> Result<Arc<Partition>> {
        let source = trial.inputs[0].0;
        let mut known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partition) = known.get(&(source, rows)) {
            return Ok(partition.clone());
        }
        let partition = Arc::new(partition(&self.job.sources[source], self.job.config.protocol(), rows)?);
        known.insert((source, rows), partition.clone());
        Ok(partition)
    }

    fn make(&self, trial: &Trial, run: usize) -> Result<Run> {
        let rows = Rows::Run { run, shots: trial.shots };
        let partition = self.partition(trial, rows)?;
        let spec = trial.spec.repeated(run / self.job.config.folds);
        let made = self.features.of(trial, rows, &partition, &self.job.sources)?;
        let features = self.features.for_training(trial, rows, spec.params().seed, &made, &partition.train, &self.job.sources)?;
        Ok(Run { features, transform: made.1, partition, spec })
    }

    /// A trial's head once more, on some rows and for so many epochs: what an earlier run trained left no weights.
    pub(crate) fn again(&self, trial: &Trial, rows: Rows, epochs: usize) -> Result<(Kept, Arc<Partition>)> {
        let source = &self.job.sources[trial.inputs[0].0];
        let protocol = self.job.config.protocol();
        let partition = self.partition(trial, rows)?;
        let made = self.features.of(trial, rows, &partition, &self.job.sources)?;
        let spec = match rows {
            Rows::Run { run, .. } => trial.spec.repeated(run / protocol.folds),
            Rows::All { repeat, .. } => trial.spec.repeated(repeat).without_patience(),
        };
        let features = self.features.for_training(trial, rows, spec.params().seed, &made, &partition.train, &self.job.sources)?;
        let transform = made.1;
        let task = Task { features: &*features, labels: &source.labels, partition: &partition };
        if spec.params().head.is_solved() {
            let trained = solve(&mut Solver::default(), task, &spec, self.metric().0, &mut |_| Watch::Continue)?;
            return Ok(((trained, transform), partition));
        }
        let mut training = Training::begin(&*self.job.trainer, task, self.start(trial, &spec)?, self.metric())?;
        training.advance(epochs, &mut |_| Watch::Continue)?;
        let trained = training.finish()?;
        Ok(((trained, transform), partition))
    }
}

/// Rows of the source that a trial is trained and judged on.
fn rows(job: &SweepJob, trial: &Trial) -> usize {
    job.sources[trial.inputs[0].0].labels.len()
}

/// Features of a row of it, as heads see them.
fn dim(job: &SweepJob, trial: &Trial) -> usize {
    let taps = trial.inputs.iter().map(|&(source, tap)| &job.sources[source].taps[tap]);
    if trial.spec.pools() { taps.map(|tap| tap.shape[0]).sum() } else { taps.map(|tap| tap.features.dim()).sum() }
}

/// Members that share work together, those first that take longest; every other member stands for itself.
fn families<'m, 'p>(members: impl Iterator<Item = Member<'m, 'p>>, job: &SweepJob) -> Vec<(Kin, Vec<Member<'m, 'p>>)> {
    let mut families: Vec<(Kin, Vec<Member<'m, 'p>>)> = vec![];
    for member in members {
        let (spec, shots) = (&member.trial.spec, member.trial.shots);
        let (head, recipe) = (spec.params().head, Features::recipe(member.trial, Rows::Run { run: 0, shots }));
        let kin = if head.is_solved() {
            Kin::Solved((head, recipe, shots))
        } else {
            job.trainer.in_common(spec, rows(job, member.trial)).map_or(Kin::Alone, |common| Kin::Together(common.into(), recipe, shots))
        };
        match families.iter_mut().find(|(other, _)| kin != Kin::Alone && *other == kin) {
            Some((_, family)) => family.push(member),
            None => families.push((kin, vec![member])),
        }
    }
    families.sort_by_key(|(kin, _)| *kin == Kin::Alone);
    families
}

/// Settings of the trials so far, the best first, as a Bayesian search wants them.
pub(crate) fn ranked<'r>(
    results: &'r [TrialResult],
    metric: &crate::sweep::settings::config::Metric,
) -> Vec<(usize, &'r Map<String, Value>)> {
    let mut ranked: Vec<&TrialResult> = results.iter().collect();
    ranked.sort_by(|a, b| b.rank(metric).total_cmp(&a.rank(metric)).then(a.number.cmp(&b.number)));
    ranked.into_iter().map(|r| (r.number, &r.settings)).collect()
}
