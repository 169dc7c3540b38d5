//! Running a sweep: trials side by side, resumed where an earlier run stopped, the best one chosen by val.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Map, Value};

use super::config::SweepConfig;
use super::output;
use super::plan::{Inputs, Plan, Trial, plan};
use super::record::{EpochRecord, FinalRecord, Log, Record, Status, flat};
use super::source::Source;
use crate::Result;
use crate::heads::{
    Epoch, FeatureTable, HeadKind, Joined, METRICS, MODEL_FORMAT, Metrics, Model, Pooled, Predictor, Solver, Task, Trained, Trainer, Transform,
    Watch, solve, train,
};
use crate::store::{Lock, Wait, create_folder, replace};

/// A sweep to be run.
pub struct Job {
    /// What it runs on.
    pub sources: Vec<Source>,
    /// What it tries.
    pub config: SweepConfig,
    /// The directory that it leaves. One that is there already is resumed.
    pub out: PathBuf,
    /// What trains the heads.
    pub trainer: Arc<dyn Trainer>,
}

/// Hears how a sweep goes; called from many threads.
pub trait Observer: Sync {
    /// The trials are listed; `reused` of them need not be trained again.
    fn started(&self, _plan: &Plan, _reused: usize) {}
    /// A trial went through an epoch.
    fn epoch(&self, _trial: &Trial, _epoch: &Epoch) {}
    /// A trial came to its end.
    fn finished(&self, _result: &TrialResult) {}
    /// Something that the user should know.
    fn note(&self, _note: &str) {}
}

/// Hears nothing.
impl Observer for () {}

/// What became of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialResult {
    /// Its number in the plan.
    pub number: usize,
    /// What the sweep file says of it.
    pub settings: Map<String, Value>,
    /// How it ended.
    pub status: Status,
    /// The epoch whose weights count.
    pub epochs: usize,
    /// Seconds, in the run that trained it.
    pub seconds: f64,
    /// `val.acc1` and so on.
    pub metrics: Map<String, Value>,
    /// Its epochs.
    pub history: Vec<EpochRecord>,
}

impl TrialResult {
    /// One metric, `val.acc1`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).and_then(Value::as_f64)
    }
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepOutcome {
    /// The directory that it left.
    pub folder: PathBuf,
    /// All trials, the best first.
    pub leaderboard: Vec<TrialResult>,
    /// What they were compared by, `val.acc1`.
    pub metric: String,
    /// Metrics of the best trial on test, where there is a test split.
    pub test: Option<Metrics>,
    /// Trials that an earlier run had finished.
    pub reused: usize,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Wall time of this run.
    pub seconds: f64,
}

