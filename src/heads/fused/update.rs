//! One step of an optimiser on sixteen weights at a time, as `torch.optim` or Keras computes it.
//!
//! The arithmetic here bounds the time of a step, so everything that can be computed before the
//! step is: gradients come with a factor ([`intake`]) that leaves their squares' share of a mean to
//! be added as it is, and where there is no weight decay, as most often, none is computed.
//!
//! Values that decay towards zero are kept from becoming subnormal numbers, on which arithmetic is
//! slow and which dead units would produce for ever: means of squares by adding [`LEAST`], signed
//! values by adding and subtracting [`FLOOR`].

use crate::heads::settings::choices::Preset;
use crate::heads::settings::optimizer::Optimizer;
use crate::simd::{LANES, Simd};

/// Far below what eps leaves of a gradient beside any weight: adding and subtracting it drops what
/// is below 10⁻²⁴.
pub(super) const FLOOR: f32 = 1e-17;
/// Added to every mean of squares: far below the square of any eps, far above the subnormal
/// numbers.
const LEAST: f32 = 1e-36;

/// Factor by which gradients are multiplied before an update: the root of a squared gradient's
/// share of its mean.
pub(super) fn intake(o: &Optimizer) -> f64 {
    match o {
        Optimizer::Sgd(_) => 1.0,
        Optimizer::Rmsprop(rmsprop) => (1.0 - rmsprop.alpha).sqrt(),
        Optimizer::Adam(adam) | Optimizer::Adamw(adam) => (1.0 - adam.betas[1]).sqrt(),
    }
}

/// An update rule with its constants for one step.
pub(super) trait Update: Copy {
    /// Number of states per weight.
    const STATES: usize;

    /// The new weights from the old ones, their gradients times [`intake`], and the states.
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V;
}

/// Work that is generic over the update.
pub(super) trait ForUpdate {
    /// Its result.
    type Output;
    /// Runs it.
    fn run<R: Update>(self, update: R) -> Self::Output;
}

/// w − lr · (g + decay · w)
#[derive(Debug, Clone, Copy)]
struct Plain {
    lr: f32,
    decay: f32,
}

impl Update for Plain {
    const STATES: usize = 0;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, _: &mut [S::V; 3]) -> S::V {
        s.fma(s.splat(-self.lr), decayed(s, self.decay, w, g), w)
    }
}

/// SGD with momentum, damped or Nesterov's.
#[derive(Debug, Clone, Copy)]
struct Momentum {
    lr: f32,
    decay: f32,
    /// Share of the old buffer, the momentum, and of the gradient in the new one: 1 − dampening, 1
    /// in the first step.
    blend: [f32; 2],
    /// Share of the gradient and of the buffer in the direction.
    mix: [f32; 2],
}

impl Update for Momentum {
    const STATES: usize = 1;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = decayed(s, self.decay, w, g);
        kept[0] = blend(s, self.blend, kept[0], g);
        let direction = s.fma(s.splat(self.mix[1]), kept[0], s.mul(s.splat(self.mix[0]), g));
        s.fma(s.splat(-self.lr), direction, w)
    }
}

/// The new mean of squares.
#[inline(always)]
fn square<S: Simd>(s: S, keep: f32, mean: S::V, g: S::V) -> S::V {
    s.fma(s.splat(keep), mean, s.fma(g, g, s.splat(LEAST)))
}

/// The new mean of what has a sign.
#[inline(always)]
fn blend<S: Simd>(s: S, [keep, take]: [f32; 2], mean: S::V, g: S::V) -> S::V {
    s.sub(s.fma(s.splat(keep), mean, s.fma(s.splat(take), g, s.splat(FLOOR))), s.splat(FLOOR))
}

/// The gradient with weight decay.
#[inline(always)]
fn decayed<S: Simd>(s: S, decay: f32, w: S::V, g: S::V) -> S::V {
    if decay == 0.0 { g } else { s.fma(s.splat(decay), w, g) }
}

