//! One step of an optimiser on sixteen weights at a time, as `torch.optim` or Keras computes it.
//!
//! What decays towards zero is kept from numbers below 10⁻²⁴ by adding and subtracting [`FLOOR`]: arithmetic on subnormal numbers is slow, and
//! what units that have died leave would stay there for ever. Far above the subnormal numbers, for roots and quotients are refined by what
//! they leave of their arguments, 2⁴⁸ times smaller.

use crate::engine::native::simd::Simd;
use crate::heads::optimizer::Optimizer;
use crate::heads::words::OptimizerKind;

/// Far below what eps leaves of a root, and of a gradient beside any weight.
pub const FLOOR: f32 = 1e-17;

/// An update rule with its constants for one step. Where there is no weight decay, as most often, none is computed: what is left bounds the time.
pub trait Rule: Copy {
    /// Values that it keeps for each weight.
    const STATES: usize;

    /// The new weights from the old ones, their gradients and what the rule keeps.
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V;
}

/// Work that is generic over the rule.
pub trait ForRule {
    /// What it returns.
    type Output;
    /// Does the work.
    fn run<R: Rule>(self, rule: R) -> Self::Output;
}

/// w − lr · (g + decay · w)
#[derive(Debug, Clone, Copy)]
struct Plain {
    lr: f32,
    decay: f32,
}

impl Rule for Plain {
    const STATES: usize = 0;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, _: &mut [S::V; 3]) -> S::V {
        let g = s.fma(s.splat(self.decay), w, g);
        s.fma(s.splat(-self.lr), g, w)
    }
}

/// SGD with momentum, damped or Nesterov's.
#[derive(Debug, Clone, Copy)]
struct Momentum {
    lr: f32,
    decay: f32,
    momentum: f32,
    /// 1 − dampening; 1 in the first step.
    intake: f32,
    /// Share of the gradient and of the buffer in the direction.
    mix: [f32; 2],
}

impl Rule for Momentum {
    const STATES: usize = 1;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = s.fma(s.splat(self.decay), w, g);
        let intake = s.fma(s.splat(self.intake), g, s.splat(FLOOR));
        kept[0] = s.sub(s.fma(s.splat(self.momentum), kept[0], intake), s.splat(FLOOR));
        let direction = s.fma(s.splat(self.mix[1]), kept[0], s.mul(s.splat(self.mix[0]), g));
        s.fma(s.splat(-self.lr), direction, w)
    }
}

/// The new mean of squares.
#[inline(always)]
fn square<S: Simd>(s: S, keep: f32, mean: S::V, g: S::V) -> S::V {
    let intake = s.fma(s.mul(s.splat(1.0 - keep), g), g, s.splat(FLOOR));
    s.sub(s.fma(s.splat(keep), mean, intake), s.splat(FLOOR))
}

/// RMSprop; under `KERAS` with `eps` under the root.
#[derive(Debug, Clone, Copy)]
struct Rms<const KERAS: bool> {
    lr: f32,
    /// Weight decay within the gradient.
    decay: f32,
    /// 1 − lr · weight decay apart from it.
    shrink: f32,
    alpha: f32,
    eps: f32,
}

impl<const KERAS: bool> Rule for Rms<KERAS> {
    const STATES: usize = 1;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = if self.decay == 0.0 { g } else { s.fma(s.splat(self.decay), w, g) };
        kept[0] = square(s, self.alpha, kept[0], g);
        let eps = s.splat(self.eps);
        let root = if KERAS { s.sqrt(s.add(kept[0], eps)) } else { s.add(s.sqrt(kept[0]), eps) };
        let shrunk = if !KERAS || self.shrink == 1.0 { w } else { s.mul(s.splat(self.shrink), w) };
        s.fma(s.splat(-self.lr), s.quotient(g, root), shrunk)
    }
}

/// RMSprop with momentum, centred or both.
#[derive(Debug, Clone, Copy)]
struct RmsMomentum {
    /// Weight decay within the gradient.
    decay: f32,
    /// 1 − lr · weight decay apart from it.
    shrink: f32,
    alpha: f32,
    /// Under the root, and beside it.
    eps: [f32; 2],
    /// Learning rate of what the momentum takes in, and of itself: one of them is 1.
    lr: [f32; 2],
    momentum: f32,
    /// 1 where it is centred.
    centred: f32,
}

