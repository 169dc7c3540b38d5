//! The content of the report, as plain data: the page's template and scripts read nothing else.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::answers::{Answer, answers, lacks_photos};
use super::calibration::Calibration;
use super::files::{SweepFiles, Table, extraction};
use super::importance::Importance;
use super::words::date;
use crate::data::{self, ListOptions, Orientation};
use crate::heads::{METRICS, Model, check_head_file, plain};
use crate::sweep::{EpochRecord, FinalRecord, Status};
use crate::{Error, Result};

/// Largest number of trials whose curves the page carries, the best first.
const CURVES: usize = 200;

/// Everything on the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Name of the data set, or of the folder.
    pub title: String,
    /// The metric that trials are compared by: `val.acc1`.
    pub metric: String,
    /// Whether a larger value of it is better.
    pub more: bool,
    /// Facts at the top.
    pub headline: Vec<Fact>,
    /// Date, data and backbone, as far as they are known.
    pub source: Vec<Fact>,
    /// The command that made the sweep.
    pub command: Option<String>,
    /// Settings that differ between trials.
    pub keys: Vec<String>,
    /// Settings that all trials share.
    pub fixed: Vec<Fact>,
    /// Names of the metrics of the trials.
    pub metrics: Vec<String>,
    /// Trials, the best first.
    pub trials: Vec<TrialRow>,
    /// Importance of the settings for the metric.
    pub importance: Option<Importance>,
    /// Epochs of the best trials.
    pub curves: Vec<Curve>,
    /// Counts, a row for each class and a column for each answer.
    pub confusion: Option<Confusion>,
    /// Recall, precision and F1, a row for each class.
    pub per_class: Option<Table>,
    /// The split whose rows confusion and classes count.
    pub judged_on: String,
    /// Reliability diagrams of val and test.
    pub calibration: Vec<Calibration>,
    /// The best head's answers, as many as the page carries.
    pub answers: Vec<Answer>,
    /// Number of wrong answers, and of all.
    pub wrong: [usize; 2],
    /// Extractions that the head's features come from.
    pub phases: Vec<Phases>,
    /// Search, head, caches and versions.
    pub provenance: Vec<Fact>,
    /// Notes of the sweep, on damage to its files and on parts that could not be shown.
    pub notes: Vec<String>,
    /// The notes on damage.
    #[serde(skip)]
    pub damage: Vec<String>,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Fact {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A trial of the leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TrialRow {
    /// Place on the leaderboard, from 1.
    pub rank: usize,
    /// Number in the sweep.
    pub trial: usize,
    /// How it ended.
    pub status: &'static str,
    /// Number of the epoch whose weights are kept.
    pub epochs: usize,
    /// Seconds of training.
    pub seconds: f64,
    /// Its settings.
    pub settings: Map<String, Value>,
    /// `val.acc1` and so on.
    pub metrics: Map<String, Value>,
}

/// A trial's epochs: for each name (`train.loss`, `val.acc1`), a value for each epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Curve {
    /// Number in the sweep.
    pub trial: usize,
    /// Values by name.
    pub series: Map<String, Value>,
}

/// Counts of the best head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Confusion {
    /// Class names.
    pub classes: Vec<String>,
    /// `counts[is][called]`
    pub counts: Vec<Vec<usize>>,
}

/// The time of an extraction by phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Phases {
    /// Name of the cache.
    pub cache: String,
    /// Number of images that were computed.
    pub images: usize,
    /// Number of threads.
    pub threads: usize,
    /// Phase and seconds, in the order of the pipeline.
    pub seconds: Vec<(String, f64)>,
    /// Seconds from start to end.
    pub wall: f64,
}

