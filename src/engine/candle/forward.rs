//! Graphs and plans over candle tensors.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{ops, tokens};
use crate::graph::{Act, Graph, Node, Op, Shape, resolve_padding};
use crate::plan::{Layer, Plan};
use crate::weights::{TensorSource, read_shaped};
use crate::{Error, Result};

/// A graph's parameters by name. `Var::as_tensor` puts trainable ones in, and gradients reach them.
pub(crate) type Parameters = HashMap<String, Tensor>;

/// Reads the parameters that a graph needs onto a device.
///
/// # Errors
/// A missing or misshapen tensor; the device's own failure.
pub(crate) fn parameters(graph: &Graph, weights: &dyn TensorSource, device: &Device, dtype: DType) -> Result<Parameters> {
    let mut all = Parameters::new();
    for p in graph.parameters() {
        let data = read_shaped(weights, &p.name, &p.shape)?.data;
        let tensor = Tensor::from_vec(data, p.shape, device).and_then(|t| t.to_dtype(dtype));
        all.insert(p.name.clone(), tensor.map_err(Error::candle(format_args!("copying `{}` to the device", p.name)))?);
    }
    Ok(all)
}

/// Runs a graph op by op, batch norm unfolded, and returns its taps' values `[N, …]` in the order
/// in which the graph names them.
///
/// A value is dropped as soon as its last reader has run (and stays alive for gradients where a
/// parameter is a variable).
///
/// # Errors
/// A parameter that is not in `parameters`, an input that does not fit; the device's own failure,
/// running out of memory among them.
pub(crate) fn forward(graph: &Graph, parameters: &Parameters, input: &Tensor) -> Result<Vec<Tensor>> {
    let of_one = input.dims().get(1..).and_then(|d| <[usize; 3]>::try_from(d).ok());
    let shapes = graph.shapes(of_one.ok_or_else(|| Error::graph("input", format!("needs [N, C, H, W], not {:?}", input.dims())))?)?;
    let nodes = graph.nodes();
    let taps: Vec<usize> = graph.taps().iter().map(|&(_, id)| id).collect();
    let inputs: Vec<&[usize]> = nodes.iter().map(|n| n.inputs.as_slice()).collect();
    run(&inputs, &taps, |id, values| {
        let node = &nodes[id];
        if matches!(node.op, Op::Input { .. }) {
            return Ok(input.clone());
        }
        let missing = || Error::graph(&node.name, "has no parameters here");
        let found = node.parameters().iter().map(|p| parameters.get(&p.name)).collect::<Option<Vec<_>>>().ok_or_else(missing)?;
        if let Op::Conv(c) = &node.op
            && c.stride[0] != c.stride[1]
        {
            return Err(Error::graph(&node.name, "candle knows no stride that differs between rows and columns"));
        }
        apply(node, &found, values, &shapes[id]).map_err(Error::candle(format_args!("computing `{}`", node.name)))
    })
}

/// Computes values in order, value `i` from those that `inputs[i]` names, and drops each after its
/// last reader.
fn run(inputs: &[&[usize]], taps: &[usize], mut compute: impl FnMut(usize, &[&Tensor]) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let mut readers = vec![0usize; inputs.len()];
    inputs.iter().flat_map(|i| i.iter()).chain(taps).for_each(|&v| readers[v] += 1);
    let mut live: Vec<Option<Tensor>> = vec![None; inputs.len()];
    for (id, reads) in inputs.iter().enumerate() {
        let arguments: Vec<&Tensor> = reads.iter().filter_map(|&v| live[v].as_ref()).collect();
        let value = compute(id, &arguments)?;
        live[id] = Some(value);
        for &v in *reads {
            readers[v] -= 1;
            if readers[v] == 0 {
                live[v] = None;
            }
        }
    }
    taps.iter().map(|&v| live[v].clone().ok_or_else(|| Error::graph("taps", "a tapped value was never computed"))).collect()
}

fn apply(node: &Node, parameters: &[&Tensor], values: &[&Tensor], shape: &Shape) -> candle_core::Result<Tensor> {
    let x = values[0];
    match &node.op {
        Op::Input { .. } => Ok(x.clone()),
        Op::Conv(c) => {
            let padding = resolve_padding(c.padding, [x.dim(2)?, x.dim(3)?], c.kernel, c.stride);
            ops::conv(x, parameters[0], parameters.get(1).copied(), padding, c.stride[0], c.groups)
        }
        Op::BatchNorm { eps, .. } => {
            let [weight, bias, mean, var] = [0, 1, 2, 3].map(|i| parameters[i]);
            let scale = (weight / (var + *eps)?.sqrt()?)?;
            let centred = x.broadcast_sub(&ops::per_channel(mean, x)?)?;
            ops::affine(&centred, &scale, bias)
        }
        Op::LayerNorm { eps, .. } => ops::layer_norm(x, parameters[0], parameters[1], *eps),
        Op::Affine { scale, shift } => {
            let vector = |v: &[f32]| Tensor::new(v, x.device())?.to_dtype(x.dtype());
            ops::affine(x, &vector(scale)?, &vector(shift)?)
        }
        Op::LayerScale { .. } => x.broadcast_mul(&ops::per_channel(parameters[0], x)?),
        Op::Act(a) => ops::act(*a, x),
        Op::Add => x + values[1],
        Op::Mul => x.broadcast_mul(values[1]),
        Op::Concat => Tensor::cat(values, 1),
        Op::Slice { start, len } => x.narrow(1, *start, *len)?.contiguous(),
        Op::Shuffle { groups } => ops::shuffle(x, *groups),
        Op::MaxPool(pool) => ops::max_pool(x, pool, [shape[1], shape[2]]),
        Op::AvgPool(pool) => ops::avg_pool(x, pool, [shape[1], shape[2]]),
        Op::AdaptiveAvgPool(to) => ops::adaptive_avg_pool(x, *to),
        Op::Flatten => ops::flatten(x),
        Op::Linear { .. } => ops::linear(x, parameters[0], parameters.get(1).copied()),
        Op::Tokens(t) => tokens::tokens(x, parameters[0], parameters[1], t),
        Op::Attention { heads } => tokens::attention(x, *heads),
        Op::ClassToken => tokens::class_token(x),
        Op::PatchMap => tokens::patch_map(x, values[1]),
    }
}

