//! The candle trainer: heads as autograd variables on any candle device. On a CPU it is the plain reference of the fused trainer.

use std::sync::Arc;

use candle_core::{D, Device, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::fused::FusedTrainer;
use super::head::{BatchNorm, Head, Layer};
use super::loss::{Objective, Targets};
use super::optimizer::{Optimizer, clip_factor};
use super::random::{Dropout, order, window_rows};
use super::train::{Pass, Session, Task, Trainer};
use super::words::{Activation, Loss, OptimizerKind};
use crate::{Error, Result};

/// Trains heads with candle.
#[derive(Debug, Clone)]
pub struct CandleTrainer {
    /// Where.
    pub device: Device,
}

/// The trainer for a device: the fused one on a CPU, candle elsewhere.
pub fn trainer(device: &Device) -> Arc<dyn Trainer> {
    match device {
        Device::Cpu => Arc::new(FusedTrainer::new(rayon::current_num_threads())),
        other => Arc::new(CandleTrainer { device: other.clone() }),
    }
}

impl Trainer for CandleTrainer {
    fn name(&self) -> &'static str {
        "candle"
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
        CandleSession::new(self.device.clone(), task, start).map(|s| Box::new(s) as _).map_err(failed("copying weights"))
    }
}

fn failed(doing: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |e| Error::engine("candle", doing)(e)
}

/// A variable with what the optimiser remembers of it.
struct Parameter {
    var: Var,
    states: Vec<Tensor>,
}

struct CandleSession<'a> {
    device: Device,
    task: Task<'a>,
    start: Head,
    objective: Objective,
    optimizer: Optimizer,
    dropouts: Vec<Dropout>,
    batch_norm: Option<BatchNorm>,
    /// Weight and bias of each layer in turn.
    parameters: Vec<Parameter>,
    steps: i32,
}

impl<'a> CandleSession<'a> {
    fn new(device: Device, task: Task<'a>, start: Head) -> candle_core::Result<Self> {
        let spec = &start.spec;
        let dims = spec.dims();
        let optimizer = Optimizer::new(spec.params());
        let parameter = |values: &[f32], shape: &[usize]| -> candle_core::Result<Parameter> {
            let var = Var::from_slice(values, shape, &device)?;
            let states = (0..optimizer.states()).map(|_| var.zeros_like()).collect::<candle_core::Result<_>>()?;
            Ok(Parameter { var, states })
        };
        let mut parameters = vec![];
        for (layer, io) in start.layers.iter().zip(dims.windows(2)) {
            parameters.push(parameter(&layer.weight, &[io[1], io[0]])?);
            parameters.push(parameter(&layer.bias, &[io[1]])?);
        }
        let dropouts = spec.dropouts().iter().enumerate().map(|(i, &rate)| Dropout::new(spec.params().seed, i, rate)).collect();
        let objective = Objective::new(spec, task.labels, &task.partition.train);
        Ok(CandleSession {
            device,
            task,
            objective,
            optimizer,
            dropouts,
            batch_norm: start.batch_norm.clone(),
            start,
            parameters,
            steps: 0,
        })
    }

    /// Features of a training batch, normalised and with dropout.
    fn input(&mut self, epoch: usize, rows: &[usize]) -> candle_core::Result<Tensor> {
        let dim = self.task.features.dim();
        let mut x = vec![0.0; rows.len() * dim];
        x.chunks_exact_mut(dim).zip(rows).for_each(|(out, &row)| self.task.features.read(row, 0..dim, out));
        if let Some(norm) = &mut self.batch_norm {
            norm.train(&mut x);
        }
        x.chunks_exact_mut(dim).zip(rows).for_each(|(out, &row)| self.dropouts[0].apply(epoch, row, out));
        Tensor::from_vec(x, (rows.len(), dim), &self.device)
    }

    fn mask(&self, layer: usize, epoch: usize, rows: &[usize], units: usize) -> candle_core::Result<Tensor> {
        let mut mask = vec![1.0; rows.len() * units];
        mask.chunks_exact_mut(units).zip(rows).for_each(|(out, &row)| self.dropouts[layer].apply(epoch, row, out));
        Tensor::from_vec(mask, (rows.len(), units), &self.device)
    }

    /// Logits of a batch; dropout behind the first layer only in training, that is where `rows` tells which rows of which epoch they are.
    fn forward(&self, mut x: Tensor, rows: Option<(usize, &[usize])>) -> candle_core::Result<Tensor> {
        let layers = self.parameters.len() / 2;
        for layer in 0..layers {
            if let (Some((epoch, rows)), true) = (rows, layer > 0 && !self.dropouts[layer].is_none()) {
                x = x.mul(&self.mask(layer, epoch, rows, x.dim(1)?)?)?;
            }
            let (weight, bias) = (&self.parameters[2 * layer].var, &self.parameters[2 * layer + 1].var);
            x = x.matmul(&weight.t()?)?.broadcast_add(bias)?;
            if layer + 1 < layers {
                x = match self.start.spec.params().activation {
                    Activation::Relu => x.relu()?,
                    Activation::Gelu => x.gelu_erf()?,
                };
            }
        }
        Ok(x)
    }

    fn loss(&self, logits: &Tensor, targets: &Targets) -> candle_core::Result<Tensor> {
        let q = Tensor::from_slice(&targets.q, logits.dims(), &self.device)?;
        let sum = match self.objective.loss {
            Loss::Sigmoid => {
                let mass = Tensor::from_slice(&targets.mass, (targets.mass.len(), 1), &self.device)?;
                // softplus(z) = max(z, 0) + ln(1 + exp(−|z|))
                let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
                (softplus.broadcast_mul(&mass)? - (logits * q)?)?.sum_all()?
            }
            _ => (log_softmax(logits, D::Minus1)? * q)?.sum_all()?.neg()?,
        };
        sum * f64::from(targets.scale)
    }

