//! Optimisers exactly as PyTorch defines them (`torch.optim`, maximize off) or, under that preset,
//! Keras 3.

use super::choices::{OptimizerKind, Preset};
use super::params::Params;

/// An optimiser with its constants: everything but the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// RMSprop.
    Rmsprop(Rmsprop),
    /// Adam; weight decay joins the gradient.
    Adam(Adam),
    /// Adam with weight decay apart from the gradient.
    Adamw(Adam),
}

/// Constants of stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// Dampening of the momentum.
    pub dampening: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
}

/// Constants of RMSprop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rmsprop {
    /// Weight decay.
    pub weight_decay: f64,
    /// Smoothing of the mean square.
    pub alpha: f64,
    /// Added to the denominator; under [`Preset::Keras`] below the root.
    pub eps: f64,
    /// Whether gradients are normalised by their variance.
    pub centered: bool,
    /// Momentum; 0 for none. Under [`Preset::Keras`] the learning rate lies within it.
    pub momentum: f64,
    /// Whose update it is.
    pub preset: Preset,
}

/// Constants of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Weight decay.
    pub weight_decay: f64,
    /// Smoothings of the gradient and of its square.
    pub betas: [f64; 2],
    /// Added to the denominator; under [`Preset::Keras`] beside a root that is not yet corrected.
    pub eps: f64,
    /// Whether the denominator is the largest second moment so far.
    pub amsgrad: bool,
    /// Whose update it is.
    pub preset: Preset,
}

impl Adam {
    /// The number that is added to the corrected root in step `step` (from 1).
    pub fn eps_at(&self, step: i32) -> f64 {
        match self.preset {
            Preset::Torch => self.eps,
            Preset::Keras => self.eps / (1.0 - self.betas[1].powi(step)).sqrt(),
        }
    }
}

impl Optimizer {
    /// The optimiser that some settings name.
    pub(super) fn new(p: &Params) -> Optimizer {
        let (alpha, eps) = match p.preset {
            Preset::Torch => (0.99, 1e-8),
            Preset::Keras => (0.9, 1e-7),
        };
        let (weight_decay, eps, preset) = (p.weight_decay, p.eps.unwrap_or(eps), p.preset);
        let adam = || Adam { weight_decay, betas: [p.beta1, p.beta2], eps, amsgrad: p.amsgrad, preset };
        match p.optimizer {
            OptimizerKind::Sgd => Optimizer::Sgd(Sgd { weight_decay, momentum: p.momentum, dampening: p.dampening, nesterov: p.nesterov }),
            OptimizerKind::Rmsprop => Optimizer::Rmsprop(Rmsprop {
                weight_decay,
                alpha: p.rho.unwrap_or(alpha),
                eps,
                centered: p.centered,
                momentum: p.momentum,
                preset,
            }),
            OptimizerKind::Adam => Optimizer::Adam(adam()),
            OptimizerKind::Adamw => Optimizer::Adamw(adam()),
        }
    }

    /// Weight decay.
    pub fn weight_decay(&self) -> f64 {
        match self {
            Optimizer::Sgd(sgd) => sgd.weight_decay,
            Optimizer::Rmsprop(rmsprop) => rmsprop.weight_decay,
            Optimizer::Adam(adam) | Optimizer::Adamw(adam) => adam.weight_decay,
        }
    }

    /// Whether weight decay shrinks the weights by themselves rather than joins the gradient.
    pub fn decays_apart(&self) -> bool {
        match self {
            Optimizer::Sgd(_) => false,
            Optimizer::Rmsprop(Rmsprop { preset, .. }) | Optimizer::Adam(Adam { preset, .. }) => *preset == Preset::Keras,
            Optimizer::Adamw(_) => true,
        }
    }

    /// Number of values that it keeps for each weight: momentum, mean square, ….
    pub fn states(&self) -> usize {
        match self {
            Optimizer::Sgd(sgd) => usize::from(sgd.momentum > 0.0),
            Optimizer::Rmsprop(rmsprop) => 1 + usize::from(rmsprop.momentum > 0.0) + usize::from(rmsprop.centered),
            Optimizer::Adam(adam) | Optimizer::Adamw(adam) => 2 + usize::from(adam.amsgrad),
        }
    }
}