impl Report {
    /// Gathers the content from the files of a sweep. Photos are looked for in `images`, or where
    /// the extraction found them.
    ///
    /// # Errors
    /// A folder that is not a sweep, a damaged file of it, a file that the system cannot read.
    pub(crate) fn read(folder: &Path, images: Option<&Path>) -> Result<Report> {
        let files = SweepFiles::read(folder)?;
        let more = files.config.metric.more;
        let metric = format!("val.{}", files.config.metric.name);
        let (mut notes, mut damage) = (files.notes.clone(), files.damage.clone());
        let trials = leaderboard(&files, &metric, more);
        let keys = keys(&trials);
        let (fixed, keys): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| trials.iter().all(|t| t.settings.get(key) == trials[0].settings.get(key)));
        let fixed = fixed.iter().filter_map(|key| Some(fact(key, plain(trials.first()?.settings.get(key)?)))).collect();
        let metrics = METRICS
            .iter()
            .map(|metric| format!("val.{}", metric.name))
            .filter(|m| trials.iter().any(|t| t.metrics.contains_key(m)))
            .collect();
        let curves = trials.iter().take(CURVES).filter_map(|t| Some(curve(t.trial, files.epochs.get(&t.trial)?))).collect();
        match &files.model {
            None => notes.push("the sweep has not finished: there is no best head yet".into()),
            Some(_) => match check_head_file(folder) {
                Ok(()) => {}
                // Whether the head is damaged is not known where the disk does not give it.
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => damage.push(error.to_string().replace("\n  help: ", "; ")),
            },
        }
        notes.extend(damage.iter().cloned());
        notes.extend(about_divergence(&trials));
        notes.extend(about_metric(&trials, &metric));
        let caches = caches(files.model.as_ref(), folder);
        let mut phases = vec![];
        let mut photos = images.map(Path::to_path_buf);
        for (name, cache) in &caches {
            match extraction(cache)? {
                Some(log) => {
                    photos = photos.or(log.data);
                    let order = ["list", "read", "decode", "infer", "write"];
                    let seconds = order.iter().filter_map(|phase| Some(((*phase).to_owned(), *log.seconds.get(*phase)?))).collect();
                    let wall = log.seconds.get("wall").copied().unwrap_or(0.0);
                    phases.push(Phases { cache: name.clone(), images: log.computed, threads: log.threads, seconds, wall });
                }
                None => notes.push(format!("{name}: the cache is no longer there, so nothing is known of its extraction")),
            }
        }
        let wrong = [files.predictions.iter().filter(|p| p.correct == 0).count(), files.predictions.len()];
        // Nothing is listed: URIs alone are read.
        let source = photos.as_deref().and_then(|place| data::open(place, &ListOptions::default()).ok());
        let answers = answers(&files.predictions, source.as_deref(), orientation(files.model.as_ref()));
        if lacks_photos(&answers) {
            let looked =
                photos.map_or("the folder of the photos is not known".into(), |p| format!("some photos are not in {}", p.display()));
            notes.push(format!("{looked}: write the report again with option `data`, the folder that holds them"));
        }
        let test = files.predictions.iter().any(|p| p.split == "test");
        let judged_on = if test { "test" } else { "val" }.to_owned();
        Ok(Report {
            title: title(&files, folder),
            headline: headline(&files, &trials, &metric),
            source: origin(&files),
            command: files.run.as_ref().map(|run| run.command.clone()),
            importance: importance(&trials, &keys, &metric),
            provenance: provenance(&files),
            calibration: ["val", "test"].iter().filter_map(|split| Calibration::of(&files.predictions, split)).collect(),
            confusion: files.confusion.as_ref().map(confusion),
            per_class: files.per_class,
            metric,
            more,
            keys,
            fixed,
            metrics,
            trials,
            curves,
            judged_on,
            answers,
            wrong,
            phases,
            notes,
            damage,
        })
    }
}

fn fact(name: &str, value: impl Into<String>) -> Fact {
    Fact { name: name.into(), value: value.into() }
}

