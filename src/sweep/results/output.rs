//! The files of a sweep directory beside its log: results, the best head, predictions, confusion.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::names::{CONFUSION_FILE, NOTES_FILE, PER_CLASS_FILE, PREDICTIONS_FILE, RESULTS_FILE, best_by_file};
use super::outcome::BestOf;
use super::result::TrialResult;
use crate::files::{create_folder, remove_if_there, replace};
use crate::heads::{BEST_FOLDER, HEAD_FILE, HeadFiles, MODEL_FILE, Predictor, confusion, counts, most_probable, plain};
use crate::sweep::sources::source::Source;
use crate::{Error, Result};

/// Rows and the class probabilities of each, `[rows, classes]`.
#[derive(Debug, Default)]
pub(crate) struct Predictions {
    pub(crate) rows: Vec<usize>,
    pub(crate) probabilities: Vec<f32>,
}

impl Predictions {
    pub(crate) fn extend(&mut self, more: Predictions) {
        self.rows.extend(more.rows);
        self.probabilities.extend(more.probabilities);
    }

    /// Puts the rows into ascending order.
    pub(crate) fn sort(&mut self, classes: usize) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_unstable_by_key(|&i| self.rows[i]);
        self.probabilities = order.iter().flat_map(|&i| self.probabilities[i * classes..][..classes].to_vec()).collect();
        self.rows.sort_unstable();
    }
}

/// Writes a CSV file, whole or not at all.
pub(crate) fn write_csv(path: &Path, records: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
    let mut csv = csv::Writer::from_writer(vec![]);
    let refused = |e: &dyn std::fmt::Display| Error::internal(format!("{} cannot be made: {e}", path.display()));
    for record in records {
        csv.write_record(&record).map_err(|e| refused(&e))?;
    }
    replace(path, &csv.into_inner().map_err(|e| refused(&e))?)
}

/// `results.csv`: a row for each trial in the order of their numbers, with the epoch whose weights
/// are kept, settings and metrics.
pub(crate) fn write_results(folder: &Path, results: &[TrialResult], metrics: impl Iterator<Item = &'static str>) -> Result<()> {
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
    write_csv(&folder.join(RESULTS_FILE), std::iter::once(header).chain(results.iter().map(row)))
}

/// `notes.txt`: the notes, a line each. No file where there are none.
pub(crate) fn write_notes(folder: &Path, notes: &[String]) -> Result<()> {
    let file = folder.join(NOTES_FILE);
    if notes.is_empty() { remove_if_there(&file) } else { replace(&file, (notes.join("\n") + "\n").as_bytes()) }
}

/// `best/`: the weights first, then the description that names them.
pub(crate) fn write_best(folder: &Path, predictor: &Predictor) -> Result<()> {
    let best = folder.join(BEST_FOLDER);
    create_folder(&best)?;
    let HeadFiles { model, weights } = predictor.to_bytes()?;
    replace(&best.join(HEAD_FILE), &weights)?;
    replace(&best.join(MODEL_FILE), &model)
}

/// Largest number of classes with columns of their own in `predictions.csv`: more would make the
/// file unwieldy.
pub(crate) const MOST_CLASSES: usize = 1000;

/// `predictions.csv`: a row for each image of val (with folds, predicted out of fold) and test,
/// with the best head's answer and the probabilities of all classes, as `predict` gives them.
pub(crate) fn write_predictions(folder: &Path, source: &Source, val: &Predictions, test: &Predictions) -> Result<()> {
    let classes = source.classes.len();
    let each: &[String] = if classes <= MOST_CLASSES { &source.classes } else { &[] };
    let header = ["path", "split", "class", "predicted", "correct", "probability", "probability_of_class"].map(str::to_owned);
    let header = header.into_iter().chain(each.iter().map(|class| format!("p.{class}"))).collect();
    let part = |split: &'static str, judged: &Predictions| {
        let row = |(&row, p): (&usize, &[f32])| prediction(source, split, row, p, each.len());
        judged.rows.iter().zip(judged.probabilities.chunks_exact(classes)).map(row).collect::<Vec<_>>()
    };
    let (val, test) = (part("val", val), part("test", test));
    write_csv(&folder.join(PREDICTIONS_FILE), std::iter::once(header).chain(val).chain(test))
}

