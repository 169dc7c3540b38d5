//! The end of a sweep: the chosen head, trained once more on all rows where the sweep says so,
//! calibrated on val, judged once on test; and the files.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::runner::{Fitted, Runner};
use super::state::KeptHead;
use crate::Result;
use crate::heads::{Answers, Calibration, METRICS, MODEL_FORMAT, Metrics, Model, Partition, Predictor, calibrate, plain, rescale};
use crate::sweep::results::outcome::{BestOf, SweepOutcome};
use crate::sweep::results::output::{self, Predictions};
use crate::sweep::results::record::{Status, flat};
use crate::sweep::results::result::{TrialResult, spread};
use crate::sweep::search::trial::Trial;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::Rows;

/// A trial's final head and its predictions for the rows that it was not trained on.
struct FinalHead {
    head: KeptHead,
    calibration: Calibration,
    val: Predictions,
    test: Predictions,
    /// Metrics on test, where there is a test split (of several repeats, their means), and those
    /// after calibration.
    metrics: Map<String, Value>,
    /// Metrics of the head itself on test.
    on_test: Option<Metrics>,
    /// Mean and deviation on test, where there are several repeats.
    repeats: Map<String, Value>,
}

/// Judges the best head on test and writes the files that a sweep ends with.
pub(super) fn finalize(runner: &Runner<'_>, trials: &[Trial], outcome: &mut SweepOutcome) -> Result<()> {
    let job = runner.job;
    let winner = &outcome.leaderboard[0];
    let trial = &trials[winner.number];
    let source = runner.source(trial);
    let end = finalize_trial(runner, trial, winner)?;
    let predictor = predictor(runner, trial, winner, &end);
    outcome.notes.extend(about_calibration(&end.calibration, end.val.rows.len()));
    output::write_best(&job.out, &predictor)?;
    output::write_predictions(&job.out, source, &end.val, &end.test)?;
    output::write_confusion(&job.out, source, if end.test.rows.is_empty() { &end.val } else { &end.test })?;
    output::write_results(&job.out, &outcome.leaderboard, METRICS.iter().map(|metric| metric.name))?;
    outcome.test = end.on_test;
    outcome.test_of_repeats = end.repeats;
    if let Some(by) = &job.config.report_best_by {
        best_by(runner, trials, &by.parameter, &end.metrics, outcome)?;
        output::write_best_by(&job.out, &by.parameter, &outcome.best_by)?;
    }
    Ok(())
}

/// The file `best/model.json` and its weights.
fn predictor(runner: &Runner<'_>, trial: &Trial, winner: &TrialResult, end: &FinalHead) -> Predictor {
    let sources = &runner.job.sources;
    let KeptHead { trained, transform } = &end.head;
    let mut metrics = winner.metrics.clone();
    metrics.extend(end.metrics.clone());
    Predictor {
        model: Model {
            format: MODEL_FORMAT,
            head: trained.head.spec.clone(),
            classes: runner.source(trial).classes.clone(),
            inputs: trial.inputs.iter().map(|i| sources[i.source].describe(&sources[i.source].taps[i.tap])).collect(),
            l2: transform.l2,
            standardise: !transform.mean.is_empty(),
            temperature: end.calibration.temperature,
            trial: trial.number,
            settings: trial.settings.clone(),
            metrics,
            headstart: env!("CARGO_PKG_VERSION").into(),
        },
        transform: transform.clone(),
        head: trained.head.clone(),
    }
}

/// The heads of a trial by run: those that this sweep trained, or the same ones trained again.
struct Heads<'r, 'a> {
    runner: &'r Runner<'a>,
    trial: &'r Trial,
    result: &'r TrialResult,
    kept: Vec<Option<KeptHead>>,
}

/// A head and the rows that it was trained on.
struct Placed {
    head: KeptHead,
    partition: Arc<Partition>,
    rows: Rows,
}

impl<'r, 'a> Heads<'r, 'a> {
    fn of(runner: &'r Runner<'a>, trial: &'r Trial, result: &'r TrialResult) -> Heads<'r, 'a> {
        Heads { runner, trial, result, kept: runner.take_heads(result.number).into_iter().map(Some).collect() }
    }

    fn run(&mut self, run: usize) -> Result<Placed> {
        let rows = Rows::Run { run, shots: self.trial.shots };
        if let Some(head) = self.kept.get_mut(run).and_then(Option::take) {
            return Ok(Placed { head, partition: self.runner.partition(self.trial, rows)?, rows });
        }
        // A trial of an earlier run left no weights: trained again, it gives the same ones.
        self.again(rows, self.result.trained())
    }

    fn again(&self, rows: Rows, epochs: usize) -> Result<Placed> {
        let Fitted { head, partition } = self.runner.again(self.trial, rows, epochs)?;
        Ok(Placed { head, partition, rows })
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
        self.again(Rows::All { repeat, shots: self.trial.shots }, self.result.epochs)
    }

