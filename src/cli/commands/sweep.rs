//! `headstart sweep`: many heads on cached features, compared.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::experiment;
use crate::heads::Epoch;
use crate::sweep::{LOG_FILE, Observer, Status, SweepConfig, SweepOutcome, Trial, TrialResult};
use comfy_table::Table;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::cli::args::Sweep;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, name, seconds, table, thousands};
use crate::cli::signals;

/// Trials shown on the screen; results.csv holds all.
const SHOWN: usize = 10;

/// Runs the verb. On stdout: the leaderboard, or with `--json` one object.
pub(crate) fn run(a: &Sweep, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let (settings, caches): (Vec<&String>, Vec<&String>) = a.words.iter().partition(|w| is_setting(w));
    let mut builder = experiment::Sweep::builder(caches).device(super::device(device, screen)?).command(command(a));
    if let Some(file) = &a.config {
        builder = builder.config(SweepConfig::read(file)?);
    }
    if let Some(out) = &a.out {
        builder = builder.out(out);
    }
    let sweep = settings.into_iter().fold(builder, experiment::SweepBuilder::set).prepare()?;
    if let Some(gpu) = sweep.gpu() {
        screen.note(format_args!("heads train on {gpu}"));
    }
    let watch = Watch { screen, bar: OnceLock::new(), finished: Arc::default() };
    let (finished, log) = (watch.finished.clone(), sweep.folder().join(LOG_FILE));
    let kept = signals::kept(move || {
        let finished = thousands(finished.load(Ordering::Relaxed) as u64);
        format!("{finished} finished trials are kept in {}; the same command goes on from there", log.display())
    });
    let outcome = sweep.run(&watch);
    drop(kept);
    watch.bar().finish_and_clear();
    let outcome = outcome?;
    tell(&outcome, screen);
    Ok(Ending::Done)
}

/// The command line, as far as it decides what the sweep holds.
fn command(a: &Sweep) -> Vec<String> {
    let option =
        |name: &str, value: &Option<PathBuf>| value.iter().flat_map(|v| [name.to_owned(), v.display().to_string()]).collect::<Vec<_>>();
    let words = ["headstart", "sweep"].map(str::to_owned).into_iter().chain(a.words.iter().cloned());
    words.chain(option("--config", &a.config)).chain(option("--out", &a.out)).collect()
}

/// `lr=0.1,0.01` rather than a folder.
fn is_setting(word: &str) -> bool {
    word.contains('=') && !Path::new(word).exists()
}

fn tell(outcome: &SweepOutcome, screen: &Screen) {
    let trials = outcome.leaderboard.len();
    let again = if outcome.reused > 0 { format!(", {} of them from an earlier run", outcome.reused) } else { String::new() };
    screen.note(format_args!("{} trials in {}{again}", thousands(trials as u64), seconds(outcome.seconds)));
    if screen.json {
        let best = outcome.leaderboard.first();
        return screen.object(&json!({
            "sweep": name(&outcome.folder), "trials": trials, "reused": outcome.reused, "seconds": outcome.seconds, "metric": outcome.metric,
            "best": best.map(|t| json!({ "trial": t.number, "status": t.status.name(), "settings": t.settings, "metrics": t.metrics })),
            "test": outcome.test, "test_of_repeats": outcome.test_of_repeats,
            "best_by": outcome.best_by.iter().map(|b| json!({ "value": b.value, "trial": b.trial, "metrics": b.metrics })).collect::<Vec<_>>(),
        }));
    }
    screen.result(leaderboard(outcome));
    if let Some(test) = outcome.test.as_ref().filter(|test| test.loss.is_finite()) {
        let of_repeats = |name: &str| with_spread(&outcome.test_of_repeats, &format!("test.{name}"));
        let (acc1, loss) = (of_repeats("acc1"), of_repeats("loss"));
        let [acc1, loss] = [(acc1, test.acc1), (loss, test.loss)].map(|(spread, own)| spread.unwrap_or_else(|| format!("{own:.4}")));
        screen.result(format_args!("test of the best: acc1 {acc1}, loss {loss}"));
    }
    for best in &outcome.best_by {
        let metric = |name: &str| with_spread(&best.metrics, name).map_or(String::new(), |v| format!(", {name} {v}"));
        let [val, test] = [outcome.metric.as_str(), "test.acc1"].map(metric);
        screen.result(format_args!("best of {}: trial {}{val}{test}", plain(&best.value), best.trial));
    }
    let page = if cfg!(feature = "report") { ", to look at: report.html" } else { "" };
    screen.note(format_args!("all trials, the best head and its predictions: {}{page}", outcome.folder.display()));
}