/// A plan with its parameters on a device.
pub(super) struct Planned {
    plan: Plan,
    /// For each step its weight and bias, or scale and shift.
    parameters: Vec<Vec<Tensor>>,
}

impl Planned {
    pub(super) fn new(plan: Plan, device: &Device, dtype: DType) -> Result<Planned> {
        let parameters = plan
            .steps
            .iter()
            .map(|step| on_device(&step.layer, device, dtype).map_err(Error::candle(format_args!("copying `{}` to the device", step.name))))
            .collect::<Result<_>>()?;
        Ok(Planned { plan, parameters })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let Plan { steps, shapes, taps, .. } = &self.plan;
        let inputs: Vec<&[usize]> = std::iter::once(&[][..]).chain(steps.iter().map(|s| s.inputs.as_slice())).collect();
        run(&inputs, taps, |value, values| {
            let Some(i) = value.checked_sub(1) else { return Ok(input.clone()) };
            apply_planned(&steps[i].layer, &self.parameters[i], values, &shapes[value])
                .map_err(Error::candle(format_args!("computing `{}`", steps[i].name)))
        })
    }
}

fn on_device(layer: &Layer, device: &Device, dtype: DType) -> candle_core::Result<Vec<Tensor>> {
    let tensor = |values: &Arc<[f32]>, shape: &[usize]| Tensor::from_slice(values, shape, device)?.to_dtype(dtype);
    let pair = |a: &Arc<[f32]>, b: &Arc<[f32]>| Ok(vec![tensor(a, &[a.len()])?, tensor(b, &[b.len()])?]);
    match layer {
        Layer::Conv { conv: c, weight, bias, .. } => {
            let shape = [c.output, c.input / c.groups, c.kernel[0], c.kernel[1]];
            Ok(vec![tensor(weight, &shape)?, tensor(bias, &[c.output])?])
        }
        Layer::Linear { input, output, weight, bias, .. } => Ok(vec![tensor(weight, &[*output, *input])?, tensor(bias, &[*output])?]),
        Layer::Affine { scale, shift, .. } => pair(scale, shift),
        Layer::LayerNorm { weight, bias, .. } => pair(weight, bias),
        Layer::Tokens { class, positions } => {
            let rows = positions.len() / class.len();
            Ok(vec![tensor(class, &[1, 1, class.len()])?, tensor(positions, &[1, rows, class.len()])?])
        }
        _ => Ok(vec![]),
    }
}

fn apply_planned(layer: &Layer, parameters: &[Tensor], values: &[&Tensor], shape: &Shape) -> candle_core::Result<Tensor> {
    let x = values[0];
    let finish = |y: Tensor, residual: bool, act: &Option<Act>| {
        let y = if residual { (y + values[1])? } else { y };
        act.map_or(Ok(y.clone()), |a| ops::act(a, &y))
    };
    match layer {
        Layer::Conv { conv: c, residual, act, .. } => {
            let y = ops::conv(x, &parameters[0], Some(&parameters[1]), c.padding, c.stride[0], c.groups)?;
            finish(y, *residual, act)
        }
        Layer::Linear { residual, act, .. } => finish(ops::linear(x, &parameters[0], Some(&parameters[1]))?, *residual, act),
        Layer::Affine { act, .. } => finish(ops::affine(x, &parameters[0], &parameters[1])?, false, act),
        Layer::Add { act } => finish(x.clone(), true, act),
        Layer::Mul => x.broadcast_mul(values[1]),
        Layer::Act(a) => ops::act(*a, x),
        Layer::LayerNorm { eps, .. } => ops::layer_norm(x, &parameters[0], &parameters[1], *eps),
        Layer::MaxPool(pool) => ops::max_pool(x, pool, [shape[1], shape[2]]),
        Layer::AvgPool(pool) => ops::avg_pool(x, pool, [shape[1], shape[2]]),
        Layer::GlobalAvgPool => ops::adaptive_avg_pool(x, [1, 1]),
        Layer::AdaptiveAvgPool(to) => ops::adaptive_avg_pool(x, *to),
        Layer::Concat => Tensor::cat(values, 1),
        Layer::Slice { start, len } => x.narrow(1, *start, *len)?.contiguous(),
        Layer::Shuffle { groups } => ops::shuffle(x, *groups),
        Layer::Flatten => ops::flatten(x),
        Layer::Tokens { .. } => tokens::with_class_token(x, &parameters[0], &parameters[1]),
        Layer::Attention { heads } => tokens::attention(x, *heads),
        Layer::ClassToken => tokens::class_token(x),
        Layer::PatchMap => tokens::patch_map(x, values[1]),
    }
}
