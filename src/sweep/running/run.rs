//! Running a sweep: cohorts of trials until none is left, then the best one, chosen by val.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::Map;

use super::cohort;
use super::finalize::finalize;
use super::job::{Observer, SweepJob};
use super::runner::Runner;
use super::{folder, metric_check, notes};
use crate::files::{create_folder, remove_temporaries};
use crate::heads::BEST_FOLDER;
use crate::store::{Lock, Wait};
use crate::sweep::results::edges::edges;
use crate::sweep::results::log::{Log, Past};
use crate::sweep::results::names::{EARLIER_LOG_FILE, LOG_FILE};
use crate::sweep::results::outcome::SweepOutcome;
use crate::sweep::results::output;
use crate::sweep::results::record::Status;
use crate::sweep::results::result::{TrialResult, sort_best_first};
use crate::sweep::search::halving::Halving;
use crate::sweep::search::plan::Search;
use crate::sweep::search::trial::{Observed, Trial};
use crate::sweep::sources::splits::{Rows, partition};
use crate::text::counted;
use crate::{Error, Result};

/// Grows when the same settings lead to other numbers: the log of an earlier version then does not
/// serve for this one.
const NUMERICS: u32 = 2;

/// Notes for the user, told as they come.
struct Notes<'a> {
    all: Vec<String>,
    observer: &'a dyn Observer,
}

impl Notes<'_> {
    fn extend(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            self.observer.note(&note);
            self.all.push(note);
        }
    }
}

/// Runs a sweep, or the rest of one that was interrupted.
///
/// # Errors
/// A mistake in the sweep, a folder that is a cache or cannot be written, a failure of the trainer.
pub fn run(job: SweepJob, observer: &dyn Observer) -> Result<SweepOutcome> {
    let start = Instant::now();
    let trainer = trainer_id(&job);
    let mut search = Search::new(&job.config, &job.sources, &trainer)?;
    refuse_unusable(&job)?;
    let mut notes = Notes { all: vec![], observer };
    notes.extend(std::mem::take(&mut search.notes));
    notes.extend(notes::about(&job));
    create_folder(&job.out)?;
    let _lock = Lock::take(&job.out, Wait::Moment)?;
    for folder in [job.out.clone(), job.out.join(BEST_FOLDER)] {
        remove_temporaries(&folder, 1)?;
    }
    let aside = folder::claim(&job, &trainer, |id| search.plans(id))?;
    notes.extend(aside.map(|aside| format!("the sweep that was in {} before is kept in {}", job.out.display(), aside.display())));
    let (log, Past { finished, damage, .. }) = Log::open(&job.out.join(LOG_FILE))?;
    notes.extend(damage);
    observer.started(search.total());

    let runner = Runner::new(&job, observer, log, finished);
    let (trials, mut results) = train(&runner, &mut search)?;
    if runner.deadline.is_some() && results.len() < search.total() {
        notes.extend([format!("`time_cap` is reached: {} of {} trials", results.len(), search.total())]);
    }
    sort_best_first(&mut results, &job.config.metric);
    notes.extend(metric_check::judge(&job.config, &results)?);
    notes.extend(about_divergence(&results));
    // An edge among trials of which none can be used says nothing.
    if results[0].status != Status::Diverged {
        notes.extend(edges(&job.config, &results));
    }
    let numbers: HashMap<&str, usize> = trials.iter().map(|t| (t.id.as_str(), t.number)).collect();
    let earlier = runner.log.finish(&numbers)?;
    if earlier > 0 {
        let trials = counted(earlier, "trial", "trials");
        notes.extend([format!("{EARLIER_LOG_FILE} keeps {trials} of an earlier sweep in this folder")]);
    }
    output::write_notes(&job.out, &notes.all)?;
    let told = notes.all.len();
    let mut outcome = SweepOutcome {
        folder: job.out.clone(),
        metric: format!("val.{}", job.config.metric.name),
        leaderboard: results,
        test: None,
        test_of_repeats: Map::new(),
        best_by: vec![],
        reused: trials.iter().filter(|t| runner.finished.contains_key(&t.id)).count(),
        notes: notes.all,
        seconds: 0.0,
    };
    finalize(&runner, &trials, &mut outcome)?;
    outcome.notes[told..].iter().for_each(|note| observer.note(note));
    output::write_notes(&job.out, &outcome.notes)?;
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Refuses a sweep that cannot be trained before the folder of an earlier one is touched.
fn refuse_unusable(job: &SweepJob) -> Result<()> {
    metric_check::refuse_early(&job.config, &job.sources)?;
    let first = Rows::Run { run: 0, shots: None };
    job.sources.iter().try_for_each(|source| partition(source, job.config.protocol(), first).map(drop))?;
    folder::refuse_unusable(&job.out)
}

/// Trains the trials of a search, cohort by cohort. Returns them with their results.
fn train(runner: &Runner<'_>, search: &mut Search<'_>) -> Result<(Vec<Trial>, Vec<TrialResult>)> {
    let config = &runner.job.config;
    let mut halving = config.early_terminate.map(Halving::new);
    let (mut trials, mut results): (Vec<Trial>, Vec<TrialResult>) = (vec![], vec![]);
    loop {
        let mut ranked: Vec<&TrialResult> = results.iter().collect();
        sort_best_first(&mut ranked, &config.metric);
        let ranked: Vec<Observed<'_>> = ranked.iter().map(|r| Observed { number: r.number, settings: &r.settings }).collect();
        let cohort = search.next(&ranked)?;
        if cohort.is_empty() || runner.deadline.is_some_and(|deadline| Instant::now() >= deadline && !results.is_empty()) {
            break;
        }
        results.extend(cohort::train(runner, &cohort, &mut halving)?);
        trials.extend(cohort);
    }
    if results.is_empty() {
        return Err(Error::setting("`time_cap` left no time for a single trial", "give the sweep more time"));
    }
    Ok((trials, results))
}

/// Everything beside settings and features that a trial's numbers depend on: `auc` of many classes
/// is there only where it is asked for.
fn trainer_id(job: &SweepJob) -> String {
    let auc = if job.config.metric.name == "auc" { "/auc" } else { "" };
    format!("{}/{NUMERICS}{auc}", job.trainer.name())
}

/// Notes on trials whose loss left the finite numbers; the best comes first in `results`.
fn about_divergence(results: &[TrialResult]) -> Option<String> {
    let way_out = "a smaller `lr`, `clip_norm` or `standardise: true` helps";
    match results.iter().filter(|r| r.status == Status::Diverged).count() {
        0 => None,
        1 if results.len() == 1 => Some(format!("the trial diverged, so its head is of no use: {way_out}")),
        all if all == results.len() => Some(format!("all {all} trials diverged, so the best head is of no use: {way_out}")),
        some => Some(format!("{some} of {} trials diverged and come last: {way_out}", results.len())),
    }
}
