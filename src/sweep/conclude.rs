//! The end of a sweep: the chosen head, perhaps trained once more on all rows, calibrated on val, judged once on test; and the files.

use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use super::cohort::{Kept, Runner};
use super::output::{self, Judged};
use super::plan::Trial;
use super::record::flat;
use super::result::TrialResult;
use super::run::{BestOf, SweepOutcome};
use super::source::Source;
use super::splits::Rows;
use crate::Result;
use crate::heads::{METRICS, MODEL_FORMAT, Metrics, Model, Partition, Predictor, rescale, temperature};

/// A trial's final head and what it says of the rows that it was not trained on.
struct Final {
    kept: Kept,
    /// The temperature that suits val best.
    temperature: f64,
    val: Judged,
    test: Judged,
    /// `test.acc1` and so on, where there is a test split, and what calibration did.
    metrics: Map<String, Value>,
    judged: Option<Metrics>,
}

/// Judges the best head on test and writes everything that is left to write.
pub(super) fn conclude(runner: &Runner<'_>, trials: &[Trial], outcome: &mut SweepOutcome) -> Result<()> {
    let job = runner.job;
    let winner = &outcome.leaderboard[0];
    let trial = of(trials, winner);
    let source = source(runner, trial);
    let end = finalise(runner, trial, winner)?;
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
            temperature: end.temperature,
            trial: trial.number,
            settings: trial.settings.clone(),
            metrics,
            headstart: env!("CARGO_PKG_VERSION").into(),
        },
        transform,
        head: trained.head,
    };
    output::write_best(&job.out, &predictor)?;
    output::write_predictions(&job.out, source, &end.val, &end.test)?;
    output::write_confusion(&job.out, source, if end.test.rows.is_empty() { &end.val } else { &end.test })?;
    output::write_results(&job.out, &outcome.leaderboard, METRICS.iter().map(|(name, _)| *name))?;
    outcome.test = end.judged;
    outcome.best_by = best_by(runner, trials, outcome, &end.metrics)?;
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

/// A trial's heads on the rows of the first repetition: one, or one a fold.
fn heads(runner: &Runner<'_>, trial: &Trial, result: &TrialResult) -> Result<Vec<(Kept, Arc<Partition>)>> {
    let config = &runner.job.config;
    let rows = |run| Rows::Run { run, shots: trial.shots };
    let held = runner.best.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(_, number, _)| *number == result.number);
    if let Some((_, _, kept)) = held {
        let with_rows = |(run, kept)| Ok((kept, runner.partition(trial, rows(run))?));
        return kept.into_iter().take(config.folds).enumerate().map(with_rows).collect();
    }
    // A trial of an earlier run left no weights: trained again, it gives the same ones.
    (0..config.folds).map(|run| runner.again(trial, rows(run), result.trained())).collect()
}

fn finalise(runner: &Runner<'_>, trial: &Trial, result: &TrialResult) -> Result<Final> {
    let (config, source) = (&runner.job.config, source(runner, trial));
    let (classes, each) = (source.classes.len(), trial.spec.is_each());
    let mut heads = heads(runner, trial, result)?;
    let mut val = Judged::default();
    for (run, ((trained, _), partition)) in heads.iter().enumerate() {
        let rows = Rows::Run { run, shots: trial.shots };
        let (features, _) = runner.features.of(trial, rows, partition, &runner.job.sources)?;
        val.extend(&partition.val, &trained.head.classify(&*features, &partition.val));
    }
    val.sort(classes);
    let temperature = temperature(&val.probabilities, classes, &source.labels, &val.rows, each);
    let all = Rows::All { shots: trial.shots };
    let (rows, (kept, partition)) = match heads.pop() {
        Some(only) if heads.is_empty() && !config.refit => (Rows::Run { run: 0, shots: trial.shots }, only),
        _ => (all, runner.again(trial, all, result.epochs)?),
    };
    let (features, _) = runner.features.of(trial, rows, &partition, &runner.job.sources)?;
    let test_rows = &source.partition.test;
    let mut test = Judged { rows: test_rows.clone(), probabilities: kept.0.head.classify(&*features, test_rows) };
    let mut metrics = Map::new();
    let mut judged = None;
    for (split, table) in [("val", &mut val), ("test", &mut test)] {
        if table.rows.is_empty() {
            continue;
        }
        let before = Metrics::of(&table.probabilities, classes, &source.labels, &table.rows);
        rescale(&mut table.probabilities, classes, each, temperature);
        let after = flat(split, &Metrics::of(&table.probabilities, classes, &source.labels, &table.rows));
        if split == "test" {
            metrics.extend(flat(split, &before));
            judged = Some(before);
        }
        for name in ["loss", "ece"] {
            metrics.insert(format!("{split}.{name}_scaled"), after[&format!("{split}.{name}")].clone());
        }
    }
    Ok(Final { kept, temperature, val, test, metrics, judged })
}

/// The best trial of each value of `report_best_by`, judged on test.
fn best_by(runner: &Runner<'_>, trials: &[Trial], outcome: &SweepOutcome, of_winner: &Map<String, Value>) -> Result<Vec<BestOf>> {
    let Some((_, key)) = &runner.job.config.report_best_by else { return Ok(vec![]) };
    let mut found: Vec<BestOf> = vec![];
    for result in &outcome.leaderboard {
        let Some(value) = result.settings.get(key).filter(|value| found.iter().all(|other| other.value != **value)) else { continue };
        let is_winner = result.number == outcome.leaderboard[0].number;
        let more = if is_winner { of_winner.clone() } else { finalise(runner, of(trials, result), result)?.metrics };
        let mut metrics = result.metrics.clone();
        metrics.extend(more);
        found.push(BestOf { value: value.clone(), trial: result.number, metrics });
    }
    Ok(found)
}