/// Runs a sweep, or what is left of it.
///
/// # Errors
/// A mistake in the sweep, a folder that cannot be written, a trainer's own failure.
pub fn run(mut job: Job, observer: &dyn Observer) -> Result<SweepOutcome> {
    let start = Instant::now();
    let seed = job.config.seed;
    job.sources.iter_mut().try_for_each(|s| s.ensure_val(seed))?;
    let Plan { trials, mut notes } = plan(&job.config, &job.sources, job.trainer.name())?;
    if job.sources.iter().any(|s| s.held_out) {
        notes.push("no val split: a fifth of train, class by class, serves for choosing".into());
    }
    notes.iter().for_each(|note| observer.note(note));
    create_folder(&job.out)?;
    let _lock = Lock::take(&job.out, Wait::Moment)?;
    replace(&job.out.join("config.yaml"), job.config.to_yaml().as_bytes())?;
    let known: HashMap<&str, usize> = trials.iter().map(|t| (t.id.as_str(), t.number)).collect();
    let (log, finished) = Log::open(&job.out.join("trials.jsonl"), &known)?;
    let plan = Plan { trials, notes };
    observer.started(&plan, finished.len());

    let sweep = Sweep { job: &job, log, observer, features: Features::default(), best: Mutex::default() };
    let family = |trials: &Vec<&Trial>| {
        let mut solver = Solver::default();
        let one = |trial: &&Trial| match finished.get(&trial.id) {
            Some((history, end)) => Ok(TrialResult::new(history.clone(), end.clone())),
            None => sweep.train(trial, &mut solver),
        };
        trials.iter().map(one).collect::<Result<Vec<_>>>()
    };
    let mut results = families(&plan.trials).par_iter().with_max_len(1).map(family).collect::<Result<Vec<_>>>()?.concat();
    results.sort_by(|a, b| rank(&job.config, b).total_cmp(&rank(&job.config, a)).then(a.number.cmp(&b.number)));
    let reused = finished.len();
    let mut outcome = SweepOutcome {
        folder: job.out.clone(),
        metric: format!("val.{}", job.config.metric.name),
        leaderboard: results,
        test: None,
        reused,
        notes: plan.notes.clone(),
        seconds: 0.0,
    };
    let warnings = output::edges(&job.config, &outcome.leaderboard);
    warnings.iter().for_each(|w| observer.note(w));
    outcome.notes.extend(warnings);
    sweep.conclude(&plan, &mut outcome)?;
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Trials that share work, to be run one after the other: heads of one kind that are solved for on the same features. They come first, as
/// they take longest; every other trial stands for itself.
fn families(trials: &[Trial]) -> Vec<Vec<&Trial>> {
    let mut families: Vec<(Option<(HeadKind, Recipe)>, Vec<&Trial>)> = vec![];
    for trial in trials {
        let head = trial.spec.params().head;
        let key = head.is_solved().then(|| (head, Features::recipe(trial)));
        match families.iter_mut().find(|(other, _)| key.is_some() && *other == key) {
            Some((_, family)) => family.push(trial),
            None => families.push((key, vec![trial])),
        }
    }
    families.sort_by_key(|(key, _)| key.is_none());
    families.into_iter().map(|(_, family)| family).collect()
}

/// What trials are sorted by: the metric, then the loss; what diverged comes last.
fn rank(config: &SweepConfig, result: &TrialResult) -> Rank {
    let metric = result.metric(&format!("val.{}", config.metric.name)).filter(|_| result.status != Status::Diverged);
    let score = metric.map_or(f64::NEG_INFINITY, |m| if config.metric.more { m } else { -m });
    Rank { score, loss: result.metric("val.loss").unwrap_or(f64::INFINITY) }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rank {
    score: f64,
    loss: f64,
}

impl Rank {
    fn total_cmp(&self, other: &Rank) -> std::cmp::Ordering {
        self.score.total_cmp(&other.score).then(other.loss.total_cmp(&self.loss))
    }
}

impl TrialResult {
    fn new(history: Vec<EpochRecord>, end: FinalRecord) -> TrialResult {
        let FinalRecord { trial, settings, status, epochs, seconds, metrics, .. } = end;
        TrialResult { number: trial, settings, status, epochs, seconds, metrics, history }
    }
}

/// A head and the transform of its features.
type Kept = (Trained, Transform);

struct Sweep<'a> {
    job: &'a Job,
    log: Log,
    observer: &'a dyn Observer,
    features: Features,
    /// The best head that this run trained.
    best: Mutex<Option<(Rank, usize, Kept)>>,
}

impl Sweep<'_> {
    fn train(&self, trial: &Trial, solver: &mut Solver) -> Result<TrialResult> {
        let start = Instant::now();
        let mut history = vec![];
        let mut failed = Ok(());
        let kept = self.fit(trial, solver, &mut |epoch| {
            let record = EpochRecord::new(trial.number, &trial.id, epoch);
            failed = self.log.append(&Record::Epoch(record.clone()));
            history.push(record);
            self.observer.epoch(trial, epoch);
            if failed.is_err() { Watch::Stop } else { Watch::Continue }
        })?;
        failed?;
        let end = FinalRecord {
            trial: trial.number,
            id: trial.id.clone(),
            settings: trial.settings.clone(),
            status: if kept.0.diverged { Status::Diverged } else { Status::Done },
            epochs: kept.0.epochs,
            seconds: start.elapsed().as_secs_f64(),
            metrics: flat("val", &kept.0.val),
        };
        self.log.append(&Record::Final(end.clone()))?;
        let result = TrialResult::new(history, end);
        let rank = rank(&self.job.config, &result);
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let beats =
            |(other, number, _): &(Rank, usize, Kept)| rank.total_cmp(other).then(number.cmp(&trial.number)) == std::cmp::Ordering::Greater;
        if best.as_ref().is_none_or(beats) {
            *best = Some((rank, trial.number, kept));
        }
        drop(best);
        self.observer.finished(&result);
        Ok(result)
    }

    fn fit(&self, trial: &Trial, solver: &mut Solver, watch: &mut dyn FnMut(&Epoch) -> Watch) -> Result<Kept> {
        let source = &self.job.sources[trial.inputs[0].0];
        let (features, transform) = self.features.of(trial, &self.job.sources)?;
        let task = Task { features: &*features, labels: &source.labels, partition: &source.partition };
        if trial.spec.params().head.is_solved() {
            return Ok((solve(solver, task, &trial.spec, watch)?, transform));
        }
        let metric = (self.job.config.metric.name, self.job.config.metric.more);
        Ok((train(&*self.job.trainer, task, &trial.spec, metric, watch)?, transform))
    }

    /// Judges the best head on test and writes everything that is left to write.
    fn conclude(&self, plan: &Plan, outcome: &mut SweepOutcome) -> Result<()> {
        let winner = outcome.leaderboard[0].clone();
        let trial = &plan.trials[winner.number];
        let held = self.best.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A trial of an earlier run left no weights: trained again, it gives the same ones.
        let (trained, transform) = match held {
            Some((_, number, kept)) if number == winner.number => kept,
            _ => self.fit(trial, &mut Solver::default(), &mut |_| Watch::Continue)?,
        };
        let source = &self.job.sources[trial.inputs[0].0];
        let (features, _) = self.features.of(trial, &self.job.sources)?;
        let classes = source.classes.len();
        let mut metrics = winner.metrics.clone();
        let test = trained.head.classify(&*features, &source.partition.test);
        if !source.partition.test.is_empty() {
            let judged = Metrics::of(&test, classes, &source.labels, &source.partition.test);
            metrics.extend(flat("test", &judged));
            outcome.test = Some(judged);
        }
        let val = trained.head.classify(&*features, &source.partition.val);
        let predictor = Predictor {
            model: Model {
                format: MODEL_FORMAT,
                head: trial.spec.clone(),
                classes: source.classes.clone(),
                inputs: trial.inputs.iter().map(|&(s, t)| self.job.sources[s].describe(&self.job.sources[s].taps[t])).collect(),
                l2: transform.l2,
                standardise: !transform.mean.is_empty(),
                trial: trial.number,
                settings: trial.settings.clone(),
                metrics,
                headstart: env!("CARGO_PKG_VERSION").into(),
            },
            transform,
            head: trained.head,
        };
        output::write_best(&self.job.out, &predictor)?;
        output::write_predictions(&self.job.out, source, &val, &test)?;
        let (rows, probabilities) = if test.is_empty() { (&source.partition.val, &val) } else { (&source.partition.test, &test) };
        output::write_confusion(&self.job.out, source, rows, probabilities)?;
        output::write_results(&self.job.out, &outcome.leaderboard, METRICS.iter().map(|(name, _)| *name))
    }
}