    /// One step; its loss, and how many of its rows were answered right.
    fn step(&mut self, epoch: usize, lr: f64, rows: &[usize], targets: &Targets) -> candle_core::Result<(f64, usize)> {
        let x = self.input(epoch, rows)?;
        let logits = self.forward(x, Some((epoch, rows)))?;
        let loss = self.loss(&logits, targets)?;
        let gradients = loss.backward()?;
        let mut of = vec![];
        for parameter in &self.parameters {
            let missing = || candle_core::Error::Msg("a weight has no gradient".into());
            of.push(gradients.get(&parameter.var).ok_or_else(missing)?.detach());
        }
        if let Some(largest) = self.start.spec.params().clip_norm {
            let mut squares = 0.0;
            for gradient in &of {
                squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
            let factor = f64::from(clip_factor(squares.sqrt(), Some(largest)));
            of = of.iter().map(|g| g * factor).collect::<candle_core::Result<_>>()?;
        }
        self.steps += 1;
        for (parameter, gradient) in self.parameters.iter_mut().zip(of) {
            update(&self.optimizer, lr, self.steps, parameter, gradient)?;
        }
        let right = |(row, z): (&usize, &Vec<f32>)| self.objective.is_right(z, self.task.labels.of(*row));
        let right = rows.iter().zip(&logits.to_vec2()?).filter(|row| right(*row)).count();
        Ok((f64::from(loss.to_scalar::<f32>()?), right))
    }
}

/// One step of an optimiser, as `torch.optim` computes it.
fn update(o: &Optimizer, lr: f64, step: i32, parameter: &mut Parameter, mut g: Tensor) -> candle_core::Result<()> {
    let mut p = parameter.var.as_tensor().detach();
    let s = &mut parameter.states;
    if o.weight_decay > 0.0 {
        match o.kind {
            OptimizerKind::Adamw => p = (p * (1.0 - lr * o.weight_decay))?,
            _ => g = (g + (&p * o.weight_decay)?)?,
        }
    }
    let moved = |old: &Tensor, new: &Tensor, keep: f64| (old * keep)? + (new * (1.0 - keep))?;
    let p = match o.kind {
        OptimizerKind::Sgd => {
            if o.momentum > 0.0 {
                s[0] = if step == 1 { g.clone() } else { ((&s[0] * o.momentum)? + (&g * (1.0 - o.dampening))?)? };
                g = if o.nesterov { (g + (&s[0] * o.momentum)?)? } else { s[0].clone() };
            }
            (p - (g * lr)?)?
        }
        OptimizerKind::Rmsprop => {
            s[0] = moved(&s[0], &g.sqr()?, o.alpha)?;
            let mut square = s[0].clone();
            if o.centered {
                s[1] = moved(&s[1], &g, o.alpha)?;
                square = (square - s[1].sqr()?)?;
            }
            let mut stride = (g / (square.sqrt()? + o.eps)?)?;
            if o.momentum > 0.0 {
                let last = s.len() - 1;
                s[last] = ((&s[last] * o.momentum)? + stride)?;
                stride = s[last].clone();
            }
            (p - (stride * lr)?)?
        }
        OptimizerKind::Adam | OptimizerKind::Adamw => {
            s[0] = moved(&s[0], &g, o.betas[0])?;
            s[1] = moved(&s[1], &g.sqr()?, o.betas[1])?;
            if o.amsgrad {
                s[2] = s[2].maximum(&s[1])?;
            }
            let [c1, c2] = o.betas.map(|beta| 1.0 - beta.powi(step));
            let denominator = ((s[if o.amsgrad { 2 } else { 1 }].sqrt()? / c2.sqrt())? + o.eps)?;
            (p - ((&s[0] / denominator)? * (lr / c1))?)?
        }
    };
    parameter.var.set(&p.detach())
}

impl Session for CandleSession<'_> {
    fn epoch(&mut self, epoch: usize, lr: f64) -> Result<Pass> {
        let (features, train) = (self.task.features, &self.task.partition.train);
        let params = self.start.spec.params();
        let (seed, batch) = (params.seed, params.batch_size);
        let order = order(seed, epoch, train, features.block_rows(), window_rows(features.dim()));
        let mut targets = Targets::default();
        let (mut sum, mut all_right) = (0.0, 0);
        for rows in order.chunks(batch) {
            self.objective.targets(self.task, rows, &mut targets);
            let (loss, right) = self.step(epoch, lr, rows, &targets).map_err(failed("training a head"))?;
            sum += rows.len() as f64 * loss;
            all_right += right;
        }
        Ok(Pass::new(sum, all_right as f64, train.len()))
    }

    fn head(&self) -> Result<Head> {
        let values = |i: usize| self.parameters[i].var.flatten_all()?.to_vec1::<f32>();
        let layer = |i| Ok(Layer { weight: values(2 * i)?, bias: values(2 * i + 1)? });
        let layers = (0..self.parameters.len() / 2).map(layer).collect::<candle_core::Result<_>>().map_err(failed("reading weights"))?;
        Ok(Head { spec: self.start.spec.clone(), batch_norm: self.batch_norm.clone(), layers, neighbours: None })
    }

    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>> {
        Ok(self.head()?.classify(self.task.features, rows))
    }
}
