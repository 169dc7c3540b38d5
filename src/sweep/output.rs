//! The files of a sweep directory beside its log: results, the best head, predictions, confusion.

use std::path::Path;

use serde_json::Value;

use super::config::SweepConfig;
use super::result::TrialResult;
use super::run::BestOf;
use super::source::Source;
use super::space::Domain;
use crate::files::{create_folder, replace};
use crate::heads::{BEST_FOLDER, HEAD_FILE, MODEL_FILE, Predictor, confusion, counts, most_probable, plain};
use crate::{Error, Result};

/// Rows and the class probabilities of each, `[rows, classes]`.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) rows: Vec<usize>,
    pub(super) probabilities: Vec<f32>,
}

impl Judged {
    pub(super) fn extend(&mut self, rows: &[usize], probabilities: &[f32]) {
        self.rows.extend_from_slice(rows);
        self.probabilities.extend_from_slice(probabilities);
    }

    /// Puts the rows into ascending order.
    pub(super) fn sort(&mut self, classes: usize) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_unstable_by_key(|&i| self.rows[i]);
        self.probabilities = order.iter().flat_map(|&i| self.probabilities[i * classes..][..classes].to_vec()).collect();
        self.rows.sort_unstable();
    }
}

/// A CSV file, whole or not at all.
fn write_csv(path: &Path, records: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
    let mut csv = csv::Writer::from_writer(vec![]);
    let refused = |e: &dyn std::fmt::Display| Error::cache(path, e, "this is a mistake in headstart");
    for record in records {
        csv.write_record(&record).map_err(|e| refused(&e))?;
    }
    replace(path, &csv.into_inner().map_err(|e| refused(&e))?)
}

/// `results.csv`: one row a trial in the order of their numbers, the epoch whose weights count, settings and metrics.
pub(super) fn write_results(folder: &Path, results: &[TrialResult], metrics: impl Iterator<Item = &'static str>) -> Result<()> {
    let mut results: Vec<&TrialResult> = results.iter().collect();
    results.sort_unstable_by_key(|r| r.number);
    let mut keys: Vec<&str> = vec![];
    for key in results.iter().flat_map(|r| r.settings.keys()) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let metrics: Vec<String> = metrics
        .flat_map(|name| [format!("val.{name}"), format!("val.{name}.std")])
        .filter(|name| results.iter().any(|r| r.metrics.contains_key(name)))
        .collect();
    let header = ["trial", "status", "epoch"].into_iter().chain(keys.iter().copied()).chain(metrics.iter().map(String::as_str));
    let cell = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(plain).unwrap_or_default();
    let row = |r: &&TrialResult| {
        let mut row = vec![r.number.to_string(), r.status.name().to_owned(), r.epochs.to_string()];
        row.extend(keys.iter().map(|key| cell(r.settings.get(*key))));
        row.extend(metrics.iter().map(|name| cell(r.metrics.get(name))));
        row
    };
    let header: Vec<String> = header.map(str::to_owned).collect();
    write_csv(&folder.join("results.csv"), std::iter::once(header).chain(results.iter().map(row)))
}

/// `best/`: the weights first, then the description that names them.
pub(super) fn write_best(folder: &Path, predictor: &Predictor) -> Result<()> {
    let best = folder.join(BEST_FOLDER);
    create_folder(&best)?;
    let (model, weights) = predictor.to_bytes()?;
    replace(&best.join(HEAD_FILE), &weights)?;
    replace(&best.join(MODEL_FILE), &model)
}

/// `predictions.csv`: one row an image of val (of folds: out of fold) and test, with the best head's answer; probabilities as `predict` gives them.
pub(super) fn write_predictions(folder: &Path, source: &Source, val: &Judged, test: &Judged) -> Result<()> {
    let classes = source.classes.len();
    let name = |label: usize| source.classes[label].as_str();
    let header = ["path", "split", "class", "predicted", "correct", "probability", "probability_of_class"].map(str::to_owned).to_vec();
    let part = |split: &'static str, judged: &Judged| {
        let row = |(&row, p): (&usize, &[f32])| {
            let answer = most_probable(p);
            let labels = source.labels.of(row);
            let right = labels.contains(&(answer as u32));
            let own = labels.iter().map(|&l| p[l as usize]).fold(0f32, f32::max);
            vec![
                source.paths[row].clone(),
                split.to_owned(),
                labels.iter().map(|&l| name(l as usize)).collect::<Vec<_>>().join("|"),
                name(answer).to_owned(),
                u8::from(right).to_string(),
                format!("{:.6}", p[answer]),
                format!("{own:.6}"),
            ]
        };
        judged.rows.iter().zip(judged.probabilities.chunks_exact(classes)).map(row).collect::<Vec<_>>()
    };
    let (val, test) = (part("val", val), part("test", test));
    write_csv(&folder.join("predictions.csv"), std::iter::once(header).chain(val).chain(test))
}