impl Rule for RmsMomentum {
    const STATES: usize = 3;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let alpha = self.alpha;
        let g = s.fma(s.splat(self.decay), w, g);
        kept[0] = square(s, alpha, kept[0], g);
        let intake = s.fma(s.splat(1.0 - alpha), g, s.splat(FLOOR));
        kept[1] = s.sub(s.fma(s.splat(alpha), kept[1], intake), s.splat(FLOOR));
        let mean = s.mul(s.splat(self.centred), kept[1]);
        let variance = s.sub(kept[0], s.mul(mean, mean));
        // Rounding can leave a variance a hair below zero, where PyTorch would give NaN.
        let deviation = s.sqrt(s.add(s.max(s.splat(0.0), variance), s.splat(self.eps[0])));
        let stride = s.mul(s.splat(self.lr[0]), s.quotient(g, s.add(deviation, s.splat(self.eps[1]))));
        kept[2] = s.sub(s.fma(s.splat(self.momentum), kept[2], s.add(stride, s.splat(FLOOR))), s.splat(FLOOR));
        s.fma(s.splat(-self.lr[1]), kept[2], s.mul(s.splat(self.shrink), w))
    }
}

/// Adam and AdamW; `MAX` with the largest second moment so far.
#[derive(Debug, Clone, Copy)]
struct Adam<const MAX: bool> {
    /// Weight decay within the gradient.
    decay: f32,
    /// 1 − lr · weight decay apart from it.
    shrink: f32,
    betas: [f32; 2],
    /// lr / (1 − β₁ᵗ)
    stride: f32,
    /// 1 / √(1 − β₂ᵗ)
    correction: f32,
    eps: f32,
}

impl<const MAX: bool> Rule for Adam<MAX> {
    const STATES: usize = if MAX { 3 } else { 2 };

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = if self.decay == 0.0 { g } else { s.fma(s.splat(self.decay), w, g) };
        let intake = s.fma(s.splat(1.0 - self.betas[0]), g, s.splat(FLOOR));
        kept[0] = s.sub(s.fma(s.splat(self.betas[0]), kept[0], intake), s.splat(FLOOR));
        kept[1] = square(s, self.betas[1], kept[1], g);
        if MAX {
            kept[2] = s.max(kept[1], kept[2]);
        }
        let root = s.sqrt(kept[if MAX { 2 } else { 1 }]);
        let denominator = s.fma(root, s.splat(self.correction), s.splat(self.eps));
        let shrunk = if self.shrink == 1.0 { w } else { s.mul(s.splat(self.shrink), w) };
        s.fma(s.splat(-self.stride), s.quotient(kept[0], denominator), shrunk)
    }
}

/// Values that the rule of an optimiser keeps for each weight.
pub fn states(o: &Optimizer) -> usize {
    struct States;
    impl ForRule for States {
        type Output = usize;
        fn run<R: Rule>(self, _: R) -> usize {
            R::STATES
        }
    }
    with_rule(o, 0.0, 1, States)
}

/// Runs work with the rule of an optimiser for its step `step` (from 1).
pub fn with_rule<W: ForRule>(o: &Optimizer, lr: f64, step: i32, work: W) -> W::Output {
    let (decay, shrink) = match o.decays_apart() {
        true => (0.0, (1.0 - lr * o.weight_decay) as f32),
        false => (o.weight_decay as f32, 1.0),
    };
    match o.kind {
        OptimizerKind::Sgd if o.momentum == 0.0 => work.run(Plain { lr: lr as f32, decay }),
        OptimizerKind::Sgd => work.run(Momentum {
            lr: lr as f32,
            decay,
            momentum: o.momentum as f32,
            intake: if step == 1 { 1.0 } else { (1.0 - o.dampening) as f32 },
            mix: if o.nesterov { [1.0, o.momentum as f32] } else { [0.0, 1.0] },
        }),
        OptimizerKind::Rmsprop => {
            let (lr, alpha, eps, momentum) = (lr as f32, o.alpha as f32, o.eps as f32, o.momentum as f32);
            match (o.momentum == 0.0 && !o.centered, o.keras) {
                (true, true) => return work.run(Rms::<true> { lr, decay, shrink, alpha, eps }),
                (true, false) => return work.run(Rms::<false> { lr, decay, shrink, alpha, eps }),
                _ => {}
            }
            let (eps, lr) = if o.keras { ([eps, 0.0], [lr, 1.0]) } else { ([0.0, eps], [1.0, lr]) };
            work.run(RmsMomentum { decay, shrink, alpha, eps, lr, momentum, centred: f32::from(u8::from(o.centered)) })
        }
        OptimizerKind::Adam | OptimizerKind::Adamw => {
            let [c1, c2] = o.betas.map(|beta| 1.0 - beta.powi(step));
            let (stride, betas) = ((lr / c1) as f32, o.betas.map(|b| b as f32));
            let (correction, eps) = ((1.0 / c2.sqrt()) as f32, o.adam_eps(step) as f32);
            if o.amsgrad {
                return work.run(Adam::<true> { decay, shrink, betas, stride, correction, eps });
            }
            work.run(Adam::<false> { decay, shrink, betas, stride, correction, eps })
        }
    }
}
