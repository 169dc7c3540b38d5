//! Training a head to the end: epochs, evaluation on val, early stopping. The caller chooses the
//! trainer.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::trainer::{Pass, Session, Trainer};
use crate::Result;
use crate::heads::evaluation::metric::Metric;
use crate::heads::evaluation::metrics::{Evaluation, Metrics};
use crate::heads::features::prefetch::in_parts;
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::learning_rate::LearningRate;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::solvers::Solver;

/// Record of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Its pass over the training rows.
    pub train: Pass,
    /// Metrics on val after it.
    pub val: Metrics,
    /// Seconds of training and evaluation.
    pub seconds: f64,
}

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Training continues.
    Continue,
    /// Training ends here.
    Stop,
}

/// A trained head with the outcome of its training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trained {
    /// The head: of the best epoch where `patience` is set, else of the last.
    pub head: Head,
    /// Its metrics on val.
    pub val: Metrics,
    /// Its number of epochs.
    pub epochs: usize,
    /// Whether the loss was not finite there; metrics are then unknown.
    pub diverged: bool,
}

/// A head in training, which may pause after any epoch.
pub(crate) struct Training<'a> {
    task: Task<'a>,
    spec: HeadSpec,
    metric: Metric,
    session: Box<dyn Session + 'a>,
    rate: LearningRate,
    epoch: usize,
    val: Option<Metrics>,
    /// The best head so far if `patience` is set.
    best: Option<(f64, Trained)>,
    ended: bool,
    diverged: bool,
}

