//! The end of a sweep: the chosen head, perhaps trained once more on all rows, calibrated on val, judged once on test; and the files.

use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use super::cohort::{Kept, Runner};
use super::run::{BestOf, SweepOutcome};
use crate::Result;
use crate::heads::{Answers, Calibration, METRICS, MODEL_FORMAT, Metrics, Model, Partition, Predictor, calibrate, plain, rescale};
use crate::sweep::results::output::{self, Judged};
use crate::sweep::results::record::{Status, flat};
use crate::sweep::results::result::{TrialResult, spread};
use crate::sweep::search::plan::Trial;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, runs};

/// A trial's final head and what it says of the rows that it was not trained on.
struct Final {
    kept: Kept,
    calibration: Calibration,
    val: Judged,
    test: Judged,
    /// `test.acc1` and so on, where there is a test split, of several repeats their means; and what calibration did.
    metrics: Map<String, Value>,
    /// The head itself on test.
    judged: Option<Metrics>,
    /// Of several repeats mean and deviation on test.
    repeats: Map<String, Value>,
}

/// Judges the best head on test and writes everything that is left to write.
pub(crate) fn finalize(runner: &Runner<'_>, trials: &[Trial], outcome: &mut SweepOutcome) -> Result<()> {
    let job = runner.job;
    let winner = &outcome.leaderboard[0];
    let trial = of(trials, winner);
    let source = source(runner, trial);
    let end = finalize_trial(runner, trial, winner)?;
    let mut metrics = winner.metrics.clone();
    metrics.extend(end.metrics.clone());
    let (trained, transform) = end.kept;
    let predictor = Predictor {
        model: Model {
            format: MODEL_FORMAT,
            head: trained.head.spec.clone(),
            classes: source.classes.clone(),
            inputs: trial.inputs.iter().map(|&(s, t)| job.sources[s].describe(&job.sources[s].taps[t])).collect(),
            l2: transform.l2,
            standardise: !transform.mean.is_empty(),
            temperature: end.calibration.temperature,
            trial: trial.number,
            settings: trial.settings.clone(),
            metrics,
            headstart: env!("CARGO_PKG_VERSION").into(),
        },
        transform,
        head: trained.head,
    };
    outcome.notes.extend(about_calibration(&end.calibration, end.val.rows.len()));
    output::write_best(&job.out, &predictor)?;
    output::write_predictions(&job.out, source, &end.val, &end.test)?;
    output::write_confusion(&job.out, source, if end.test.rows.is_empty() { &end.val } else { &end.test })?;
    output::write_results(&job.out, &outcome.leaderboard, METRICS.iter().map(|(name, _)| *name))?;
    outcome.test = end.judged;
    outcome.test_of_repeats = end.repeats;
    let (best_by, without) = best_by(runner, trials, outcome, &end.metrics)?;
    outcome.best_by = best_by;
    outcome.notes.extend(without);
    if let Some((_, key)) = &job.config.report_best_by {
        output::write_best_by(&job.out, key, &outcome.best_by)?;
    }
    Ok(())
}

fn of<'t>(trials: &'t [Trial], result: &TrialResult) -> &'t Trial {
    &trials[result.number]
}

fn source<'r>(runner: &Runner<'r>, trial: &Trial) -> &'r Source {
    &runner.job.sources[trial.inputs[0].0]
}

/// The heads of a trial by run: those that this sweep trained, or the same ones trained again.
struct Heads<'r, 'a> {
    runner: &'r Runner<'a>,
    trial: &'r Trial,
    result: &'r TrialResult,
    kept: Vec<Option<Kept>>,
}

/// A head, the rows that it was trained on, and which these are.
type Placed = (Kept, Arc<Partition>, Rows);

impl<'r, 'a> Heads<'r, 'a> {
    fn of(runner: &'r Runner<'a>, trial: &'r Trial, result: &'r TrialResult) -> Heads<'r, 'a> {
        let held = runner.best.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(_, number, _)| *number == result.number);
        let kept = held.map_or_else(Vec::new, |(_, _, kept)| kept.into_iter().map(Some).collect());
        Heads { runner, trial, result, kept }
    }

    fn run(&mut self, run: usize) -> Result<Placed> {
        let rows = Rows::Run { run, shots: self.trial.shots };
        if let Some(kept) = self.kept.get_mut(run).and_then(Option::take) {
            return Ok((kept, self.runner.partition(self.trial, rows)?, rows));
        }
        // A trial of an earlier run left no weights: trained again, it gives the same ones.
        let (kept, partition) = self.runner.again(self.trial, rows, self.result.trained())?;
        Ok((kept, partition, rows))
    }

    /// Whether each repeat has a head that was trained on all rows that it is to be trained on.
    fn are_final(&self) -> bool {
        let config = &self.runner.job.config;
        config.folds == 1 && !config.refit
    }

    /// The head that a repeat ends with.
    fn last(&mut self, repeat: usize) -> Result<Placed> {
        if self.are_final() {
            return self.run(repeat);
        }
        let rows = Rows::All { repeat, shots: self.trial.shots };
        let (kept, partition) = self.runner.again(self.trial, rows, self.result.epochs)?;
        Ok((kept, partition, rows))
    }

    /// What a head says of some rows.
    fn judge(&self, (kept, partition, rows): &Placed, of: &[usize]) -> Result<Judged> {
        let (features, _) = self.runner.features.of(self.trial, *rows, partition, &self.runner.job.sources)?;
        Ok(Judged { rows: of.to_vec(), probabilities: kept.0.head.classify(&*features, of) })
    }

    /// What the heads of the first repeat say of val; of folds each of its own part.
    fn val(&mut self, last: &Placed, classes: usize) -> Result<Judged> {
        if self.are_final() {
            return self.judge(last, &last.1.val);
        }
        let mut val = Judged::default();
        for run in 0..self.runner.job.config.folds {
            let head = self.run(run)?;
            val.extend(self.judge(&head, &head.1.val)?);
        }
        val.sort(classes);
        Ok(val)
    }
}

