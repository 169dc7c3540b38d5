//! Weights of several heads behind each other on the device: each layer of all of them is one
//! batched product.

use candle_core::{D, Result, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::batch::Batch;
use super::common::Common;
use super::rates::Rates;
use super::update::Parameter;
use crate::heads::fitted::head::Head;
use crate::heads::fitted::layer::Layer;
use crate::heads::settings::choices::{Activation, Loss};
use crate::heads::training::clipping::clip_factor;

/// A head's answer to a training batch.
pub(super) struct Answer {
    /// Its loss.
    pub loss: f32,
    /// Its logits, row by row.
    pub logits: Vec<Vec<f32>>,
}

/// Weights of some heads of a group.
pub(super) struct Stack {
    pub heads: usize,
    /// Weight `[heads, outputs, inputs]` and bias `[heads, 1, outputs]` of each layer in turn.
    parameters: Vec<Parameter>,
}

impl Stack {
    /// Heads before their first step.
    pub(super) fn new(common: &Common, starts: &[Head]) -> Result<Stack> {
        #[cfg(test)]
        memory::take(starts.len(), memory::WEIGHTS)?;
        let stack = |of: &dyn Fn(&Head) -> &[f32], shape: [usize; 2]| -> Result<Parameter> {
            let values: Vec<f32> = starts.iter().flat_map(|head| of(head).iter().copied()).collect();
            let var = Var::from_vec(values, (starts.len(), shape[0], shape[1]), &common.device)?;
            let states = (0..common.optimizer.states()).map(|_| var.zeros_like()).collect::<Result<_>>()?;
            Ok(Parameter { var, states })
        };
        let mut parameters = vec![];
        for (layer, io) in common.spec.dims().windows(2).enumerate() {
            parameters.push(stack(&|head| &head.layers()[layer].weight, [io[1], io[0]])?);
            parameters.push(stack(&|head| &head.layers()[layer].bias, [1, io[1]])?);
        }
        Ok(Stack { heads: starts.len(), parameters })
    }

    /// The layers of one head.
    pub(super) fn layers(&self, head: usize) -> Result<Vec<Layer>> {
        let values = |i: usize| self.parameters[i].var.narrow(0, head, 1)?.flatten_all()?.to_vec1();
        (0..self.parameters.len() / 2).map(|i| Ok(Layer { weight: values(2 * i)?, bias: values(2 * i + 1)? })).collect()
    }

    /// Keeps the heads of these numbers.
    pub(super) fn keep(&mut self, common: &Common, heads: Vec<u32>) -> Result<()> {
        self.heads = heads.len();
        if heads.is_empty() {
            self.parameters.clear();
            return Ok(());
        }
        let heads = Tensor::new(heads, &common.device)?;
        self.parameters.iter_mut().try_for_each(|p| p.keep(&heads))
    }

    /// Splits the stack in two.
    pub(super) fn halves(self, common: &Common) -> Result<[Stack; 2]> {
        let first = self.heads.div_ceil(2);
        let (mut some, mut others) = (vec![], vec![]);
        for parameter in self.parameters {
            let [a, b] = parameter.apart(first, &common.device)?;
            some.push(a);
            others.push(b);
        }
        Ok([Stack { heads: first, parameters: some }, Stack { heads: self.heads - first, parameters: others }])
    }

    /// One step, the first of which is number 1; for each head its loss and its logits before the
    /// step. A step that fails changes nothing.
    pub(super) fn step(&mut self, common: &Common, rates: &Rates, batch: &Batch, step: i32) -> Result<Vec<Answer>> {
        let logits = self.forward(common, rates, batch)?;
        let losses = losses(common, &logits, batch)?;
        // No head's loss depends on another's weights: the gradient of their sum is each one's own.
        let gradients = losses.sum_all()?.backward()?;
        let missing = || candle_core::Error::Msg("a weight has no gradient".into());
        let of = |p: &Parameter| Ok(gradients.get(&p.var).ok_or_else(missing)?.detach());
        let mut of: Vec<Tensor> = self.parameters.iter().map(of).collect::<Result<_>>()?;
        if let Some(largest) = common.spec.params().clip_norm {
            of = clipped(common, of, largest)?;
        }
        let moved = self.parameters.iter().zip(of).map(|(p, gradient)| p.moved(&common.optimizer, rates, step, gradient));
        let moved = moved.collect::<Result<Vec<_>>>()?;
        #[cfg(test)]
        memory::take(self.heads, memory::STEP)?;
        let answers = losses.to_vec1()?.into_iter().zip(logits.to_vec3()?).map(|(loss, logits)| Answer { loss, logits }).collect();
        self.parameters.iter_mut().zip(moved).try_for_each(|(p, moved)| p.set(moved))?;
        Ok(answers)
    }

    /// Logits of a training batch, `[heads, rows, outputs]`.
    fn forward(&self, common: &Common, rates: &Rates, batch: &Batch) -> Result<Tensor> {
        let layers = self.parameters.len() / 2;
        let mut x = batch.x.clone();
        for layer in 0..layers {
            x = rates.drop(x, batch, layer)?;
            let (_, rows, units) = x.dims3()?;
            let (weight, bias) = (&self.parameters[2 * layer].var, &self.parameters[2 * layer + 1].var);
            x = x.broadcast_as((self.heads, rows, units))?.matmul(&weight.transpose(1, 2)?)?.broadcast_add(bias)?;
            if layer + 1 < layers {
                x = match common.spec.config().activation() {
                    Activation::Relu => x.relu()?,
                    Activation::Gelu => x.gelu_erf()?,
                };
            }
        }
        Ok(x)
    }
}

/// Loss of each head, `[heads]`.
fn losses(common: &Common, logits: &Tensor, batch: &Batch) -> Result<Tensor> {
    let sum = match common.objective.loss {
        Loss::Sigmoid => {
            // softplus(z) = max(z, 0) + ln(1 + exp(−|z|))
            let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
            (softplus.broadcast_mul(&batch.mass)? - logits.broadcast_mul(&batch.q)?)?.sum((1, 2))?
        }
        Loss::Auto | Loss::Softmax => log_softmax(logits, D::Minus1)?.broadcast_mul(&batch.q)?.sum((1, 2))?.neg()?,
    };
    sum * batch.scale
}

/// Gradients scaled so that no head's is longer than `largest`.
fn clipped(common: &Common, gradients: Vec<Tensor>, largest: f64) -> Result<Vec<Tensor>> {
    let mut squares: Vec<f64> = vec![];
    for gradient in &gradients {
        let of = gradient.sqr()?.sum((1, 2))?.to_vec1::<f32>()?;
        squares.resize(of.len(), 0.0);
        squares.iter_mut().zip(of).for_each(|(sum, square)| *sum += f64::from(square));
    }
    let factors = common.by_head(squares.iter().map(|s| clip_factor(s.sqrt(), Some(largest))).collect())?;
    gradients.iter().map(|g| g.broadcast_mul(&factors)).collect()
}

/// A device whose memory holds the weights, or a step, of so many heads at once.
#[cfg(test)]
pub(crate) mod memory {
    use std::cell::Cell;

    pub(crate) const WEIGHTS: usize = 0;
    pub(crate) const STEP: usize = 1;

    thread_local! {
        pub static HOLDS: Cell<[usize; 2]> = const { Cell::new([usize::MAX; 2]) };
    }

    pub(crate) fn take(heads: usize, what: usize) -> candle_core::Result<()> {
        match heads > HOLDS.get()[what] {
            true => Err(candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into())),
            false => Ok(()),
        }
    }
}