/// Trials in the sweep's own order: by the metric, then the loss, then the number; those that
/// diverged come last.
fn leaderboard(files: &SweepFiles, metric: &str, more: bool) -> Vec<TrialRow> {
    let number = |t: &FinalRecord, name: &str| t.metrics.get(name).and_then(Value::as_f64);
    let counts = |t: &FinalRecord, name: &str| number(t, name).filter(|_| t.status != Status::Diverged);
    let score = |t: &FinalRecord| counts(t, metric).map_or(f64::NEG_INFINITY, |v| if more { v } else { -v });
    let loss = |t: &FinalRecord| counts(t, "val.loss").unwrap_or(f64::INFINITY);
    let mut all: Vec<&FinalRecord> = files.trials.values().collect();
    all.sort_by(|a, b| score(b).total_cmp(&score(a)).then(loss(a).total_cmp(&loss(b))).then(a.trial.cmp(&b.trial)));
    let row = |(i, t): (usize, &FinalRecord)| TrialRow {
        rank: i + 1,
        trial: t.trial,
        status: t.status.name(),
        epochs: t.epochs,
        seconds: t.seconds,
        settings: t.settings.clone(),
        metrics: t.metrics.clone(),
    };
    all.into_iter().enumerate().map(row).collect()
}

/// A note on trials whose loss left the finite numbers.
fn about_divergence(trials: &[TrialRow]) -> Option<String> {
    match trials.iter().filter(|t| t.status == Status::Diverged.name()).count() {
        0 => None,
        all if all == trials.len() => Some("every trial diverged: the best head is of no use".into()),
        some => Some(format!("{some} of {} trials diverged; they come last", trials.len())),
    }
}

/// A note on trials without a value of the metric.
fn about_metric(trials: &[TrialRow], metric: &str) -> Option<String> {
    let usable = || trials.iter().filter(|t| t.status != Status::Diverged.name());
    match usable().filter(|t| !t.metrics.get(metric).is_some_and(Value::is_number)).count() {
        0 => None,
        all if all == usable().count() => Some(format!("no trial has `{metric}`: they stand in the order of their loss")),
        some => Some(format!("{some} of {} trials have no `{metric}` and come last", trials.len())),
    }
}