fn finalize_trial(runner: &Runner<'_>, trial: &Trial, result: &TrialResult) -> Result<Final> {
    let source = source(runner, trial);
    let (classes, each) = (source.classes.len(), trial.spec.is_each());
    let mut heads = Heads::of(runner, trial, result);
    let last = heads.last(0)?;
    let mut val = heads.val(&last, classes)?;
    let answers = Answers { probabilities: &val.probabilities, classes, labels: &source.labels, rows: &val.rows, each };
    let calibration = calibrate(answers, &source.groups);
    let mut test = heads.judge(&last, &source.partition.test)?;
    if test.probabilities.iter().any(|p| p.is_nan()) {
        runner.refuse_unusable(trial)?;
    }
    runner.intact()?;
    let mut metrics = Map::new();
    let mut judged = None;
    for (split, table) in [("val", &mut val), ("test", &mut test)] {
        if table.rows.is_empty() {
            continue;
        }
        let before = Metrics::with_auc(&table.probabilities, classes, &source.labels, &table.rows);
        rescale(&mut table.probabilities, classes, each, calibration.temperature);
        let after = flat(split, &Metrics::with_auc(&table.probabilities, classes, &source.labels, &table.rows));
        if split == "test" {
            metrics.extend(flat(split, &before));
            judged = Some(before);
        }
        for name in ["loss", "ece"] {
            metrics.insert(format!("{split}.{name}_scaled"), after[&format!("{split}.{name}")].clone());
        }
    }
    let repeats = judged.map_or_else(|| Ok(Map::new()), |first| test_of_repeats(&mut heads, source, first))?;
    metrics.extend(repeats.clone());
    Ok(Final { kept: last.0, calibration, val, test, metrics, judged, repeats })
}

/// Where val leaves open how far answers are to be trusted.
fn about_calibration(calibration: &Calibration, rows: usize) -> Option<String> {
    /// A temperature of so much more than one, or less, would be seen.
    const SEEN: f64 = 0.1;
    let Calibration { temperature, fitted, mistakes } = *calibration;
    let stays = if temperature == 1.0 { "probabilities stay the head's own" } else { "probabilities allow for one" };
    match mistakes {
        0 if rows > 0 => Some(format!("no mistake among the {rows} rows of val: nothing tells how sure wrong answers are, and {stays}")),
        _ if calibration.is_refused() && fitted.ln().abs() > SEEN => {
            Some(format!("{rows} rows of val, {mistakes} of them mistakes, are too few to calibrate by: {stays}"))
        }
        _ => None,
    }
}

/// Mean and deviation on test over the repeats of a trial, of which the first is judged already; nothing where there are no others.
fn test_of_repeats(heads: &mut Heads<'_, '_>, source: &Source, first: Metrics) -> Result<Map<String, Value>> {
    let config = &heads.runner.job.config;
    let repeats = runs(heads.trial, source, config.protocol()) / config.folds;
    let mut all = vec![flat("test", &first)];
    for repeat in 1..repeats {
        let head = heads.last(repeat)?;
        let judged = heads.judge(&head, &source.partition.test)?;
        all.push(flat("test", &Metrics::with_auc(&judged.probabilities, source.classes.len(), &source.labels, &judged.rows)));
    }
    Ok(if repeats > 1 { spread(&all.iter().collect::<Vec<_>>()) } else { Map::new() })
}

/// The best trial of each value of `report_best_by`, judged on test, and notes on values of which no trial has the metric: the first one of these
/// is not the best.
fn best_by(
    runner: &Runner<'_>,
    trials: &[Trial],
    outcome: &SweepOutcome,
    of_winner: &Map<String, Value>,
) -> Result<(Vec<BestOf>, Vec<String>)> {
    let (mut found, mut notes): (Vec<BestOf>, Vec<String>) = (vec![], vec![]);
    let Some((_, key)) = &runner.job.config.report_best_by else { return Ok((found, notes)) };
    for result in &outcome.leaderboard {
        let Some(value) = result.settings.get(key).filter(|value| found.iter().all(|other| other.value != **value)) else { continue };
        if result.status != Status::Diverged && result.metric(&outcome.metric).is_none() {
            let note = format!("`{key}: {}` has no best trial: none of its trials has `{}`", plain(value), outcome.metric);
            if !notes.contains(&note) {
                notes.push(note);
            }
            continue;
        }
        let is_winner = result.number == outcome.leaderboard[0].number;
        let more = if is_winner { of_winner.clone() } else { finalize_trial(runner, of(trials, result), result)?.metrics };
        let mut metrics = result.metrics.clone();
        metrics.extend(more);
        found.push(BestOf { value: value.clone(), trial: result.number, metrics });
    }
    Ok((found, notes))
}
