//! Learning rates over the epochs.

use super::choices::{LrScale, Schedule};
use super::params::Params;

/// Learning rate over the epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LearningRate {
    base: f64,
    schedule: Schedule,
    step_size: usize,
    gamma: f64,
    warmup: usize,
    epochs: usize,
}

impl LearningRate {
    /// The schedule of a trial.
    pub(crate) fn new(p: &Params) -> LearningRate {
        let scale = match p.lr_scale {
            LrScale::None => 1.0,
            LrScale::Batch => p.batch_size as f64 / 256.0,
        };
        LearningRate {
            base: p.lr * scale,
            schedule: p.schedule,
            step_size: p.step_size,
            gamma: p.gamma,
            warmup: p.warmup,
            epochs: p.epochs,
        }
    }

    /// The rate of an epoch (from 0). It rises by equal steps during warm-up and then follows
    /// PyTorch's `StepLR` or `CosineAnnealingLR`, updated once an epoch.
    pub(crate) fn at(&self, epoch: usize) -> f64 {
        if epoch < self.warmup {
            return self.base * (epoch + 1) as f64 / (self.warmup + 1) as f64;
        }
        let (past, all) = (epoch - self.warmup, self.epochs - self.warmup);
        self.base
            * match self.schedule {
                Schedule::Constant => 1.0,
                Schedule::Step => self.gamma.powi((past / self.step_size) as i32),
                Schedule::Cosine => (1.0 + (std::f64::consts::PI * past as f64 / all as f64).cos()) / 2.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_their_formulas() {
        let at = |p: Params| (0..4).map(|e| LearningRate::new(&p).at(e)).collect::<Vec<_>>();
        let p = Params { lr: 1.0, epochs: 4, ..Params::default() };
        assert_eq!(at(Params { schedule: Schedule::Step, step_size: 2, gamma: 0.5, ..p.clone() }), [1.0, 1.0, 0.5, 0.5]);
        let cosine = at(Params { schedule: Schedule::Cosine, ..p.clone() });
        assert!(cosine.iter().zip([1.0, 0.853_553, 0.5, 0.146_447]).all(|(a, b)| (a - b).abs() < 1e-6), "{cosine:?}");
        assert_eq!(at(Params { warmup: 1, ..p.clone() }), [0.5, 1.0, 1.0, 1.0]);
        assert_eq!(at(Params { lr_scale: LrScale::Batch, batch_size: 128, ..p })[0], 0.5);
    }
}