/// Settings in the order in which trials name them.
fn keys(trials: &[TrialRow]) -> Vec<String> {
    let mut keys: Vec<String> = vec![];
    for key in trials.iter().flat_map(|t| t.settings.keys()) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

fn curve(trial: usize, epochs: &[EpochRecord]) -> Curve {
    let mut series = Map::new();
    series.insert("train.loss".into(), epochs.iter().map(|e| Value::from(e.train_loss)).collect());
    let names: Vec<&String> = epochs.first().map_or_else(Vec::new, |e| e.metrics.keys().collect());
    for name in names {
        series.insert(name.clone(), epochs.iter().map(|e| e.metrics.get(name).cloned().unwrap_or_default()).collect());
    }
    Curve { trial, series }
}

fn confusion(table: &Table) -> Confusion {
    let counts = |row: &Vec<String>| row.iter().skip(1).map(|cell| cell.parse().unwrap_or(0)).collect();
    Confusion { classes: table.header.iter().skip(1).cloned().collect(), counts: table.rows.iter().map(counts).collect() }
}

/// Caches that the best head reads, by name; relative ones are looked for from here and from beside
/// the sweep.
fn caches(model: Option<&Model>, folder: &Path) -> Vec<(String, PathBuf)> {
    let mut all: Vec<(String, PathBuf)> = vec![];
    for input in model.map_or(&[][..], |m| &m.inputs) {
        let path = PathBuf::from(&input.cache);
        let beside = folder.ancestors().map(|a| a.join(&path)).find(|p| p.is_dir());
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if all.iter().all(|(known, _)| *known != name) && !name.is_empty() {
            all.push((name, if path.is_dir() { path } else { beside.unwrap_or(path) }));
        }
    }
    all
}

/// The orientation in which the model saw its photos.
fn orientation(model: Option<&Model>) -> Orientation {
    let key = model.and_then(|model| model.inputs.first()?.key.as_ref());
    key.map_or_else(Orientation::default, |key| key.orientation)
}

/// Importance of the settings for the metric of the trials that have it.
fn importance(trials: &[TrialRow], keys: &[String], metric: &str) -> Option<Importance> {
    let usable = trials.iter().filter(|t| t.status != Status::Diverged.name());
    let seen: Vec<_> = usable.filter_map(|t| Some((&t.settings, t.metrics.get(metric)?.as_f64()?))).collect();
    Importance::of(&seen, keys)
}

fn title(files: &SweepFiles, folder: &Path) -> String {
    let dataset = files.model.as_ref().and_then(|m| m.inputs.first()).map(|i| i.dataset.clone()).filter(|d| !d.is_empty());
    let name = || folder.canonicalize().ok().and_then(|f| Some(f.file_name()?.to_string_lossy().into_owned()));
    dataset.or_else(name).unwrap_or_else(|| "sweep".into())
}

fn headline(files: &SweepFiles, trials: &[TrialRow], metric: &str) -> Vec<Fact> {
    let number = |map: &Map<String, Value>, name: &str| map.get(name).and_then(Value::as_f64);
    let mut facts = vec![fact("trials", trials.len().to_string())];
    if let Some(best) = trials.first() {
        facts.extend(number(&best.metrics, metric).map(|v| fact(&format!("best {metric}"), format!("{v:.4}"))));
    }
    if let Some(model) = &files.model {
        facts.extend(number(&model.metrics, "test.acc1").map(|v| fact("its test.acc1", format!("{v:.4}"))));
        facts.push(fact("classes", model.classes.len().to_string()));
    }
    facts.push(fact("seconds of training", format!("{:.1}", trials.iter().map(|t| t.seconds).sum::<f64>())));
    facts
}

/// Date of the sweep, its data and its backbone.
fn origin(files: &SweepFiles) -> Vec<Fact> {
    let mut facts: Vec<Fact> = files.ended.map(|time| fact("date", date(time))).into_iter().collect();
    let Some(model) = &files.model else { return facts };
    let photos = |split: &str| files.predictions.iter().filter(|p| p.split == split).count();
    let counts = ["val", "test"].map(|split| (split, photos(split))).into_iter().filter(|(_, n)| *n > 0);
    let counts: Vec<String> = counts.map(|(split, n)| format!("{n} on {split}")).collect();
    let distinct = |named: &dyn Fn(&crate::heads::InputFeatures) -> Option<String>| {
        let mut all: Vec<String> = model.inputs.iter().filter_map(named).collect();
        all.dedup();
        all.join(" + ")
    };
    let data = distinct(&|input| Some(input.dataset.clone()).filter(|name| !name.is_empty()));
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    if !data.is_empty() {
        facts.push(fact("data", data + &counts));
    }
    let backbone = distinct(&|input| Some(format!("{}, weights {}, tap {}", input.key.as_ref()?.backbone, input.weights, input.tap)));
    if !backbone.is_empty() {
        facts.push(fact("backbone", backbone));
    }
    facts
}

fn provenance(files: &SweepFiles) -> Vec<Fact> {
    let mut facts = vec![fact("search", files.config.method.name()), fact("search seed", files.config.seed.to_string())];
    let Some(model) = &files.model else { return facts };
    facts.push(fact("best trial", model.trial.to_string()));
    facts.push(fact("its seed", model.head.params().seed.to_string()));
    facts.push(fact("headstart", &*model.headstart));
    for input in &model.inputs {
        facts.push(fact("tap", format!("{} {:?}", input.tap, input.shape)));
        facts.push(fact("cache", &*input.cache));
        facts.push(fact("weights", &*input.weights));
        let Some(key) = &input.key else { continue };
        facts.extend([
            fact("backbone", &*key.backbone),
            fact("weights SHA-256", &*key.weights),
            fact("preprocess", key.input_in_words().replace(',', ", ")),
            fact("policy of augmented views, if any", &*key.augment),
            fact("engine", format!("{} ({}), {}, stored as {}", key.engine, key.device, key.compute, key.store)),
            fact("key", &*input.key_digest),
        ]);
    }
    facts
}
