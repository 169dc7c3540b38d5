//! Everything that a comparison tells: as plain data, as a table, as files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::line::{Line, break_even, trials};
use super::record::{Agreement, Epoch, Record, to_json};
use super::{ComparisonJob, Single};
use crate::extract::Seconds;
use crate::files::replace;
use crate::heads::Metrics;
use crate::text::seconds;
use crate::{Error, Result};

/// Everything, as JSON.
pub const RESULT_FILE: &str = "speedup.json";
/// Seconds until the end of each epoch, one row a leg and epoch.
pub const TABLE_FILE: &str = "speedup.csv";
/// The page to look at.
pub const PAGE_FILE: &str = "speedup.html";

/// Numbers of trials for which times are told.
const TRIALS: [usize; 7] = [1, 2, 5, 10, 20, 50, 100];

/// A finished comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speedup {
    /// Version of headstart.
    pub headstart: String,
    /// What was compared.
    pub about: About,
    /// The images.
    pub images: Images,
    /// The head's settings.
    pub settings: Map<String, Value>,
    /// Epochs that the head takes.
    pub epochs: usize,
    /// The leg with the base in the loop.
    pub in_loop: LegTime,
    /// The leg on cached features.
    pub cached: LegTime,
    /// How many times as fast the cached way is, everything counted.
    pub speedup: f64,
    /// The first epoch at whose end the cached way has taken no longer.
    pub break_even_epoch: Option<usize>,
    /// Seconds for several trials.
    pub trials: Vec<Trials>,
    /// How the heads of both legs agree.
    pub predictions: Agreement,
    /// The head on val, after all epochs.
    pub val: Metrics,
}

/// What was compared, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The data set's name.
    pub dataset: String,
    /// The cached features.
    #[serde(serialize_with = "crate::text::lossy")]
    pub cache: PathBuf,
    /// The backbone.
    pub backbone: String,
    /// The words that get its weights again.
    pub weights: String,
    /// Engine and device class.
    pub engine: String,
    /// What trained the head.
    pub trainer: String,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// The tap.
    pub tap: String,
    /// Shape of one image's features there.
    pub shape: Vec<usize>,
    /// Images a batch of the base.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// System and architecture.
    pub machine: String,
}

/// How many images there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// For training.
    pub train: usize,
    /// For judging.
    pub val: usize,
    /// That could not be used.
    pub failed: usize,
}

/// Seconds of a leg.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegTime {
    /// Before either leg: images listed and digested, weights read, the base planned.
    pub start: f64,
    /// The extraction by phase, in the cached way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<Seconds>,
    /// Opening the cache, in the cached way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<f64>,
    /// The epochs that were run.
    pub epochs: Vec<Epoch>,
    /// Whether epochs are missing, so that `seconds` is scaled.
    pub scaled: bool,
    /// An epoch, on the mean.
    pub seconds_an_epoch: f64,
    /// What was measured.
    pub seconds_measured: f64,
    /// All epochs: measured, or scaled.
    pub seconds: f64,
}

/// Seconds for some trials, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    /// How many.
    pub trials: usize,
    /// Each with the base in its loop.
    pub in_loop: f64,
    /// All on the same cached features.
    pub cached: f64,
}

impl LegTime {
    fn new(start: f64, line: Line, epochs: &[Epoch], all: usize) -> LegTime {
        LegTime {
            start,
            extract: None,
            open: None,
            epochs: epochs.to_vec(),
            scaled: epochs.len() < all,
            seconds_an_epoch: line.each,
            seconds_measured: line.at(epochs.len()),
            seconds: line.at(all),
        }
    }

    /// Seconds until the end of each of `all` epochs, and whether they were measured.
    pub(super) fn until(&self, all: usize) -> impl Iterator<Item = (f64, bool)> {
        let before = self.start + self.extract.map_or(0.0, |s| s.wall) + self.open.unwrap_or(0.0);
        let each = |epoch: usize| self.epochs.get(epoch).map_or(self.seconds_an_epoch, Epoch::seconds);
        (0..all).scan(before, move |sum, epoch| {
            *sum += each(epoch);
            Some((*sum, epoch < self.epochs.len()))
        })
    }
}

impl Speedup {
    pub(super) fn new(comparison: &ComparisonJob<'_>, single: &Single, record: &Record) -> Result<Speedup> {
        let job = comparison.job;
        let about = About {
            dataset: job.name.into(),
            cache: job.folder.into(),
            backbone: job.key.backbone.clone(),
            weights: job.weights.into(),
            engine: format!("{} ({})", job.key.engine, job.key.device),
            trainer: comparison.trainer.name().into(),
            input: job.input,
            tap: job.taps[0].name.clone(),
            shape: job.taps[0].shape.clone(),
            batch: job.batch,
            threads: rayon::current_num_threads(),
            machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        };
        let failed = record.cached.as_ref().map_or(0, |leg| leg.failed);
        let images = Images { train: single.partition.train.len(), val: single.partition.val.len(), failed };
        Speedup::of(record, about, images, single.trial.settings.clone())
    }