    /// The predictions of a head for some rows.
    fn predict(&self, placed: &Placed, of: &[usize]) -> Result<Predictions> {
        let prepared = self.runner.features.of(self.trial, placed.rows, &placed.partition, &self.runner.job.sources)?;
        Ok(Predictions { rows: of.to_vec(), probabilities: placed.head.trained.head.classify(&*prepared.table, of) })
    }

    /// The predictions of the first repeat's heads for val; of folds, those of each for its own
    /// part.
    fn val(&mut self, last: &Placed, classes: usize) -> Result<Predictions> {
        if self.are_final() {
            return self.predict(last, &last.partition.val);
        }
        let mut val = Predictions::default();
        for run in 0..self.runner.job.config.folds {
            let placed = self.run(run)?;
            val.extend(self.predict(&placed, &placed.partition.val)?);
        }
        val.sort(classes);
        Ok(val)
    }
}

fn finalize_trial(runner: &Runner<'_>, trial: &Trial, result: &TrialResult) -> Result<FinalHead> {
    let source = runner.source(trial);
    let (classes, each) = (source.classes.len(), trial.spec.is_each());
    let mut heads = Heads::of(runner, trial, result);
    let last = heads.last(0)?;
    let mut val = heads.val(&last, classes)?;
    let answers = Answers { probabilities: &val.probabilities, classes, labels: &source.labels, rows: &val.rows, each };
    let calibration = calibrate(answers, &source.groups);
    let mut test = heads.predict(&last, &source.partition.test)?;
    if test.probabilities.iter().any(|p| p.is_nan()) {
        runner.refuse_non_finite(trial)?;
    }
    runner.intact()?;
    let mut metrics = Map::new();
    let mut on_test = None;
    for (split, predictions) in [("val", &mut val), ("test", &mut test)] {
        if predictions.rows.is_empty() {
            continue;
        }
        let judged = |p: &Predictions| Metrics::with_auc(&p.probabilities, classes, &source.labels, &p.rows);
        let before = judged(predictions);
        rescale(&mut predictions.probabilities, classes, each, calibration.temperature);
        let after = flat(split, &judged(predictions));
        if split == "test" {
            metrics.extend(flat(split, &before));
            on_test = Some(before);
        }
        for name in ["loss", "ece"] {
            metrics.insert(format!("{split}.{name}_scaled"), after[&format!("{split}.{name}")].clone());
        }
    }
    let repeats = on_test.map_or_else(|| Ok(Map::new()), |first| test_of_repeats(&mut heads, source, first))?;
    metrics.extend(repeats.clone());
    Ok(FinalHead { head: last.head, calibration, val, test, metrics, on_test, repeats })
}

/// A note where val leaves open how far probabilities are to be trusted.
fn about_calibration(calibration: &Calibration, rows: usize) -> Option<String> {
    /// A temperature that differs from one by this factor would be seen.
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

/// Mean and deviation on test over the repeats of a trial, the first of which is judged already.
/// Empty where there are no others.
fn test_of_repeats(heads: &mut Heads<'_, '_>, source: &Source, first: Metrics) -> Result<Map<String, Value>> {
    let config = &heads.runner.job.config;
    let repeats = heads.trial.runs(source, config.protocol()) / config.folds;
    let mut all = vec![flat("test", &first)];
    for repeat in 1..repeats {
        let placed = heads.last(repeat)?;
        let found = heads.predict(&placed, &source.partition.test)?;
        all.push(flat("test", &Metrics::with_auc(&found.probabilities, source.classes.len(), &source.labels, &found.rows)));
    }
    Ok(if repeats > 1 { spread(&all.iter().collect::<Vec<_>>()) } else { Map::new() })
}

/// Judges the best trial of each value of a parameter on test. A note names each value without a
/// best trial: none of its trials has the metric.
fn best_by(
    runner: &Runner<'_>,
    trials: &[Trial],
    parameter: &str,
    of_winner: &Map<String, Value>,
    outcome: &mut SweepOutcome,
) -> Result<()> {
    let (mut found, mut notes): (Vec<BestOf>, Vec<String>) = (vec![], vec![]);
    for result in &outcome.leaderboard {
        let Some(value) = result.settings.get(parameter).filter(|value| found.iter().all(|other| other.value != **value)) else { continue };
        if result.status != Status::Diverged && result.metric(&outcome.metric).is_none() {
            let note = format!("`{parameter}: {}` has no best trial: none of its trials has `{}`", plain(value), outcome.metric);
            if !notes.contains(&note) {
                notes.push(note);
            }
            continue;
        }
        let is_winner = result.number == outcome.leaderboard[0].number;
        let more = if is_winner { of_winner.clone() } else { finalize_trial(runner, &trials[result.number], result)?.metrics };
        let mut metrics = result.metrics.clone();
        metrics.extend(more);
        found.push(BestOf { value: value.clone(), trial: result.number, metrics });
    }
    outcome.best_by = found;
    outcome.notes.extend(notes);
    Ok(())
}
