//! The files of a sweep directory beside its log: results, the best head, predictions, confusion.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::result::TrialResult;
use crate::files::{create_folder, remove_if_there, replace};
use crate::heads::{BEST_FOLDER, HEAD_FILE, MODEL_FILE, Predictor, SettingSpec, confusion, counts, most_probable, plain};
use crate::sweep::running::run::BestOf;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::settings::space::{Axis, Domain, Range};
use crate::sweep::sources::source::Source;
use crate::{Error, Result};

/// What a sweep has to say beside its numbers.
pub const NOTES_FILE: &str = "notes.txt";

/// Rows and the class probabilities of each, `[rows, classes]`.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) rows: Vec<usize>,
    pub(crate) probabilities: Vec<f32>,
}

impl Judged {
    pub(crate) fn extend(&mut self, more: Judged) {
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
    write_csv(&folder.join("results.csv"), std::iter::once(header).chain(results.iter().map(row)))
}

/// `notes.txt`: what the user should know, a line each. No file where that is nothing.
pub(crate) fn write_notes(folder: &Path, notes: &[String]) -> Result<()> {
    let file = folder.join(NOTES_FILE);
    if notes.is_empty() { remove_if_there(&file) } else { replace(&file, (notes.join("\n") + "\n").as_bytes()) }
}

/// `best/`: the weights first, then the description that names them.
pub(crate) fn write_best(folder: &Path, predictor: &Predictor) -> Result<()> {
    let best = folder.join(BEST_FOLDER);
    create_folder(&best)?;
    let (model, weights) = predictor.to_bytes()?;
    replace(&best.join(HEAD_FILE), &weights)?;
    replace(&best.join(MODEL_FILE), &model)
}

/// Classes of which each has a column in `predictions.csv`; more make the file larger than it is of use.
pub(crate) const MOST_CLASSES: usize = 1000;

/// `predictions.csv`: one row an image of val (of folds: out of fold) and test, with the best head's answer and, as `predict` gives them, the
/// probabilities of all classes.
pub(crate) fn write_predictions(folder: &Path, source: &Source, val: &Judged, test: &Judged) -> Result<()> {
    let classes = source.classes.len();
    let each: &[String] = if classes <= MOST_CLASSES { &source.classes } else { &[] };
    let header = ["path", "split", "class", "predicted", "correct", "probability", "probability_of_class"].map(str::to_owned);
    let header = header.into_iter().chain(each.iter().map(|class| format!("p.{class}"))).collect();
    let part = |split: &'static str, judged: &Judged| {
        let row = |(&row, p): (&usize, &[f32])| prediction(source, split, row, p, each.len());
        judged.rows.iter().zip(judged.probabilities.chunks_exact(classes)).map(row).collect::<Vec<_>>()
    };
    let (val, test) = (part("val", val), part("test", test));
    write_csv(&folder.join("predictions.csv"), std::iter::once(header).chain(val).chain(test))
}

/// A row of `predictions.csv`. The answer is the most probable class; of rows with several classes, all of at least one half.
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

/// `confusion.csv` (a row a class, a column an answer) and `per_class.csv` (recall, precision and F1 of each class).
pub(crate) fn write_confusion(folder: &Path, source: &Source, judged: &Judged) -> Result<()> {
    let Judged { rows, probabilities } = judged;
    let n = source.classes.len();
    let table = folder.join("confusion.csv");
    if source.labels.are_many() {
        // Several classes and several answers a row: none of them stands against one other.
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
    write_csv(&folder.join("per_class.csv"), std::iter::once(header).chain(lines))
}

/// `best_by_KEY.csv`: the best trial of each value of a parameter, with its metrics on val and test.
pub(crate) fn write_best_by(folder: &Path, key: &str, found: &[BestOf]) -> Result<()> {
    // Those that have no repeats have no deviations: not each has all.
    let names: BTreeSet<&String> = found.iter().flat_map(|best| best.metrics.keys()).collect();
    let header = [key.to_owned(), "trial".to_owned()].into_iter().chain(names.iter().map(|n| (*n).clone())).collect();
    let cell = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(plain).unwrap_or_default();
    let row = |best: &BestOf| {
        [plain(&best.value), best.trial.to_string()].into_iter().chain(names.iter().map(|n| cell(best.metrics.get(*n)))).collect()
    };
    write_csv(&folder.join(format!("best_by_{key}.csv")), std::iter::once(header).chain(found.iter().map(row)))
}

/// Warnings where the best value of a numeric parameter lies at an end of what was searched: a better one may lie beyond.
pub(crate) fn edges(config: &SweepConfig, leaderboard: &[TrialResult]) -> Vec<String> {
    // Of seeds none is better, and more rows a class always are.
    let axes = config.axes.iter().filter(|axis| !matches!(axis.key.as_str(), "seed" | "shots"));
    let edge = |axis: &Axis| {
        let best = leaderboard[0].settings.get(&axis.key).and_then(Value::as_f64)?;
        let is_last = |end: f64| SettingSpec::find(&axis.key).is_ok_and(|key| key.least() == Some(end));
        match &axis.domain {
            Domain::Range(range) => edge_of_range(range, best, is_last).map(|end| {
                format!("the best `{}` ({best}) lies at the {end} end of its range ({} to {}): widen it", axis.key, range.min, range.max)
            }),
            Domain::Values(_) => {
                let tried = leaderboard.iter().filter_map(|r| r.settings.get(&axis.key)).filter_map(Value::as_f64);
                let end = edge_of_list(tried.collect(), best, is_last)?;
                Some(format!("the best `{}` ({best}) is the {end} that was tried: widen its range", axis.key))
            }
        }
    };
    axes.filter_map(edge).collect()
}

/// The end of a distribution within a twentieth of which `best` lies, unless there is nothing beyond it.
fn edge_of_range(range: &Range, best: f64, is_last: impl Fn(f64) -> bool) -> Option<&'static str> {
    const NEAR: f64 = 0.05;
    let [low, high, best] = [range.min, range.max, best].map(|x| range.coordinate(x));
    let place = (best - low) / (high - low);
    match place {
        _ if low == high => None,
        _ if place <= NEAR => (!is_last(range.min)).then_some("lower"),
        _ => (place >= 1.0 - NEAR).then_some("upper"),
    }
}

