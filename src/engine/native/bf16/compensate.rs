//! Making up for weights rounded to bf16.
//!
//! An output is off by the sum of its weights' rounding errors times what they multiply, most of which all images share: on average over pixels
//! the sum of errors times the means of the input's channels. That goes into the bias. The means are those of a sample, in f32: any image serves,
//! as what images share is nearly all that is needed (Nagel et al. 2019, "Data-free quantization through weight equalization and bias
//! correction", section 4.2, with means measured instead of derived).

use crate::engine::native::amx::nearest_bf16;
use crate::engine::native::compile::rounds_weights;
use crate::engine::native::places::as_map;
use crate::engine::native::{NativeEngine, Options};
use crate::engine::{Batch, Engine};
use crate::plan::{Layer, Plan, ValueId};
use crate::{Error, Result};

/// A plan whose biases make up for what `options` has rounded of its weights, given an image: `[C, H, W]`, as the plan takes it.
///
/// The plan as it is where nothing is rounded.
///
/// # Errors
/// As [`NativeEngine::new`]; a sample of another size.
pub fn compensate(mut plan: Plan, options: Options, sample: &[f32]) -> Result<Plan> {
    let rounds: Vec<bool> = plan.steps.iter().map(|step| rounds_weights(&plan, step, options)).collect();
    let mut read: Vec<ValueId> = plan.steps.iter().zip(&rounds).filter(|(_, rounds)| **rounds).map(|(step, _)| step.inputs[0]).collect();
    read.dedup();
    if read.is_empty() {
        return Ok(plan);
    }
    let shape = <[usize; 3]>::try_from(plan.shapes[0].as_slice())
        .map_err(|_| Error::graph("input", format!("is {:?}: the engine takes maps [C, H, W]", plan.shapes[0])))?;
    let exact = Plan { taps: read.clone(), ..plan.clone() };
    let values = NativeEngine::new(&exact, 1, Options { bf16: false, ..options })?.run(Batch::Floats { images: 1, shape, data: sample })?;
    let means: Vec<Vec<f64>> = read
        .iter()
        .zip(&values)
        .map(|(&v, values)| {
            let [_, height, width] = as_map(&plan.shapes[v]);
            let mean = |plane: &[f32]| plane.iter().map(|&x| f64::from(x)).sum::<f64>() / plane.len() as f64;
            values.chunks_exact(height * width).map(mean).collect()
        })
        .collect();
    for (step, _) in plan.steps.iter_mut().zip(rounds).filter(|(_, rounds)| *rounds) {
        let Some(means) = read.iter().position(|&v| v == step.inputs[0]).map(|i| &means[i]) else { continue };
        if let Layer::Conv { conv, weight, bias, .. } = &mut step.layer {
            let cells = conv.kernel[0] * conv.kernel[1];
            let lost = |channel: &[f32]| channel.iter().map(|&w| f64::from(w) - f64::from(nearest_bf16(w))).sum::<f64>();
            let off = |of: &[f32]| of.chunks_exact(cells).zip(means).map(|(channel, mean)| lost(channel) * mean).sum::<f64>();
            *bias = bias.iter().zip(weight.chunks_exact(conv.input * cells)).map(|(&b, of)| (f64::from(b) + off(of)) as f32).collect();
        }
    }
    Ok(plan)
}
