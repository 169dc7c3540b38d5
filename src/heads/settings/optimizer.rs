//! Optimisers exactly as PyTorch defines them (`torch.optim`, maximize off) or, under that preset, Keras 3; learning-rate schedules, gradient
//! clipping.

use crate::heads::settings::choices::{LrScale, OptimizerKind, Preset, Schedule};
use crate::heads::settings::params::Params;

/// Constants of an optimiser: everything but the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimizer {
    /// Which rule.
    pub kind: OptimizerKind,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum of SGD and RMSprop.
    pub momentum: f64,
    /// Dampening of SGD's momentum.
    pub dampening: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// RMSprop's smoothing.
    pub alpha: f64,
    /// RMSprop normalised by the variance.
    pub centered: bool,
    /// Adam's smoothings.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// Adam with the largest second moment so far.
    pub amsgrad: bool,
    /// Keras's update: RMSprop's `eps` under the root and its learning rate within the momentum, Adam's `eps` beside a root that is not yet
    /// corrected, weight decay apart from the gradient.
    pub keras: bool,
}

impl Optimizer {
    /// The optimiser of a trial.
    pub fn new(p: &Params) -> Optimizer {
        let (alpha, eps) = match p.preset {
            Preset::Torch => (0.99, 1e-8),
            Preset::Keras => (0.9, 1e-7),
        };
        Optimizer {
            kind: p.optimizer,
            weight_decay: p.weight_decay,
            momentum: p.momentum,
            dampening: p.dampening,
            nesterov: p.nesterov,
            alpha: p.rho.unwrap_or(alpha),
            centered: p.centered,
            betas: [p.beta1, p.beta2],
            eps: p.eps.unwrap_or(eps),
            amsgrad: p.amsgrad,
            keras: p.preset == Preset::Keras && p.optimizer != OptimizerKind::Sgd,
        }
    }

    /// Whether weight decay shrinks the weights by themselves rather than joins the gradient.
    pub fn decays_apart(&self) -> bool {
        self.keras || self.kind == OptimizerKind::Adamw
    }

    /// What Adam adds to its corrected root in step `step` (from 1).
    pub fn adam_eps(&self, step: i32) -> f64 {
        if self.keras { self.eps / (1.0 - self.betas[1].powi(step)).sqrt() } else { self.eps }
    }

    /// Values that it keeps for each weight: momentum, mean square, ….
    pub fn states(&self) -> usize {
        let momentum = usize::from(self.momentum > 0.0);
        match self.kind {
            OptimizerKind::Sgd => momentum,
            OptimizerKind::Rmsprop => 1 + momentum + usize::from(self.centered),
            OptimizerKind::Adam | OptimizerKind::Adamw => 2 + usize::from(self.amsgrad),
        }
    }
}

/// Learning rate over the epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    base: f64,
    schedule: Schedule,
    step_size: usize,
    gamma: f64,
    warmup: usize,
    epochs: usize,
}

impl LearningRate {
    /// The schedule of a trial.
    pub fn new(p: &Params) -> LearningRate {
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

    /// The rate of an epoch (from 0): rising by equal steps during warm-up, then as PyTorch's `StepLR` or `CosineAnnealingLR`, once an epoch.
    pub fn at(&self, epoch: usize) -> f64 {
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

/// PyTorch's `clip_grad_norm_`: the factor of a gradient of this norm.
pub fn clip_factor(norm: f64, largest: Option<f64>) -> f32 {
    largest.map_or(1.0, |largest| (largest / (norm + 1e-6)).min(1.0)) as f32
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