/// A row of `predictions.csv`. The answer is the most probable class; where rows have several
/// classes, all classes of a probability of at least one half.
fn prediction(source: &Source, split: &str, row: usize, p: &[f32], each: usize) -> Vec<String> {
    let most = most_probable(p);
    let labels = source.labels.of(row);
    let own = labels.iter().map(|&l| p[l as usize]).fold(0f32, f32::max);
    let names = |classes: &[usize]| classes.iter().map(|&class| source.classes[class].as_str()).collect::<Vec<_>>().join("|");
    let answer: Vec<usize> = if source.labels.are_many() { (0..p.len()).filter(|&class| p[class] >= 0.5).collect() } else { vec![most] };
    let head = [
        source.paths[row].clone(),
        split.to_owned(),
        names(&labels.iter().map(|&l| l as usize).collect::<Vec<_>>()),
        names(&answer),
        u8::from(labels.contains(&(most as u32))).to_string(),
    ];
    head.into_iter().chain([p[most], own].iter().chain(&p[..each]).map(|p| format!("{p:.6}"))).collect()
}

/// `confusion.csv` (a row for each class, a column for each answer) and `per_class.csv` (recall,
/// precision and F1 of each class).
pub(crate) fn write_confusion(folder: &Path, source: &Source, judged: &Predictions) -> Result<()> {
    let Predictions { rows, probabilities } = judged;
    let n = source.classes.len();
    let table = folder.join(CONFUSION_FILE);
    if source.labels.are_many() {
        // With several classes and answers in a row, no answer stands against one class.
        remove_if_there(&table)?;
    } else {
        let header = std::iter::once("class".to_owned()).chain(source.classes.iter().cloned()).collect();
        let line = |(class, row): (&String, Vec<usize>)| {
            std::iter::once(class.clone()).chain(row.iter().map(usize::to_string)).collect::<Vec<_>>()
        };
        let lines = source.classes.iter().zip(confusion(probabilities, n, &source.labels, rows)).map(line);
        write_csv(&table, std::iter::once(header).chain(lines))?;
    }
    let header = ["class", "rows", "recall", "precision", "f1"].map(str::to_owned).to_vec();
    let share = |part: usize, whole: usize| if whole == 0 { String::new() } else { format!("{:.6}", part as f64 / whole as f64) };
    let counts = counts(probabilities, n, &source.labels, rows);
    let line = |(class, c): (&String, &crate::heads::ClassCount)| {
        vec![class.clone(), c.is.to_string(), share(c.both, c.is), share(c.both, c.called), share(2 * c.both, c.is + c.called)]
    };
    let lines: Vec<_> = source.classes.iter().zip(&counts).map(line).collect();
    write_csv(&folder.join(PER_CLASS_FILE), std::iter::once(header).chain(lines))
}

/// `best_by_KEY.csv`: the best trial of each value of a parameter, with its metrics on val and
/// test.
pub(crate) fn write_best_by(folder: &Path, key: &str, found: &[BestOf]) -> Result<()> {
    // A trial without repeats has no deviations, so the metrics differ.
    let names: BTreeSet<&String> = found.iter().flat_map(|best| best.metrics.keys()).collect();
    let header = [key.to_owned(), "trial".to_owned()].into_iter().chain(names.iter().map(|n| (*n).clone())).collect();
    let cell = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(plain).unwrap_or_default();
    let row = |best: &BestOf| {
        [plain(&best.value), best.trial.to_string()].into_iter().chain(names.iter().map(|n| cell(best.metrics.get(*n)))).collect()
    };
    write_csv(&folder.join(best_by_file(key)), std::iter::once(header).chain(found.iter().map(row)))
}
