//! Training a head to the end: epochs, evaluation on val, early stopping. Which trainer computes the epochs is its caller's choice.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::head::Head;
use super::metrics::Metrics;
use super::optimizer::LearningRate;
use super::params::HeadSpec;
use super::solvers::Solver;
use super::table::{FeatureTable, Labels, Partition};
use crate::Result;

/// What heads are trained and judged on; features went through the transform already.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// Features.
    pub features: &'a dyn FeatureTable,
    /// Their classes.
    pub labels: &'a Labels,
    /// Which rows serve what.
    pub partition: &'a Partition,
}

/// Something that trains heads: candle on any device, or the fused CPU trainer.
pub trait Trainer: Send + Sync {
    /// `candle` or `fused`, with whatever else its last bits depend on.
    fn name(&self) -> &'static str;

    /// A head before its first step: `start`, or one with the initial weights of its spec.
    ///
    /// # Errors
    /// The device's own failure.
    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>>;
}

/// A head in training.
pub trait Session: Send {
    /// One pass over the training rows; returns the mean loss of its steps, weighted by rows.
    ///
    /// # Errors
    /// The device's own failure.
    fn epoch(&mut self, epoch: usize, lr: f64) -> Result<f64>;

    /// The head as it is now.
    ///
    /// # Errors
    /// The device's own failure.
    fn head(&self) -> Result<Head>;

    /// Class probabilities of rows of the task, `[rows, classes]`.
    ///
    /// # Errors
    /// The device's own failure.
    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>>;
}

/// What happened in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Mean loss of its steps.
    pub train_loss: f64,
    /// Metrics on val after it.
    pub val: Metrics,
    /// Seconds of training and evaluation.
    pub seconds: f64,
}

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// It does.
    Continue,
    /// It ends here.
    Stop,
}

/// A trained head and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The head: of the best epoch where `patience` is set, else of the last.
    pub head: Head,
    /// Its metrics on val.
    pub val: Metrics,
    /// Its number of epochs.
    pub epochs: usize,
    /// Whether the loss left the finite numbers.
    pub diverged: bool,
}

/// Trains a head: all epochs, or until `watch` or the head's `patience` says so. Each epoch is judged on val by `metric` (name, more is better).
///
/// # Errors
/// The trainer's own failure.
pub fn train(
    trainer: &dyn Trainer,
    task: Task<'_>,
    spec: &HeadSpec,
    metric: (&str, bool),
    watch: &mut dyn FnMut(&Epoch) -> Watch,
) -> Result<Trained> {
    let rate = LearningRate::new(spec.params());
    let mut session = trainer.begin(task, Head::initial(spec))?;
    let mut best: Option<(f64, Trained)> = None;
    let patience = spec.params().patience;
    let mut epoch = 0;
    loop {
        let start = Instant::now();
        let lr = rate.at(epoch);
        let train_loss = session.epoch(epoch, lr)?;
        epoch += 1;
        let rows = &task.partition.val;
        let val = Metrics::of(&session.classify(rows)?, spec.classes(), task.labels, rows);
        let record = Epoch { epoch, lr, train_loss, val, seconds: start.elapsed().as_secs_f64() };
        let stop = watch(&record) == Watch::Stop;
        let diverged = !train_loss.is_finite() || !val.loss.is_finite();
        let score = score(&val, metric);
        let ends = stop || diverged || epoch == spec.params().epochs;
        let improves = best.as_ref().is_none_or(|(so_far, _)| score > *so_far);
        if patience > 0 && improves {
            best = Some((score, Trained { head: session.head()?, val, epochs: epoch, diverged }));
        }
        let waited = best.as_ref().is_some_and(|(_, trained)| epoch - trained.epochs >= patience);
        if ends || waited {
            return match best {
                Some((_, trained)) => Ok(trained),
                None => Ok(Trained { head: session.head()?, val, epochs: epoch, diverged }),
            };
        }
    }
}

/// Solves for a head that needs no training and judges it on val, as one epoch.
///
/// # Errors
/// As [`Solver::solve`].
pub fn solve(solver: &mut Solver, task: Task<'_>, spec: &HeadSpec, watch: &mut dyn FnMut(&Epoch) -> Watch) -> Result<Trained> {
    let start = Instant::now();
    let head = solver.solve(task, spec)?;
    let rows = &task.partition.val;
    let val = Metrics::of(&head.classify(task.features, rows), spec.classes(), task.labels, rows);
    watch(&Epoch { epoch: 1, lr: 0.0, train_loss: f64::NAN, val, seconds: start.elapsed().as_secs_f64() });
    Ok(Trained { head, val, epochs: 1, diverged: !val.loss.is_finite() })
}

/// A metric as a number of which more is better; what is no number is worst.
pub fn score(metrics: &Metrics, (name, more): (&str, bool)) -> f64 {
    match metrics.get(name) {
        Some(value) if value.is_finite() => {
            if more {
                value
            } else {
                -value
            }
        }
        _ => f64::NEG_INFINITY,
    }
}