impl<'a> Training<'a> {
    /// A head before its first epoch. Each epoch will be judged on val by `metric`.
    ///
    /// # Errors
    /// A failure of the trainer.
    pub(crate) fn begin(trainer: &dyn Trainer, task: Task<'a>, start: Head, metric: Metric) -> Result<Training<'a>> {
        let spec = start.spec.clone();
        Ok(Training::of(trainer.begin(task, start)?, task, spec, metric))
    }

    /// Heads before their first epoch that go through their epochs side by side: see
    /// [`Trainer::begin_lockstep`].
    ///
    /// # Errors
    /// A failure of the trainer.
    pub(crate) fn begin_lockstep(trainer: &dyn Trainer, task: Task<'a>, starts: Vec<Head>, metric: Metric) -> Result<Vec<Training<'a>>> {
        let specs: Vec<HeadSpec> = starts.iter().map(|start| start.spec.clone()).collect();
        let sessions = trainer.begin_lockstep(task, starts)?;
        Ok(sessions.into_iter().zip(specs).map(|(session, spec)| Training::of(session, task, spec, metric)).collect())
    }

    fn of(session: Box<dyn Session + 'a>, task: Task<'a>, spec: HeadSpec, metric: Metric) -> Training<'a> {
        let rate = LearningRate::new(spec.params());
        Training { task, spec, metric, session, rate, epoch: 0, val: None, best: None, ended: false, diverged: false }
    }

    /// Trains through epoch `until` at most. Training ends earlier after its last epoch, on
    /// `watch`, by `patience`, or on a loss that is not finite.
    ///
    /// # Errors
    /// A failure of the trainer.
    pub(crate) fn advance(&mut self, until: usize, watch: &mut dyn FnMut(&Epoch) -> Watch) -> Result<()> {
        while !self.ended && self.epoch < until {
            let start = Instant::now();
            let pass = self.pass()?;
            let val = Training::on_val(&mut [self])?;
            self.judge(pass, val[0], start.elapsed(), watch)?;
        }
        Ok(())
    }

    /// Trains heads in lockstep for one epoch, those of them that have not ended. `watch` receives
    /// the position of each head.
    ///
    /// # Errors
    /// A failure of the trainer.
    pub(crate) fn advance_lockstep(heads: &mut [&mut Training<'a>], watch: &mut dyn FnMut(usize, &Epoch) -> Watch) -> Result<()> {
        let start = Instant::now();
        let pass = |head: &mut &mut Training<'a>| if head.ended { Ok(None) } else { head.pass().map(Some) };
        let passes: Vec<Option<Pass>> = heads.iter_mut().map(pass).collect::<Result<_>>()?;
        let mut went_on: Vec<_> = heads.iter_mut().enumerate().zip(passes).filter_map(|(head, pass)| Some((head, pass?))).collect();
        let vals = Training::on_val(&mut went_on.iter_mut().map(|((_, head), _)| &mut ***head).collect::<Vec<_>>())?;
        let each = start.elapsed() / went_on.len().max(1) as u32;
        for (((number, head), pass), val) in went_on.into_iter().zip(vals) {
            head.judge(pass, val, each, &mut |epoch| watch(number, epoch))?;
        }
        Ok(())
    }

    /// The next epoch's pass over the training rows.
    fn pass(&mut self) -> Result<Pass> {
        self.task.features.begin_epoch(self.epoch);
        self.session.epoch(self.epoch, self.rate.at(self.epoch))
    }

    /// Metrics on val of heads that share their task. Every head judges a part of the rows before
    /// the next part is read.
    fn on_val(heads: &mut [&mut Training<'a>]) -> Result<Vec<Metrics>> {
        let Some(task) = heads.first().map(|head| head.task) else { return Ok(vec![]) };
        let mut found: Vec<Evaluation<'_>> =
            heads.iter().map(|head| Evaluation::by(head.metric, head.spec.classes(), task.labels)).collect();
        let mut parts = in_parts(task.features, &task.partition.val).peekable();
        while let Some(rows) = parts.next() {
            let is_last = parts.peek().is_none();
            let judge = |(head, found): (&mut &mut Training<'a>, &mut Evaluation<'_>)| {
                found.add(&head.session.classify(rows)?, rows);
                if is_last {
                    found.finish();
                }
                Ok(())
            };
            heads.par_iter_mut().zip(&mut found).try_for_each(judge)?;
        }
        Ok(found.into_iter().map(Evaluation::metrics).collect())
    }

    /// Records an epoch and decides whether training ends. `taken` covers the pass and its
    /// evaluation.
    fn judge(&mut self, train: Pass, val: Metrics, taken: Duration, watch: &mut dyn FnMut(&Epoch) -> Watch) -> Result<()> {
        let lr = self.rate.at(self.epoch);
        // After a loss that was not finite, weights cannot be trusted, whatever their metrics on
        // val.
        let val = if train.loss.is_finite() { val } else { Metrics::UNKNOWN };
        self.epoch += 1;
        let record = Epoch { epoch: self.epoch, lr, train, val, seconds: taken.as_secs_f64() };
        let stop = watch(&record) == Watch::Stop;
        self.val = Some(val);
        self.diverged = !val.loss.is_finite();
        let waited = self.remember(val)?;
        self.ended = stop || waited || self.diverged || self.epoch == self.spec.params().epochs;
        if self.ended { self.session.finish() } else { Ok(()) }
    }

    /// Keeps the best head if `patience` is set. Returns whether patience is exhausted.
    fn remember(&mut self, val: Metrics) -> Result<bool> {
        let patience = self.spec.params().patience;
        if patience == 0 {
            return Ok(false);
        }
        let score = self.metric.score(val.get(self.metric.name));
        if self.best.as_ref().is_none_or(|(so_far, _)| score > *so_far) {
            let trained = Trained { head: self.session.head()?, val, epochs: self.epoch, diverged: self.diverged };
            self.best = Some((score, trained));
        }
        Ok(self.best.as_ref().is_some_and(|(_, trained)| self.epoch - trained.epochs >= patience))
    }

    /// Number of epochs completed.
    pub(crate) fn epochs(&self) -> usize {
        self.epoch
    }

    /// Whether training has ended.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The head in its present state, or the best so far if `patience` is set.
    ///
    /// # Errors
    /// A failure of the device.
    pub(crate) fn finish(self) -> Result<Trained> {
        if let Some((_, trained)) = self.best {
            return Ok(trained);
        }
        let (head, val) = (self.session.head()?, self.val.unwrap_or(Metrics::of(&[], self.spec.classes(), self.task.labels, &[])));
        Ok(Trained { head, val, epochs: self.epoch, diverged: self.diverged })
    }
}

/// Solves for a head that needs no training and judges it on val by `metric`, as a single epoch.
///
/// # Errors
/// As [`Solver::solve`].
pub(crate) fn solve(
    solver: &mut Solver,
    task: Task<'_>,
    spec: &HeadSpec,
    metric: Metric,
    watch: &mut dyn FnMut(&Epoch) -> Watch,
) -> Result<Trained> {
    let start = Instant::now();
    let head = solver.solve(task, spec)?;
    let rows = &task.partition.val;
    let mut val = Evaluation::by(metric, spec.classes(), task.labels);
    val.add(&head.classify(task.features, rows), rows);
    let val = val.metrics();
    watch(&Epoch { epoch: 1, lr: 0.0, train: Pass { loss: f64::NAN, acc1: f64::NAN }, val, seconds: start.elapsed().as_secs_f64() });
    Ok(Trained { head, val, epochs: 1, diverged: !val.loss.is_finite() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::fitted::layer::Layer;
    use crate::heads::{Fit, Labels, Matrix, Params, Partition};

    /// A trainer whose head answers so many rows right after each epoch; [`NO_NUMBERS`] are answers
    /// that are none, [`NO_LOSS`] a pass whose loss is none.
    struct Scripted(&'static [usize]);

    const NO_NUMBERS: usize = usize::MAX;
    const NO_LOSS: usize = usize::MAX - 1;

    struct ScriptedSession(&'static [usize], usize, HeadSpec);

    impl Trainer for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn begin<'a>(&self, _: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
            Ok(Box::new(ScriptedSession(self.0, 0, start.spec)))
        }
    }

    impl Session for ScriptedSession {
        fn epoch(&mut self, _: usize, _: f64) -> Result<Pass> {
            self.1 += 1;
            Ok(Pass::new(if self.0[self.1 - 1] == NO_LOSS { f64::INFINITY } else { 1.0 }, 0.0, 1))
        }

        fn head(&self) -> Result<Head> {
            Ok(Head::of_layers(&self.2, vec![Layer { weight: vec![0.0; 2], bias: vec![self.1 as f32; 2] }]))
        }

        fn classify(&self, rows: &[usize]) -> Result<Vec<f32>> {
            let right = self.0[self.1 - 1];
            let answer =
                |&row: &usize| if right == NO_NUMBERS { [f32::NAN; 2] } else { [[0.1, 0.9], [0.9, 0.1]][usize::from(row < right)] };
            Ok(rows.iter().flat_map(answer).collect())
        }
    }

    /// Epochs that were seen, and what came of them.
    fn trained(script: &'static [usize], patience: usize, epochs: usize) -> (usize, Trained) {
        let features = Matrix::new(1, vec![0.0; 6]).unwrap();
        let labels = Labels::One(vec![0; 6]);
        let partition = Partition { val: (0..6).collect(), ..Partition::default() };
        let task = Task { features: &features, labels: &labels, partition: &partition };
        let params = Params { patience, epochs, ..Params::default() };
        let spec = params.check(Fit { tap: "gap", shape: &[1], classes: 2, many: false }).unwrap();
        let mut training = Training::begin(&Scripted(script), task, Head::initial(&spec), Metric { name: "acc1", more: true }).unwrap();
        let mut seen = 0;
        training
            .advance(usize::MAX, &mut |_| {
                seen += 1;
                Watch::Continue
            })
            .unwrap();
        (seen, training.finish().unwrap())
    }

    #[test]
    fn early_stopping_waits_for_progress_and_keeps_the_best_head() {
        let of = |patience, epochs| {
            let (seen, trained) = trained(&[1, 3, 2, 3, 6], patience, epochs);
            (seen, trained.epochs, trained.head.layers()[0].bias[0], trained.val.acc1)
        };
        assert_eq!(of(2, 5), (4, 2, 2.0, 0.5));
        assert_eq!(of(3, 5), (5, 5, 5.0, 1.0));
        assert_eq!(of(0, 4), (4, 4, 4.0, 0.5));
    }

    #[test]
    fn a_head_that_diverges_ends_without_metrics_and_with_patience_as_it_was_before() {
        for script in [&[3, NO_NUMBERS, 6], &[3, NO_LOSS, 6]] {
            let (seen, without) = trained(script, 0, 3);
            assert!(seen == 2 && without.diverged && without.val.acc1.is_nan() && without.val.loss.is_nan(), "{:?}", without.val);
            let (seen, with) = trained(script, 2, 3);
            assert_eq!((seen, with.epochs, with.diverged, with.val.acc1), (2, 1, false, 0.5));
        }
        assert!(trained(&[NO_NUMBERS], 1, 1).1.diverged);
    }
}