/// The weights after weight decay apart from the gradient.
#[inline(always)]
fn shrunk<S: Simd>(s: S, shrink: f32, w: S::V) -> S::V {
    if shrink == 1.0 { w } else { s.mul(s.splat(shrink), w) }
}

/// RMSprop; under `KERAS` with `eps` under the root.
#[derive(Debug, Clone, Copy)]
struct Rms<const KERAS: bool> {
    /// 2 lr / intake
    stride: f32,
    /// Weight decay within the gradient, times the intake.
    decay: f32,
    /// 1 − lr · weight decay apart from it.
    shrink: f32,
    alpha: f32,
    eps: f32,
}

impl<const KERAS: bool> Update for Rms<KERAS> {
    const STATES: usize = 1;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = decayed(s, self.decay, w, g);
        kept[0] = square(s, self.alpha, kept[0], g);
        let normed = if KERAS {
            s.over_roots(g, s.add(kept[0], s.splat(self.eps)), s.splat(0.0))
        } else {
            s.over_roots(g, kept[0], s.splat(2.0 * self.eps))
        };
        s.fma(s.splat(-self.stride), normed, shrunk(s, self.shrink, w))
    }
}

/// RMSprop with momentum, centred or both.
#[derive(Debug, Clone, Copy)]
struct RmsMomentum {
    /// Weight decay within the gradient, times the intake.
    decay: f32,
    /// 1 − lr · weight decay apart from it.
    shrink: f32,
    alpha: f32,
    /// Share of the old mean and of the gradient in the new mean of gradients.
    mean: [f32; 2],
    /// 1 where it is centred.
    centred: f32,
    /// Under the root, and beside it.
    eps: [f32; 2],
    /// Share of the old step, the momentum, and of the gradient over twice its deviation in the new
    /// one.
    blend: [f32; 2],
    /// Factor of the step: the learning rate, or 1 where the step includes it.
    lr: f32,
}

impl Update for RmsMomentum {
    const STATES: usize = 3;

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = decayed(s, self.decay, w, g);
        kept[0] = square(s, self.alpha, kept[0], g);
        kept[1] = blend(s, self.mean, kept[1], g);
        let mean = s.mul(s.splat(self.centred), kept[1]);
        // Rounding can leave a variance a hair below zero, where PyTorch would give NaN.
        let variance = s.max(s.splat(LEAST), s.sub(kept[0], s.mul(mean, mean)));
        let normed = s.over_roots(g, s.add(variance, s.splat(self.eps[0])), s.splat(2.0 * self.eps[1]));
        kept[2] = blend(s, self.blend, kept[2], normed);
        s.fma(s.splat(-self.lr), kept[2], shrunk(s, self.shrink, w))
    }
}

/// Adam and AdamW; `MAX` with the largest second moment so far.
#[derive(Debug, Clone, Copy)]
struct Adam<const MAX: bool> {
    /// Weight decay within the gradient, times the intake.
    decay: f32,
    /// 1 − lr · weight decay apart from it.
    shrink: f32,
    /// Share of the old mean and of the gradient in the new mean of gradients.
    mean: [f32; 2],
    beta: f32,
    /// 2 lr √(1 − β₂ᵗ) / (1 − β₁ᵗ)
    stride: f32,
    /// 2 eps √(1 − β₂ᵗ)
    eps: f32,
}

impl<const MAX: bool> Update for Adam<MAX> {
    const STATES: usize = if MAX { 3 } else { 2 };

    #[inline(always)]
    fn step<S: Simd>(self, s: S, w: S::V, g: S::V, kept: &mut [S::V; 3]) -> S::V {
        let g = decayed(s, self.decay, w, g);
        kept[0] = blend(s, self.mean, kept[0], g);
        kept[1] = square(s, self.beta, kept[1], g);
        if MAX {
            kept[2] = s.max(kept[1], kept[2]);
        }
        let normed = s.over_roots(kept[0], kept[if MAX { 2 } else { 1 }], s.splat(self.eps));
        s.fma(s.splat(-self.stride), normed, shrunk(s, self.shrink, w))
    }
}

