//! Running a sweep: cohorts of trials until none is left, the best one chosen by val.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::cohort::{Runner, ranked};
use super::finalize::finalize;
use super::folder;
use super::metric_check;
use super::notes;
use crate::files::{create_folder, remove_temporaries};
use crate::heads::{BEST_FOLDER, Epoch, Metrics, Trainer};
use crate::store::{Lock, Wait};
use crate::sweep::results::output;
use crate::sweep::results::record::{EARLIER, LOG_FILE, Log, Past, Status};
use crate::sweep::results::result::TrialResult;
use crate::sweep::search::halving::Halving;
use crate::sweep::search::plan::{Search, Trial};
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, partition};
use crate::{Error, Result};

/// Grows when the same settings come to other numbers: what an older headstart has logged of a trial is then not taken for this one's.
const NUMERICS: u32 = 2;

/// A sweep to be run.
pub struct SweepJob {
    /// What it runs on.
    pub sources: Vec<Source>,
    /// What it tries.
    pub config: SweepConfig,
    /// The directory that it leaves. This very sweep is resumed there; what another one left moves aside.
    pub out: PathBuf,
    /// What trains the heads.
    pub trainer: Arc<dyn Trainer>,
}

/// Hears how a sweep goes; called from many threads.
pub trait Observer: Sync {
    /// There will be so many trials, or at most so many.
    fn started(&self, _trials: usize) {}
    /// An earlier run had finished this trial.
    fn reused(&self, _result: &TrialResult) {}
    /// A trial went through an epoch.
    fn epoch(&self, _trial: &Trial, _epoch: &Epoch) {}
    /// A trial came to its end.
    fn finished(&self, _result: &TrialResult) {}
    /// Something that the user should know.
    fn note(&self, _note: &str) {}
}

/// Hears nothing.
impl Observer for () {}

/// The best trial of one value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct BestOf {
    /// The parameter's value.
    pub value: Value,
    /// The trial's number.
    pub trial: usize,
    /// Its metrics on val and, where there is a test split, on test.
    pub metrics: Map<String, Value>,
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
    /// Of several repeats of the best trial the mean on test, with the deviation as `test.acc1.std` beside `test.acc1`.
    pub test_of_repeats: Map<String, Value>,
    /// Where `report_best_by` names a parameter: the best trial of each of its values.
    pub best_by: Vec<BestOf>,
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
pub fn run(job: SweepJob, observer: &dyn Observer) -> Result<SweepOutcome> {
    let start = Instant::now();
    let numbers = numbers(&job);
    let mut search = Search::new(&job.config, &job.sources, &numbers)?;
    metric_check::refuse_early(&job.config, &job.sources)?;
    // What cannot be trained is refused before the folder of an earlier sweep is touched.
    let first = Rows::Run { run: 0, shots: None };
    job.sources.iter().try_for_each(|source| partition(source, job.config.protocol(), first).map(drop))?;
    let mut notes = std::mem::take(&mut search.notes);
    notes.extend(notes::about(&job));
    notes.iter().for_each(|note| observer.note(note));
    create_folder(&job.out)?;
    let _lock = Lock::take(&job.out, Wait::Moment)?;
    for folder in [job.out.clone(), job.out.join(BEST_FOLDER)] {
        remove_temporaries(&folder, 1)?;
    }
    let aside = folder::settle(&job, &numbers, |id| search.plans(id))?;
    let kept = aside.map(|aside| format!("the sweep that was in {} before is kept in {}", job.out.display(), aside.display()));
    let (log, Past { finished, damage, .. }) = Log::open(&job.out.join(LOG_FILE))?;
    let found: Vec<String> = kept.into_iter().chain(damage).collect();
    found.iter().for_each(|note| observer.note(note));
    notes.extend(found);
    observer.started(search.total());

    let runner = Runner::new(&job, observer, log, finished);
    let mut halving = job.config.early_terminate.map(Halving::new);
    let (mut trials, mut results): (Vec<Trial>, Vec<TrialResult>) = (vec![], vec![]);
    loop {
        let cohort = search.next(&ranked(&results, &job.config.metric))?;
        if cohort.is_empty() || runner.deadline.is_some_and(|deadline| Instant::now() >= deadline && !results.is_empty()) {
            break;
        }
        results.extend(runner.train(&cohort, &mut halving)?);
        trials.extend(cohort);
    }
    if results.is_empty() {
        return Err(Error::setting("`time_cap` left no time for a single trial", "give the sweep more time"));
    }
    if runner.deadline.is_some() && results.len() < search.total() {
        notes.push(format!("`time_cap` is reached: {} of {} trials", results.len(), search.total()));
    }
    let metric = &job.config.metric;
    results.sort_by(|a, b| b.rank(metric).total_cmp(&a.rank(metric)).then(a.number.cmp(&b.number)));
    let lacking = metric_check::judge(&job.config, &results)?;
    let diverged = about_divergence(&results);
    // An edge among trials of which none can be used says nothing.
    let edges = if results[0].status == Status::Diverged { vec![] } else { output::edges(&job.config, &results) };
    let warnings: Vec<String> = lacking.into_iter().chain(diverged).chain(edges).collect();
    warnings.iter().chain(notes.iter().filter(|n| n.starts_with("`time_cap`"))).for_each(|w| observer.note(w));
    notes.extend(warnings);
    let reused = trials.iter().filter(|t| runner.finished.contains_key(&t.id)).count();
    let mut outcome = SweepOutcome {
        folder: job.out.clone(),
        metric: format!("val.{}", metric.name),
        leaderboard: results,
        test: None,
        test_of_repeats: Map::new(),
        best_by: vec![],
        reused,
        notes,
        seconds: 0.0,
    };
    let numbers: HashMap<&str, usize> = trials.iter().map(|t| (t.id.as_str(), t.number)).collect();
    let earlier = runner.log.settle(&numbers)?;
    if earlier > 0 {
        let kept = format!("{earlier} trials of an earlier sweep in this folder are kept in {EARLIER}");
        observer.note(&kept);
        outcome.notes.push(kept);
    }
    output::write_notes(&job.out, &outcome.notes)?;
    let told = outcome.notes.len();
    finalize(&runner, &trials, &mut outcome)?;
    outcome.notes[told..].iter().for_each(|note| observer.note(note));
    output::write_notes(&job.out, &outcome.notes)?;
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

/// What the numbers of a trial depend on beside its settings and features: `auc` of many classes is there only where it is asked for.
fn numbers(job: &SweepJob) -> String {
    let auc = if job.config.metric.name == "auc" { "/auc" } else { "" };
    format!("{}/{NUMERICS}{auc}", job.trainer.name())
}

/// Trials whose loss left the finite numbers; the best comes first in `results`.
fn about_divergence(results: &[TrialResult]) -> Option<String> {
    let way_out = "a smaller `lr`, `clip_norm` or `standardise: true` helps";
    match results.iter().filter(|r| r.status == Status::Diverged).count() {
        0 => None,
        all if all == results.len() => Some(format!("all {all} trials diverged, so the best head is of no use: {way_out}")),
        some => Some(format!("{some} of {} trials diverged and come last: {way_out}", results.len())),
    }
}