    /// What follows from the legs.
    pub(super) fn of(record: &Record, about: About, images: Images, settings: Map<String, Value>) -> Result<Speedup> {
        let (Some(start), Some(cached), Some(in_loop)) = (record.start, &record.cached, &record.in_loop) else {
            return Err(Error::setting("a leg is missing", "start the comparison again"));
        };
        let epochs = cached.epochs.len();
        let lines = [in_loop.line(start), cached.line(start)];
        let of_trials = |n: usize| {
            let [in_loop, cached] = trials(lines[0], lines[1], epochs, n);
            Trials { trials: n, in_loop, cached }
        };
        Ok(Speedup {
            headstart: env!("CARGO_PKG_VERSION").into(),
            about,
            images,
            settings,
            epochs,
            in_loop: LegTime::new(start, lines[0], &in_loop.epochs, epochs),
            cached: LegTime {
                extract: Some(cached.extract),
                open: Some(cached.open),
                ..LegTime::new(start, lines[1], &cached.epochs, epochs)
            },
            speedup: lines[0].at(epochs) / lines[1].at(epochs),
            break_even_epoch: break_even(lines[0], lines[1]),
            trials: TRIALS.map(of_trials).to_vec(),
            predictions: in_loop.agreement,
            val: cached.val,
        })
    }

    /// What took how long, in words: `[what, base in the loop, on cached features]`. What is scaled says so.
    pub fn table(&self) -> Vec<[String; 3]> {
        let (a, b) = (&self.in_loop, &self.cached);
        let none = || "–".to_owned();
        let some = |s: Option<f64>| s.map_or_else(none, seconds);
        let mean = |leg: &LegTime, of: &dyn Fn(&Epoch) -> f64| seconds(leg.epochs.iter().map(of).sum::<f64>() / leg.epochs.len() as f64);
        let base = |epoch: &Epoch| epoch.base.map_or(0.0, |base| base.wall);
        let head = |epoch: &Epoch| epoch.head;
        let total = |leg: &LegTime| match leg.scaled {
            true => format!("{} (scaled from {})", seconds(leg.seconds), leg.epochs.len()),
            false => seconds(leg.seconds),
        };
        let row = |what: &str, in_loop: String, cached: String| [what.to_owned(), in_loop, cached];
        vec![
            row("list, read weights, plan", seconds(a.start), seconds(b.start)),
            row("extract features, once", none(), some(b.extract.map(|s| s.wall))),
            row("open the cache", none(), some(b.open)),
            row("the base, each epoch", mean(a, &base), none()),
            row("the head, each epoch", mean(a, &head), mean(b, &head)),
            row(&format!("{} epochs, all counted", self.epochs), total(a), total(b)),
        ]
    }

    /// What follows from the table, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let p = &self.predictions;
        let epochs = |n: usize| format!("{n} epoch{}", if n == 1 { "" } else { "s" });
        let scaled = match self.in_loop.scaled {
            true => format!(" ({} of {} epochs were run with the base in the loop, the rest is scaled)", p.epochs, self.epochs),
            false => String::new(),
        };
        let even = match self.break_even_epoch {
            Some(epoch) => format!("break-even: from epoch {epoch} on the cached way is no slower"),
            None => "break-even: never, the head takes longer than the base".into(),
        };
        let same = match p.identical {
            true => "identical".into(),
            false => format!("the same class for {}, largest difference {:.1e}", p.same_class, p.largest_difference),
        };
        vec![
            format!("{:.1} times as fast on cached features{scaled}", self.speedup),
            even,
            format!("predictions on {} val images after {}: {same}", p.images, epochs(p.epochs)),
            format!("val after {}: acc1 {:.4}, loss {:.4}", epochs(self.epochs), self.val.acc1, self.val.loss),
        ]
    }

    /// Writes the files that people and other tools look at.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let table = folder.join(TABLE_FILE);
        replace(&table, &self.csv().map_err(|e| Error::cache(&table, e, "this is a mistake in headstart"))?)?;
        #[cfg(feature = "report")]
        replace(&folder.join(PAGE_FILE), super::page::render(self)?.as_bytes())?;
        let result = folder.join(RESULT_FILE);
        replace(&result, &to_json(self, &result)?)
    }

    fn csv(&self) -> Result<Vec<u8>, String> {
        let mut csv = csv::Writer::from_writer(vec![]);
        csv.write_record(["way", "epoch", "seconds", "measured"]).map_err(|e| e.to_string())?;
        for (way, leg) in [("in_loop", &self.in_loop), ("cached", &self.cached)] {
            for (epoch, (seconds, measured)) in leg.until(self.epochs).enumerate() {
                let record = [way.into(), (epoch + 1).to_string(), format!("{seconds:.6}"), u8::from(measured).to_string()];
                csv.write_record(&record).map_err(|e| e.to_string())?;
            }
        }
        csv.into_inner().map_err(|e| e.to_string())
    }
}