/// The optimiser's step on neighbouring vectors of one row, from position `at` of weights and
/// states on; returns the new weights.
///
/// # Safety
/// Weights, and as many states as the rule has, are valid there.
#[inline(always)]
pub(super) unsafe fn step_row<S: Simd, R: Update, const COLUMNS: usize>(
    s: S,
    update: R,
    (weights, states): (*mut f32, [*mut f32; 3]),
    at: usize,
    gradients: [S::V; COLUMNS],
) -> [S::V; COLUMNS] {
    let mut new = gradients;
    for (c, value) in new.iter_mut().enumerate() {
        let at = at + c * LANES;
        let mut kept = [s.splat(0.0); 3];
        // SAFETY: the caller promises weights and states at `at`, for all `COLUMNS` vectors.
        unsafe {
            for (kept, state) in kept.iter_mut().zip(states).take(R::STATES) {
                *kept = s.load(state.add(at));
            }
            *value = update.step(s, s.load(weights.add(at)), *value, &mut kept);
            s.store(weights.add(at), *value);
            for (kept, state) in kept.iter().zip(states).take(R::STATES) {
                s.store(state.add(at), *kept);
            }
        }
    }
    new
}

/// Number of states that an optimiser's update keeps per weight.
pub(super) fn states(o: &Optimizer) -> usize {
    struct States;
    impl ForUpdate for States {
        type Output = usize;
        fn run<R: Update>(self, _: R) -> usize {
            R::STATES
        }
    }
    with_update(o, 0.0, 1, States)
}

/// Runs work with the update of an optimiser for its step `step` (from 1).
pub(super) fn with_update<W: ForUpdate>(o: &Optimizer, lr: f64, step: i32, work: W) -> W::Output {
    let taken = intake(o);
    let (decay, shrink) = match o.decays_apart() {
        true => (0.0, (1.0 - lr * o.weight_decay()) as f32),
        false => ((o.weight_decay() * taken) as f32, 1.0),
    };
    match o {
        Optimizer::Sgd(o) if o.momentum == 0.0 => work.run(Plain { lr: lr as f32, decay }),
        Optimizer::Sgd(o) => work.run(Momentum {
            lr: lr as f32,
            decay,
            blend: [o.momentum, if step == 1 { 1.0 } else { 1.0 - o.dampening }].map(|x| x as f32),
            mix: if o.nesterov { [1.0, o.momentum as f32] } else { [0.0, 1.0] },
        }),
        Optimizer::Rmsprop(o) => {
            let (stride, alpha, eps) = ((2.0 * lr / taken) as f32, o.alpha as f32, o.eps as f32);
            if o.momentum == 0.0 && !o.centered {
                return match o.preset {
                    Preset::Keras => work.run(Rms::<true> { stride, decay, shrink, alpha, eps }),
                    Preset::Torch => work.run(Rms::<false> { stride, decay, shrink, alpha, eps }),
                };
            }
            let mean = [o.alpha, (1.0 - o.alpha) / taken].map(|x| x as f32);
            let (eps, within, lr) = match o.preset {
                Preset::Keras => ([eps, 0.0], lr, 1.0),
                Preset::Torch => ([0.0, eps], 1.0, lr),
            };
            let blend = [o.momentum, 2.0 * within / taken].map(|x| x as f32);
            work.run(RmsMomentum { decay, shrink, alpha, mean, centred: f32::from(u8::from(o.centered)), eps, blend, lr: lr as f32 })
        }
        Optimizer::Adam(o) | Optimizer::Adamw(o) => {
            let [c1, c2] = o.betas.map(|beta| 1.0 - beta.powi(step));
            let mean = [o.betas[0], (1.0 - o.betas[0]) / taken].map(|x| x as f32);
            let [stride, eps] = [lr / c1, o.eps_at(step)].map(|x| (2.0 * x * c2.sqrt()) as f32);
            let beta = o.betas[1] as f32;
            if o.amsgrad {
                return work.run(Adam::<true> { decay, shrink, mean, beta, stride, eps });
            }
            work.run(Adam::<false> { decay, shrink, mean, beta, stride, eps })
        }
    }
}