/// The best trials: what differs among them, how they did, and where that differs too, how they
/// ended.
fn leaderboard(outcome: &SweepOutcome) -> Table {
    let shown = &outcome.leaderboard[..outcome.leaderboard.len().min(SHOWN)];
    let differs = |key: &str| outcome.leaderboard.iter().any(|t| t.settings.get(key) != outcome.leaderboard[0].settings.get(key));
    let mut keys: Vec<&String> = vec![];
    for key in outcome.leaderboard.iter().flat_map(|t| t.settings.keys()) {
        if !keys.contains(&key) && differs(key) {
            keys.push(key);
        }
    }
    let mut metrics = vec![outcome.metric.as_str()];
    metrics.extend(["val.acc1", "val.loss"].into_iter().filter(|m| *m != outcome.metric));
    let endings = if shown.iter().any(|t| t.status != Status::Done) { &["epoch", "status"][..] } else { &["epoch"] };
    let header: Vec<String> = ["#", "trial"]
        .into_iter()
        .chain(keys.iter().map(|k| k.as_str()))
        .chain(metrics.iter().copied())
        .chain(endings.iter().copied())
        .map(str::to_owned)
        .collect();
    let rows = shown.iter().enumerate().map(|(rank, trial)| {
        let setting = |key: &&String| trial.settings.get(*key).map_or("–".into(), plain);
        let metric = |name: &&str| with_spread(&trial.metrics, name).unwrap_or_else(|| "–".into());
        let place = [(rank + 1).to_string(), trial.number.to_string()];
        let ending = [trial.epochs.to_string(), trial.status.name().to_owned()].into_iter().take(endings.len());
        place.into_iter().chain(keys.iter().map(setting)).chain(metrics.iter().map(metric)).chain(ending).collect()
    });
    table(header, 0, rows)
}

/// A metric, of several runs with its deviation.
fn with_spread(metrics: &Map<String, Value>, name: &str) -> Option<String> {
    let number = |name: &str| metrics.get(name).and_then(Value::as_f64);
    let spread = number(&format!("{name}.std")).map_or(String::new(), |std| format!(" ± {std:.4}"));
    number(name).map(|mean| format!("{mean:.4}{spread}"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Draws a sweep's progress on a terminal.
struct Watch<'a> {
    screen: &'a Screen,
    bar: OnceLock<ProgressBar>,
    /// Trials that came to their end, now or in an earlier run.
    finished: Arc<AtomicUsize>,
}

impl Watch<'_> {
    fn bar(&self) -> &ProgressBar {
        self.bar.get_or_init(ProgressBar::hidden)
    }
}

impl Observer for Watch<'_> {
    fn started(&self, trials: usize) {
        self.bar.get_or_init(|| self.screen.bar(trials as u64, "{bar:30} {pos}/{len} trials  {msg}  ETA {eta}"));
    }

    fn reused(&self, _result: &TrialResult) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.bar().inc(1);
    }

    fn epoch(&self, trial: &Trial, epoch: &Epoch) {
        self.bar().set_message(format!("trial {} epoch {}", trial.number, epoch.epoch));
    }

    fn finished(&self, _result: &TrialResult) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.bar().inc(1);
    }

    fn note(&self, note: &str) {
        self.bar().suspend(|| self.screen.note(note));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaderboard_shows_deviations_and_how_trials_ended_where_there_is_something_to_show() {
        let trial = |number: usize, status, metrics: Value| TrialResult {
            number,
            settings: Map::from_iter([("lr".to_owned(), json!(number))]),
            status,
            epochs: 3,
            seconds: 0.0,
            metrics: metrics.as_object().cloned().unwrap_or_default(),
            history: vec![],
        };
        let mut outcome = SweepOutcome {
            folder: PathBuf::new(),
            leaderboard: vec![trial(0, Status::Done, json!({"val.acc1": 0.9, "val.acc1.std": 0.02})), trial(1, Status::Done, json!({}))],
            metric: "val.acc1".into(),
            test: None,
            test_of_repeats: Map::new(),
            best_by: vec![],
            reused: 0,
            notes: vec![],
            seconds: 0.0,
        };
        let shown = leaderboard(&outcome).to_string();
        assert!(shown.contains("0.9000 ± 0.0200") && !shown.contains("status"), "{shown}");
        outcome.leaderboard[1].status = Status::Diverged;
        let shown = leaderboard(&outcome).to_string();
        assert!(shown.contains("status") && shown.contains("diverged"), "{shown}");
    }
}
