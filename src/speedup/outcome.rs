//! The result of a comparison: as plain data, as a table, as files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::job::ComparisonJob;
use super::line::{Line, Trials, break_even, trials};
use super::record::{Agreement, Epoch, Record, to_json};
use crate::extract::Seconds;
use crate::files::replace;
use crate::heads::Metrics;
use crate::sweep::{SingleTrial, write_csv};
use crate::text::seconds;
use crate::{Error, Result};

/// The whole result, as JSON.
pub(crate) const RESULT_FILE: &str = "speedup.json";
/// Seconds until the end of each epoch, a row for each arm and epoch.
pub(crate) const TABLE_FILE: &str = "speedup.csv";
/// The result as a page.
pub(crate) const PAGE_FILE: &str = "speedup.html";

/// Numbers of trials for which times are computed.
const TRIALS: [usize; 7] = [1, 2, 5, 10, 20, 50, 100];

/// A finished comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speedup {
    /// Version of headstart.
    pub headstart: String,
    /// Data, backbone, engine and machine.
    pub about: About,
    /// The images.
    pub images: Images,
    /// The head's settings.
    pub settings: Map<String, Value>,
    /// Number of epochs that the head takes.
    pub epochs: usize,
    /// The arm with the base in the loop.
    pub in_loop: ArmTime,
    /// The arm on cached features.
    pub cached: ArmTime,
    /// Ratio of the whole time with the base in the loop to that on cached features.
    pub speedup: f64,
    /// The first epoch at whose end the time on cached features is no longer.
    pub break_even_epoch: Option<usize>,
    /// Seconds for several trials.
    pub trials: Vec<Trials>,
    /// How the heads of both arms agree.
    pub predictions: Agreement,
    /// The head on val, after all epochs.
    pub val: Metrics,
}

/// Data, backbone, engine and machine of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Name of the data set.
    pub dataset: String,
    /// Folder of the cached features.
    #[serde(serialize_with = "crate::text::lossy")]
    pub cache: PathBuf,
    /// Name of the backbone.
    pub backbone: String,
    /// The words that name its weights.
    pub weights: String,
    /// Engine and device class.
    pub engine: String,
    /// Name of the trainer.
    pub trainer: String,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Name of the tap.
    pub tap: String,
    /// Shape of one image's features there.
    pub shape: Vec<usize>,
    /// Number of images in a batch of the base.
    pub batch: usize,
    /// Number of threads.
    pub threads: usize,
    /// System and architecture.
    pub machine: String,
}

/// Numbers of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Images for training.
    pub train: usize,
    /// Images for validation.
    pub val: usize,
    /// Images that could not be used.
    pub failed: usize,
}

/// Seconds of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmTime {
    /// Time before either arm: images listed and digested, weights read, the base planned.
    pub start: f64,
    /// The extraction by phase, on cached features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<Seconds>,
    /// Time to open the cache, on cached features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<f64>,
    /// The epochs that were run.
    pub epochs: Vec<Epoch>,
    /// Whether epochs are missing, so that `seconds` is scaled.
    pub scaled: bool,
    /// Mean time of an epoch.
    pub seconds_an_epoch: f64,
    /// Time that was measured.
    pub seconds_measured: f64,
    /// Time of all epochs, measured or scaled.
    pub seconds: f64,
}

/// The end of an epoch.
pub(super) struct Point {
    /// Seconds since the start.
    pub(super) seconds: f64,
    /// Whether they were measured, not scaled.
    pub(super) measured: bool,
}

impl ArmTime {
    fn new(start: f64, line: Line, epochs: &[Epoch], all: usize) -> ArmTime {
        ArmTime {
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

    /// The points of the curve over `all` epochs.
    pub(super) fn curve(&self, all: usize) -> impl Iterator<Item = Point> {
        let before = self.start + self.extract.map_or(0.0, |s| s.wall) + self.open.unwrap_or(0.0);
        let each = |epoch: usize| self.epochs.get(epoch).map_or(self.seconds_an_epoch, Epoch::seconds);
        (0..all).scan(before, move |sum, epoch| {
            *sum += each(epoch);
            Some(Point { seconds: *sum, measured: epoch < self.epochs.len() })
        })
    }
}

impl Speedup {
    pub(super) fn new(comparison: &ComparisonJob<'_>, single: &SingleTrial, record: &Record) -> Result<Speedup> {
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
        let failed = record.cached.as_ref().map_or(0, |arm| arm.failed);
        let images = Images { train: single.partition.train.len(), val: single.partition.val.len(), failed };
        Speedup::of(record, about, images, single.trial.settings.clone())
    }

    /// The result that follows from the arms.
    pub(super) fn of(record: &Record, about: About, images: Images, settings: Map<String, Value>) -> Result<Speedup> {
        let (Some(start), Some(cached), Some(in_loop)) = (record.start, &record.cached, &record.in_loop) else {
            return Err(Error::internal("a comparison is summed up before both of its arms are there"));
        };
        let epochs = cached.epochs.len();
        let lines = [in_loop.line(start), cached.line(start)];
        Ok(Speedup {
            headstart: env!("CARGO_PKG_VERSION").into(),
            about,
            images,
            settings,
            epochs,
            in_loop: ArmTime::new(start, lines[0], &in_loop.epochs, epochs),
            cached: ArmTime {
                extract: Some(cached.extract),
                open: Some(cached.open),
                ..ArmTime::new(start, lines[1], &cached.epochs, epochs)
            },
            speedup: lines[0].at(epochs) / lines[1].at(epochs),
            break_even_epoch: break_even(lines[0], lines[1]),
            trials: TRIALS.map(|n| trials(lines[0], lines[1], epochs, n)).to_vec(),
            predictions: in_loop.agreement,
            val: cached.val,
        })
    }

    /// The times in words: `[phase, base in the loop, on cached features]`. Scaled times say so.
    pub fn table(&self) -> Vec<[String; 3]> {
        let (a, b) = (&self.in_loop, &self.cached);
        let none = || "–".to_owned();
        let some = |s: Option<f64>| s.map_or_else(none, seconds);
        let mean = |arm: &ArmTime, of: &dyn Fn(&Epoch) -> f64| seconds(arm.epochs.iter().map(of).sum::<f64>() / arm.epochs.len() as f64);
        let base = |epoch: &Epoch| epoch.base.map_or(0.0, |base| base.wall);
        let head = |epoch: &Epoch| epoch.head;
        let total = |arm: &ArmTime| match arm.scaled {
            true => format!("{} (scaled from {})", seconds(arm.seconds), arm.epochs.len()),
            false => seconds(arm.seconds),
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

    /// The conclusions, a sentence each.
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

    /// Writes the page and the files for other tools.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_csv(&folder.join(TABLE_FILE), self.csv())?;
        let result = folder.join(RESULT_FILE);
        replace(&result, &to_json(self, &result)?)
    }

    fn csv(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["way", "epoch", "seconds", "measured"].map(str::to_owned).to_vec()];
        for (way, arm) in [("in_loop", &self.in_loop), ("cached", &self.cached)] {
            rows.extend(arm.curve(self.epochs).enumerate().map(|(epoch, Point { seconds, measured })| {
                vec![way.to_owned(), (epoch + 1).to_string(), format!("{seconds:.6}"), u8::from(measured).to_string()]
            }));
        }
        rows
    }
}
