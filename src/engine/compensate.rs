//! Making up for weights rounded to bf16.
//!
//! An output is off by the sum of its weights' rounding errors times what they multiply, most of which all images share: on average over pixels
//! the sum of errors times the means of the input's channels. That goes into the bias. The means are those of a sample, in f32: any image serves,
//! as what images share is nearly all that is needed (Nagel et al. 2019, "Data-free quantization through weight equalization and bias
//! correction", section 4.2, with means measured instead of derived).

use half::bf16;

use super::native::{Isa, NativeEngine, Options, places::as_map};
use super::{Batch, Engine};
use crate::plan::{ConvShape, Layer, Plan, Step, ValueId};
use crate::{Error, Result};

/// How a plan's weights are rounded.
pub struct Rounding<'a> {
    /// Whether a convolution's are.
    pub rounds: &'a dyn Fn(&Step) -> bool,
    /// What becomes of a weight.
    pub round: fn(f32) -> f32,
    /// By which instructions the means are computed.
    pub isa: Isa,
}

/// A plan for a GPU, where bf16 rounds the weights of every convolution; the plan as it is where the network is delicate or a transformer.
/// The same on whatever CPU.
///
/// # Errors
/// As [`compensate`].
pub fn compensate_for_gpu(plan: Plan, sample: &[f32]) -> Result<Plan> {
    if plan.is_delicate || plan.steps.iter().any(|step| step.layer.is_of_tokens()) {
        return Ok(plan);
    }
    let rounds = |step: &Step| matches!(step.layer, Layer::Conv { .. });
    compensate(plan, &Rounding { rounds: &rounds, round: |w| bf16::from_f32(w).to_f32(), isa: Isa::Portable }, sample)
}

/// A plan whose biases make up for rounded weights, given an image: `[C, H, W]`, as the plan takes it.
///
/// The plan as it is where nothing is rounded.
///
/// # Errors
/// As [`NativeEngine::new`]; a sample of another size.
pub fn compensate(mut plan: Plan, rounding: &Rounding<'_>, sample: &[f32]) -> Result<Plan> {
    let rounds: Vec<bool> = plan.steps.iter().map(|step| (rounding.rounds)(step)).collect();
    let mut read: Vec<ValueId> = plan.steps.iter().zip(&rounds).filter(|(_, rounds)| **rounds).map(|(step, _)| step.inputs[0]).collect();
    read.dedup();
    if read.is_empty() {
        return Ok(plan);
    }
    let means = means(&plan, &read, rounding.isa, sample)?;
    for (step, _) in plan.steps.iter_mut().zip(rounds).filter(|(_, rounds)| *rounds) {
        let Some(means) = read.iter().position(|&v| v == step.inputs[0]).map(|i| &means[i]) else { continue };
        if let Layer::Conv { conv, weight, bias, .. } = &mut step.layer {
            let off = lost(conv, weight, rounding.round, means);
            *bias = bias.iter().zip(off).map(|(&b, off)| (f64::from(b) + off) as f32).collect();
        }
    }
    Ok(plan)
}

/// Means of the channels of some values.
fn means(plan: &Plan, read: &[ValueId], isa: Isa, sample: &[f32]) -> Result<Vec<Vec<f64>>> {
    let shape = <[usize; 3]>::try_from(plan.shapes[0].as_slice())
        .map_err(|_| Error::graph("input", format!("is {:?}: the engine takes maps [C, H, W]", plan.shapes[0])))?;
    let exact = Plan { taps: read.to_vec(), ..plan.clone() };
    let values = NativeEngine::new(&exact, 1, Options { isa, bf16: false })?.run(Batch::Floats { images: 1, shape, data: sample })?;
    let each = read.iter().zip(&values).map(|(&v, values)| {
        let [_, height, width] = as_map(&plan.shapes[v]);
        let mean = |plane: &[f32]| plane.iter().map(|&x| f64::from(x)).sum::<f64>() / plane.len() as f64;
        values.chunks_exact(height * width).map(mean).collect()
    });
    Ok(each.collect())
}

/// What a convolution's outputs lack on average, given the means of its input's channels.
fn lost<'a>(conv: &ConvShape, weight: &'a [f32], round: fn(f32) -> f32, means: &'a [f64]) -> impl Iterator<Item = f64> + use<'a> {
    let (cells, inputs, outputs) = (conv.kernel[0] * conv.kernel[1], conv.input / conv.groups, conv.output / conv.groups);
    let error = move |channel: &[f32]| channel.iter().map(|&w| f64::from(w) - f64::from(round(w))).sum::<f64>();
    weight.chunks_exact(inputs * cells).enumerate().map(move |(output, of)| {
        let means = &means[output / outputs * inputs..][..inputs];
        of.chunks_exact(cells).zip(means).map(|(channel, mean)| error(channel) * mean).sum()
    })
}
