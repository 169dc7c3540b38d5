//! Timing the training of heads on random features: the work of which other libraries are timed
//! too.

use std::time::Instant;

use rayon::prelude::*;

use crate::Result;
use crate::heads::{Fit, Head, HeadKind, Labels, LearningRate, Matrix, OptimizerKind, Params, Partition, Session, Task, Trainer};
use crate::rng::Philox;

/// What is timed: `trials` heads
/// `[Linear(dim, hidden), ReLU, Dropout(0.5), Linear(hidden, classes)]`, or
/// `[Dropout(0.5), Linear(dim, classes)]` where `hidden` is 0, on `rows` random rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeadsBench {
    /// Training rows.
    pub rows: usize,
    /// Features of a row.
    pub dim: usize,
    /// Units of the hidden layer; 0 for none.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
    /// Rows a step.
    pub batch: usize,
    /// SGD (with momentum 0.9), RMSprop or Adam.
    pub optimizer: OptimizerKind,
    /// Epochs to be timed.
    pub epochs: usize,
    /// Heads that are trained together.
    pub trials: usize,
}

impl HeadsBench {
    /// Wall time of each epoch, all heads together.
    ///
    /// # Errors
    /// Sizes that make no head.
    pub(crate) fn run(&self, trainer: &dyn Trainer) -> Result<Vec<f64>> {
        let philox = Philox::new(0, 0);
        // Half of all features are 0, as behind a ReLU.
        let feature = |u: f32| (u * 4.0 - 2.0).max(0.0);
        let features = (0..(self.rows * self.dim).div_ceil(4) as u64).flat_map(|i| philox.uniform([i as u32, (i >> 32) as u32, 0, 0]));
        let features = Matrix::new(self.dim, features.take(self.rows * self.dim).map(feature).collect())?;
        let labels = Labels::One((0..self.rows).map(|r| philox.block([r as u32, 0, 1, 0])[0] % self.classes.max(1) as u32).collect());
        let partition = Partition { train: (0..self.rows).collect(), ..Partition::default() };
        let task = Task { features: &features, labels: &labels, partition: &partition };
        let params = Params {
            head: if self.hidden > 0 { HeadKind::Dense } else { HeadKind::Linear },
            hidden: vec![self.hidden.max(1)],
            dropout: 0.5,
            optimizer: self.optimizer,
            momentum: if self.optimizer == OptimizerKind::Sgd { 0.9 } else { 0.0 },
            lr: if self.optimizer == OptimizerKind::Adam { 1e-4 } else { 1e-5 },
            batch_size: self.batch,
            epochs: self.epochs,
            ..Params::default()
        };
        let spec = params.check(Fit { tap: "features", shape: &[self.dim], classes: self.classes, many: false })?;
        let rate = LearningRate::new(&params);
        // As a sweep does it: as many heads together as the trainer takes, one such group after the
        // other, or each by itself.
        let at_once = trainer.at_once(&spec, self.rows);
        let mut seconds = vec![0.0; self.epochs];
        let mut left = self.trials;
        while left > 0 {
            let start = || Head::initial(&spec);
            let mut sessions = match at_once {
                1 => (0..left).map(|_| trainer.begin(task, start())).collect::<Result<_>>()?,
                most => trainer.begin_lockstep(task, (0..left.min(most)).map(|_| start()).collect())?,
            };
            left -= sessions.len();
            for (epoch, seconds) in seconds.iter_mut().enumerate() {
                let start = Instant::now();
                let each = |session: &mut Box<dyn Session + '_>| session.epoch(epoch, rate.at(epoch)).map(|_| ());
                if at_once == 1 {
                    sessions.par_iter_mut().with_max_len(1).try_for_each(each)?;
                } else {
                    sessions.iter_mut().try_for_each(each)?;
                }
                *seconds += start.elapsed().as_secs_f64();
            }
        }
        Ok(seconds)
    }
}