/// Whether `best` is the first or the last of several values, unless there is nothing beyond it.
fn edge_of_list(mut tried: Vec<f64>, best: f64, is_last: impl Fn(f64) -> bool) -> Option<&'static str> {
    tried.sort_unstable_by(f64::total_cmp);
    match (tried.first()?, tried.last()?) {
        (first, last) if first == last => None,
        (first, _) if *first == best => (!is_last(best)).then_some("smallest"),
        (_, last) => (*last == best).then_some("largest"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::record::Status;
    use super::*;

    /// The warning of a sweep over one parameter, of whose values `tried` the first did best.
    fn warning(key: &str, domain: &str, tried: &[f64]) -> Option<String> {
        let text = format!("method: random\nparameters:\n  {key}: {domain}\n");
        let config = SweepConfig::parse(&text, Path::new("s.yaml")).unwrap();
        let result = |value: &f64| {
            let settings = [(key.to_owned(), json!(value))].into_iter().collect();
            let metrics = serde_json::Map::new();
            TrialResult { number: 0, settings, status: Status::Done, epochs: 1, seconds: 0.0, metrics, history: vec![] }
        };
        edges(&config, &tried.iter().map(result).collect::<Vec<_>>()).pop()
    }

    #[test]
    fn a_best_value_at_an_end_of_what_was_declared_is_pointed_out() {
        let log = "{distribution: log_uniform_values, min: 1.0e-3, max: 1.0e+6}";
        let cases = [
            // The largest that was drawn, in the middle of what was declared.
            ("alpha", log, &[2406.0, 1.0, 0.01][..], None),
            ("alpha", log, &[5e5, 1.0, 0.01], Some("(500000) lies at the upper end of its range (0.001 to 1000000)")),
            ("alpha", log, &[1.5e-3, 1.0, 0.01], Some("lower end")),
            ("dropout", "{min: 0.0, max: 0.8}", &[0.01, 0.4], None),
            ("dropout", "{min: 0.1, max: 0.8}", &[0.11, 0.4], Some("lower end")),
            ("epochs", "{min: 3, max: 40}", &[40.0, 30.0], Some("upper end")),
            ("epochs", "{values: [10, 20]}", &[20.0, 10.0], Some("(20) is the largest that was tried")),
            ("batch_size", "{values: [64, 16, 32]}", &[16.0, 64.0, 32.0], Some("smallest")),
            ("batch_size", "{values: [64, 16, 32]}", &[32.0, 16.0, 64.0], None),
            ("batch_size", "{values: [1, 16]}", &[1.0, 16.0], None),
            ("dropout", "{values: [0.0, 0.5]}", &[0.0, 0.5], None),
            ("lr", "{values: [0.1]}", &[0.1, 0.1], None),
            ("shots", "{values: [1, 5]}", &[5.0, 1.0], None),
        ];
        for (key, domain, tried, want) in cases {
            let said = warning(key, domain, tried);
            let fits = want.map_or(said.is_none(), |want| said.as_ref().is_some_and(|said| said.contains(want)));
            assert!(fits, "{key} {domain} {tried:?}: {said:?}");
        }
    }
}
