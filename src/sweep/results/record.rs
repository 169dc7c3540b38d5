//! The records of a trial: one after each epoch and a final one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::heads::{Epoch, METRICS, Metrics};

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// After all epochs, or by its own early stopping.
    Done,
    /// By the sweep, since others did better.
    Stopped,
    /// The loss left the finite numbers.
    Diverged,
}

impl Status {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Stopped => "stopped",
            Status::Diverged => "diverged",
        }
    }
}

/// One line of `trials.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub(crate) enum Record {
    /// After an epoch.
    Epoch(EpochRecord),
    /// After the last one.
    Final(FinalRecord),
}

/// A trial after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the trial.
    pub trial: usize,
    /// Digest of everything that decides its numbers.
    pub id: String,
    /// Number of the run, where a trial has several.
    #[serde(default, skip_serializing_if = "is_first")]
    pub run: usize,
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Mean training loss of its steps.
    #[serde(rename = "train.loss")]
    pub train_loss: Option<f64>,
    /// Seconds that it took.
    pub seconds: f64,
    /// `val.acc1` and so on.
    #[serde(flatten)]
    pub metrics: Map<String, Value>,
}

/// A trial at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FinalRecord {
    /// Number of the trial.
    pub trial: usize,
    /// Digest of everything that decides its numbers.
    pub id: String,
    /// Its settings, without those that its head does not use.
    pub settings: Map<String, Value>,
    /// How it ended.
    pub status: Status,
    /// The epoch whose weights were kept.
    pub epochs: usize,
    /// Seconds.
    pub seconds: f64,
    /// `val.acc1` and so on.
    #[serde(flatten)]
    pub metrics: Map<String, Value>,
}

/// A trial that came to its end, with all that is recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FinishedTrial {
    /// Its epochs, run by run.
    pub epochs: Vec<EpochRecord>,
    /// Its end.
    pub end: FinalRecord,
}

fn is_first(run: &usize) -> bool {
    *run == 0
}

impl EpochRecord {
    /// The record of an epoch.
    pub fn new(trial: usize, id: &str, run: usize, epoch: &Epoch) -> EpochRecord {
        let trained = Some(epoch.train.acc1).filter(|a| a.is_finite()).map(|a| ("train.acc1".to_owned(), rounded(a).into()));
        EpochRecord {
            trial,
            id: id.into(),
            run,
            epoch: epoch.epoch,
            lr: rounded(epoch.lr),
            train_loss: Some(epoch.train.loss).filter(|l| l.is_finite()).map(rounded),
            seconds: epoch.seconds,
            metrics: trained.into_iter().chain(flat("val", &epoch.val)).collect(),
        }
    }

    /// Whether the loss had left the finite numbers: there are no metrics then.
    pub fn has_diverged(&self) -> bool {
        self.metrics.get("val.loss").is_some_and(Value::is_null)
    }
}

/// Ten digits: enough, and few enough to be read back as the very number that was written.
pub(crate) fn rounded(x: f64) -> f64 {
    format!("{x:.9e}").parse().unwrap_or(x)
}

/// Metrics as `split.name` → value; one that is not finite is null.
pub(crate) fn flat(split: &str, metrics: &Metrics) -> Map<String, Value> {
    let value = |name: &str| metrics.get(name).map(|x| Value::from(rounded(x)));
    METRICS.iter().filter_map(|metric| Some((format!("{split}.{}", metric.name), value(metric.name)?))).collect()
}