/// Features as trials need them (joined, pooled, transformed), each made once and shared.
#[derive(Default)]
struct Features {
    made: Mutex<HashMap<Recipe, Arc<Mutex<Option<Made>>>>>,
}

/// What distinguishes prepared features: inputs, pooled or not, L2, standardised.
type Recipe = (Inputs, [bool; 3]);
type Made = (Arc<dyn FeatureTable>, Transform);

impl Features {
    fn recipe(trial: &Trial) -> Recipe {
        let params = trial.spec.params();
        (trial.inputs.clone(), [trial.spec.pools(), params.l2, params.standardise])
    }

    fn of(&self, trial: &Trial, sources: &[Source]) -> Result<Made> {
        let params = trial.spec.params();
        let cell = self.made.lock().unwrap_or_else(PoisonError::into_inner).entry(Features::recipe(trial)).or_default().clone();
        let mut made = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        let tap = |&(s, t): &(usize, usize)| &sources[s].taps[t];
        let mut table: Arc<dyn FeatureTable> = match trial.inputs.as_slice() {
            [one] => tap(one).features.clone(),
            several => Arc::new(Joined::new(several.iter().map(|i| tap(i).features.clone()).collect())?),
        };
        if trial.spec.pools() {
            table = Arc::new(crate::heads::Matrix::of(&Pooled::new(table, &tap(&trial.inputs[0]).shape)?));
        }
        let transform = Transform::fit(params, &*table, &sources[trial.inputs[0].0].partition.train);
        let new = (transform.table(table), transform);
        *made = Some(new.clone());
        Ok(new)
    }
}
