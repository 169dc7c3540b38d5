//! One step of an optimiser for the weights of several heads, as `torch.optim` or Keras computes
//! it.

use candle_core::{Device, Result, Tensor, Var};

use super::rates::Rates;
use crate::heads::settings::choices::Preset;
use crate::heads::settings::optimizer::Optimizer;

/// One parameter of all heads, `[heads, …]`, with its optimiser states.
pub(super) struct Parameter {
    pub var: Var,
    pub states: Vec<Tensor>,
}

/// A parameter after a step.
pub(super) struct Moved {
    value: Tensor,
    states: Vec<Tensor>,
}

impl Parameter {
    /// The value and the states after a step along the gradient `g`. The first step is number 1.
    pub(super) fn moved(&self, o: &Optimizer, rates: &Rates, step: i32, mut g: Tensor) -> Result<Moved> {
        let mut p = self.var.as_tensor().detach();
        let mut s = self.states.clone();
        if let Some(decay) = &rates.decay {
            if o.decays_apart() {
                p = p.broadcast_mul(decay)?;
            } else {
                g = (g + p.broadcast_mul(decay)?)?;
            }
        }
        let lr = &rates.lr;
        let moved = |old: &Tensor, new: &Tensor, keep: f64| (old * keep)? + (new * (1.0 - keep))?;
        let stride = match o {
            Optimizer::Sgd(o) => {
                if o.momentum > 0.0 {
                    s[0] = if step == 1 { g.clone() } else { ((&s[0] * o.momentum)? + (&g * (1.0 - o.dampening))?)? };
                    g = if o.nesterov { (g + (&s[0] * o.momentum)?)? } else { s[0].clone() };
                }
                g.broadcast_mul(lr)?
            }
            Optimizer::Rmsprop(o) => {
                s[0] = moved(&s[0], &g.sqr()?, o.alpha)?;
                let mut square = s[0].clone();
                if o.centered {
                    s[1] = moved(&s[1], &g, o.alpha)?;
                    square = (square - s[1].sqr()?)?;
                }
                let is_keras = o.preset == Preset::Keras;
                let root = if is_keras { (square + o.eps)?.sqrt()? } else { (square.sqrt()? + o.eps)? };
                let mut stride = (g / root)?;
                if is_keras {
                    stride = stride.broadcast_mul(lr)?;
                }
                if o.momentum > 0.0 {
                    let last = s.len() - 1;
                    s[last] = ((&s[last] * o.momentum)? + stride)?;
                    stride = s[last].clone();
                }
                if is_keras { stride } else { stride.broadcast_mul(lr)? }
            }
            Optimizer::Adam(o) | Optimizer::Adamw(o) => {
                s[0] = moved(&s[0], &g, o.betas[0])?;
                s[1] = moved(&s[1], &g.sqr()?, o.betas[1])?;
                if o.amsgrad {
                    s[2] = s[2].maximum(&s[1])?;
                }
                let [c1, c2] = o.betas.map(|beta| 1.0 - beta.powi(step));
                let denominator = ((s[if o.amsgrad { 2 } else { 1 }].sqrt()? / c2.sqrt())? + o.eps_at(step))?;
                (&s[0] / denominator)?.broadcast_mul(&(lr / c1)?)?
            }
        };
        Ok(Moved { value: (p - stride)?.detach(), states: s })
    }

    /// Moves to a value and states. Allocates nothing.
    pub(super) fn set(&mut self, Moved { value, states }: Moved) -> Result<()> {
        self.states = states;
        self.var.set(&value)
    }

    /// Keeps the heads of these numbers.
    pub(super) fn keep(&mut self, heads: &Tensor) -> Result<()> {
        self.var = Var::from_tensor(&self.var.as_tensor().detach().index_select(heads, 0)?)?;
        self.states = self.states.iter().map(|s| s.index_select(heads, 0)).collect::<Result<_>>()?;
        Ok(())
    }

    /// The first heads and the others, each in memory of their own. By way of the host: there is
    /// little left on the device.
    pub(super) fn apart(self, first: usize, device: &Device) -> Result<[Parameter; 2]> {
        let on_host = |t: &Tensor| t.detach().to_device(&Device::Cpu);
        let (var, states) = (on_host(&self.var)?, self.states.iter().map(on_host).collect::<Result<Vec<_>>>()?);
        drop(self);
        let heads = var.dim(0)?;
        let part = |start: usize, end: usize| -> Result<Parameter> {
            let on_device = |t: &Tensor| t.narrow(0, start, end - start)?.force_contiguous()?.to_device(device);
            let states = states.iter().map(on_device).collect::<Result<_>>()?;
            Ok(Parameter { var: Var::from_tensor(&on_device(&var)?)?, states })
        };
        Ok([part(0, first)?, part(first, heads)?])
    }
}