/// `confusion.csv` (a row a class, a column an answer) and `per_class.csv` (recall, precision and F1 of each class).
pub(super) fn write_confusion(folder: &Path, source: &Source, judged: &Judged) -> Result<()> {
    let Judged { rows, probabilities } = judged;
    let n = source.classes.len();
    let header = std::iter::once("class".to_owned()).chain(source.classes.iter().cloned()).collect();
    let line =
        |(class, row): (&String, &Vec<usize>)| std::iter::once(class.clone()).chain(row.iter().map(usize::to_string)).collect::<Vec<_>>();
    let table = confusion(probabilities, n, &source.labels, rows);
    let lines: Vec<_> = source.classes.iter().zip(&table).map(line).collect();
    write_csv(&folder.join("confusion.csv"), std::iter::once(header).chain(lines))?;
    let header = ["class", "rows", "recall", "precision", "f1"].map(str::to_owned).to_vec();
    let share = |part: usize, whole: usize| if whole == 0 { String::new() } else { format!("{:.6}", part as f64 / whole as f64) };
    let counts = counts(probabilities, n, &source.labels, rows);
    let line = |(class, c): (&String, &crate::heads::ClassCount)| {
        vec![class.clone(), c.is.to_string(), share(c.both, c.is), share(c.both, c.called), share(2 * c.both, c.is + c.called)]
    };
    let lines: Vec<_> = source.classes.iter().zip(&counts).map(line).collect();
    write_csv(&folder.join("per_class.csv"), std::iter::once(header).chain(lines))
}

/// `best_by_KEY.csv`: the best trial of each value of a parameter, with its metrics on val and test.
pub(super) fn write_best_by(folder: &Path, key: &str, found: &[BestOf]) -> Result<()> {
    let names: Vec<&String> = found.first().map(|best| best.metrics.keys().collect()).unwrap_or_default();
    let header = [key.to_owned(), "trial".to_owned()].into_iter().chain(names.iter().map(|n| (*n).clone())).collect();
    let cell = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(plain).unwrap_or_default();
    let row = |best: &BestOf| {
        [plain(&best.value), best.trial.to_string()].into_iter().chain(names.iter().map(|n| cell(best.metrics.get(*n)))).collect()
    };
    write_csv(&folder.join(format!("best_by_{key}.csv")), std::iter::once(header).chain(found.iter().map(row)))
}

/// Warnings where the best value of a numeric parameter is the smallest or largest that was tried.
pub(super) fn edges(config: &SweepConfig, leaderboard: &[TrialResult]) -> Vec<String> {
    let mut warnings = vec![];
    for axis in &config.axes {
        let Some(best) = leaderboard[0].settings.get(&axis.key).and_then(Value::as_f64) else { continue };
        if matches!(axis.key.as_str(), "seed" | "epochs" | "patience" | "shots" | "batch_size") {
            continue;
        }
        let tried: Vec<f64> = leaderboard.iter().filter_map(|r| r.settings.get(&axis.key)).filter_map(Value::as_f64).collect();
        let distinct = tried.iter().enumerate().filter(|(i, v)| !tried[..*i].contains(v)).count();
        let (low, high) = (tried.iter().copied().fold(f64::INFINITY, f64::min), tried.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        let is_natural_end = matches!(axis.domain, Domain::Values(_)) && best == 0.0;
        if distinct >= 3 && (best == low || best == high) && !is_natural_end {
            let end = if best == low { "smallest" } else { "largest" };
            warnings.push(format!("the best `{}` ({best}) is the {end} that was tried: widen its range", axis.key));
        }
    }
    warnings
}
