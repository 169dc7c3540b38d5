//! Optimisers exactly as PyTorch defines them (`torch.optim`, maximize off) or, under that preset, Keras 3.

use crate::heads::settings::choices::{OptimizerKind, Preset};
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
