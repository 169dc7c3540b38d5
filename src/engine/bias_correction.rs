//! Bias correction for weights rounded to bf16 (Nagel et al. 2019, "Data-free quantization through
//! weight equalization and bias correction", section 4.2, with means measured instead of derived).
//!
//! Rounding shifts an output by the sum of its weights' rounding errors times their inputs. Most of
//! that shift is common to all images: on average over pixels it is the sum of errors times the
//! means of the input's channels, and goes into the bias. The means are those of a sample in f32;
//! any image serves, because the common part is nearly all of it.

use half::bf16;

use super::native::{self, Isa, NativeEngine, NativeOptions, as_map};
use super::{Batch, Engine};
use crate::plan::{ConvShape, Layer, Plan, ValueId};
use crate::{Error, Result};

/// A plan for the native engine whose biases are corrected for the weights that `options` rounds.
///
/// # Errors
/// As [`NativeEngine::new`]; a sample of another size.
pub fn correct_biases_for_native(plan: Plan, options: NativeOptions, sample: &[f32]) -> Result<Plan> {
    let rounds = plan.steps.iter().map(|step| native::rounds_weights(&plan, step, options)).collect();
    correct_biases(plan, rounds, native::nearest_bf16, options.isa, sample)
}

/// A plan for a GPU, where bf16 rounds the weights of every convolution that is not depthwise; the
/// plan of a transformer stays as it is. The result is the same on every CPU.
///
/// # Errors
/// As [`correct_biases_for_native`].
pub(crate) fn correct_biases_for_gpu(plan: Plan, sample: &[f32]) -> Result<Plan> {
    if plan.steps.iter().any(|step| step.layer.is_of_tokens()) {
        return Ok(plan);
    }
    let rounds = plan.steps.iter().map(|step| matches!(&step.layer, Layer::Conv { conv, .. } if !conv.is_depthwise())).collect();
    correct_biases(plan, rounds, |w| bf16::from_f32(w).to_f32(), Isa::Portable, sample)
}

/// A plan whose biases are corrected for weights replaced by their `round`, in the convolutions that
/// `rounds` marks. The means are those of an image `[C, H, W]`, computed with the instruction set
/// `isa`. A plan without rounded weights stays as it is.
fn correct_biases(mut plan: Plan, rounds: Vec<bool>, round: fn(f32) -> f32, isa: Isa, sample: &[f32]) -> Result<Plan> {
    let mut read: Vec<ValueId> = plan.steps.iter().zip(&rounds).filter(|(_, rounds)| **rounds).map(|(step, _)| step.inputs[0]).collect();
    read.dedup();
    if read.is_empty() {
        return Ok(plan);
    }
    let means = means(&plan, &read, isa, sample)?;
    for (step, _) in plan.steps.iter_mut().zip(rounds).filter(|(_, rounds)| *rounds) {
        let Some(means) = read.iter().position(|&v| v == step.inputs[0]).map(|i| &means[i]) else { continue };
        if let Layer::Conv { conv, weight, bias, .. } = &mut step.layer {
            let off = lost(conv, weight, round, means);
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
    let values = NativeEngine::new(&exact, 1, NativeOptions { isa, bf16: false })?.run(Batch::Floats { images: 1, shape, data: sample })?;
    let each = read.iter().zip(&values).map(|(&v, values)| {
        let [_, height, width] = as_map(&plan.shapes[v]);
        let mean = |plane: &[f32]| plane.iter().map(|&x| f64::from(x)).sum::<f64>() / plane.len() as f64;
        values.chunks_exact(height * width).map(mean).collect()
    });
    Ok(each.collect())
}

/// Mean error of a convolution's outputs, given the means of its input's channels.
fn lost<'a>(conv: &ConvShape, weight: &'a [f32], round: fn(f32) -> f32, means: &'a [f64]) -> impl Iterator<Item = f64> + use<'a> {
    let (cells, inputs, outputs) = (conv.kernel[0] * conv.kernel[1], conv.input / conv.groups, conv.output / conv.groups);
    let error = move |channel: &[f32]| channel.iter().map(|&w| f64::from(w) - f64::from(round(w))).sum::<f64>();
    weight.chunks_exact(inputs * cells).enumerate().map(move |(output, of)| {
        let means = &means[output / outputs * inputs..][..inputs];
        of.chunks_exact(cells).zip(means).map(|(channel, mean)| error(channel) * mean).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    /// On the sample itself, where each channel is one value, nothing is lost: in groups, too.
    #[test]
    fn a_flat_image_comes_out_as_if_no_weight_were_rounded() {
        let conv = ConvShape { input: 6, output: 4, kernel: [1, 1], stride: [1, 1], padding: [0; 4], groups: 2 };
        let weight: Vec<f32> = (0..12).map(|i| 0.1 + i as f32 / 7.0).collect();
        let layer =
            |weight: &[f32], bias: &[f32]| Layer::Conv { conv, weight: weight.into(), bias: bias.into(), residual: false, act: None };
        let step = |layer| Step { name: "conv".into(), layer, inputs: vec![0], output: 1 };
        let plan = |layer| Plan { steps: vec![step(layer)], shapes: vec![vec![6, 2, 3], vec![4, 2, 3]], taps: vec![1], is_delicate: false };
        let sample: Vec<f32> = (0..36).map(|i| (i / 6) as f32 - 1.5).collect();
        let run = |plan: &Plan| {
            let batch = Batch::Floats { images: 1, shape: [6, 2, 3], data: &sample };
            NativeEngine::new(plan, 1, NativeOptions { isa: Isa::Portable, bf16: false }).unwrap().run(batch).unwrap().remove(0)
        };
        let exact = plan(layer(&weight, &[1.0; 4]));
        let Layer::Conv { bias, .. } = &correct_biases_for_gpu(exact.clone(), &sample).unwrap().steps[0].layer else {
            unreachable!("a convolution")
        };
        let rounded: Vec<f32> = weight.iter().map(|&w| bf16::from_f32(w).to_f32()).collect();
        let far = |bias: &[f32]| run(&plan(layer(&rounded, bias))).iter().zip(run(&exact)).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(far(bias) < 1e-6 && far(&[1.0; 4]) > 1e-3, "{} and {}", far(bias), far(&[1.0; 4]));
    }
}
