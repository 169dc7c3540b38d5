//! A plan computed by plain loops in f64.

use crate::graph::{Act, Padding, Pool};
use crate::plan::{ConvShape, Layer, Plan, Step};

fn activate(act: Option<Act>, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let gate = |x: f64| (x + 3.0).clamp(0.0, 6.0) / 6.0;
    match act {
        None => x,
        Some(Act::Relu) => x.max(0.0),
        Some(Act::Relu6) => x.clamp(0.0, 6.0),
        Some(Act::Silu) => x * sigmoid(x),
        Some(Act::HardSwish) => x * gate(x),
        Some(Act::HardSigmoid) => gate(x),
        Some(Act::Sigmoid) => sigmoid(x),
        Some(Act::QuickGelu) => x * sigmoid(1.702 * x),
        // A logistic stand-in is not enough here: kernels' own tests cover it.
        Some(Act::Gelu) => unreachable!("not drawn by these tests"),
    }
}

/// A map in plain order with its shape.
struct Map<'a> {
    shape: [usize; 3],
    data: &'a [f64],
}

impl Map<'_> {
    /// A pixel, `None` outside.
    fn get(&self, c: usize, y: isize, x: isize) -> Option<f64> {
        let [_, h, w] = self.shape;
        let inside = y >= 0 && x >= 0 && (y as usize) < h && (x as usize) < w;
        inside.then(|| self.data[(c * h + y as usize) * w + x as usize])
    }
}

fn conv(input: &Map<'_>, out: [usize; 3], c: &ConvShape, weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let (per_group, out_per_group) = (c.input / c.groups, c.output / c.groups);
    each(out, |o, y, x| {
        let mut sum = f64::from(bias[o]);
        for i in 0..per_group {
            for ky in 0..c.kernel[0] {
                for kx in 0..c.kernel[1] {
                    let at = |p: usize, s: usize, k: usize, pad: usize| (p * s + k) as isize - pad as isize;
                    let (iy, ix) = (at(y, c.stride[0], ky, c.padding[0]), at(x, c.stride[1], kx, c.padding[2]));
                    let w = weight[((o * per_group + i) * c.kernel[0] + ky) * c.kernel[1] + kx];
                    sum += f64::from(w) * input.get(o / out_per_group * per_group + i, iy, ix).unwrap_or(0.0);
                }
            }
        }
        sum
    })
}

fn each([c, h, w]: [usize; 3], f: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let f = &f;
    (0..c).flat_map(|c| (0..h).flat_map(move |y| (0..w).map(move |x| f(c, y, x)))).collect()
}

fn pool(input: &Map<'_>, out: [usize; 3], pool: &Pool, max: bool) -> Vec<f64> {
    let Padding::Explicit([top, bottom, left, right]) = pool.padding else { unreachable!("plans resolve padding") };
    let [_, h, w] = input.shape;
    each(out, |c, y, x| {
        let (y0, x0) = (y * pool.stride[0], x * pool.stride[1]);
        let (y1, x1) = ((y0 + pool.kernel[0]).min(h + top + bottom), (x0 + pool.kernel[1]).min(w + left + right));
        let cells = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (y as isize - top as isize, x as isize - left as isize)));
        let values: Vec<f64> = cells.filter_map(|(y, x)| input.get(c, y, x)).collect();
        let count = if pool.count_padding { (y1 - y0) * (x1 - x0) } else { values.len() };
        if max { values.into_iter().fold(f64::NEG_INFINITY, f64::max) } else { values.iter().sum::<f64>() / count as f64 }
    })
}

fn layer(step: &Step, inputs: &[Map<'_>], out: [usize; 3]) -> Vec<f64> {
    let x = &inputs[0];
    let finish = |values: Vec<f64>, residual: bool, act: Option<Act>| -> Vec<f64> {
        let add = |i: usize| if residual { inputs[1].data[i] } else { 0.0 };
        values.into_iter().enumerate().map(|(i, v)| activate(act, v + add(i))).collect()
    };
    let pixels = x.shape[1] * x.shape[2];
    match &step.layer {
        Layer::Conv { conv: c, weight, bias, residual, act } => finish(conv(x, out, c, weight, bias), *residual, *act),
        Layer::Linear { input, output, weight, bias, residual, act } => {
            let c = ConvShape { input: *input, output: *output, kernel: [1, 1], stride: [1, 1], padding: [0; 4], groups: 1 };
            finish(conv(x, out, &c, weight, bias), *residual, *act)
        }
        Layer::Affine { scale, shift, act } => {
            let map = |(i, v): (usize, &f64)| v * f64::from(scale[i / pixels]) + f64::from(shift[i / pixels]);
            finish(x.data.iter().enumerate().map(map).collect(), false, *act)
        }
        Layer::Add { act } => finish(x.data.to_vec(), true, *act),
        Layer::Mul => x.data.iter().enumerate().map(|(i, v)| v * inputs[1].data[i / pixels]).collect(),
        Layer::Act(act) => finish(x.data.to_vec(), false, Some(*act)),
        Layer::LayerNorm { weight, bias, eps } => each(out, |c, y, x_| {
            let n = out[0];
            let at = |c: usize| x.data[(c * out[1] + y) * out[2] + x_];
            let mean = (0..n).map(at).sum::<f64>() / n as f64;
            let var = (0..n).map(|c| (at(c) - mean).powi(2)).sum::<f64>() / n as f64;
            (at(c) - mean) / (var + eps).sqrt() * f64::from(weight[c]) + f64::from(bias[c])
        }),
        Layer::MaxPool(p) => pool(x, out, p, true),
        Layer::AvgPool(p) => pool(x, out, p, false),
        Layer::GlobalAvgPool | Layer::AdaptiveAvgPool(_) => each(out, |c, y, x_| {
            let range = |i: usize, from: usize, to: usize| i * from / to..((i + 1) * from).div_ceil(to);
            let (rows, columns) = (range(y, x.shape[1], out[1]), range(x_, x.shape[2], out[2]));
            let count = (rows.len() * columns.len()) as f64;
            let cells = rows.flat_map(|y| columns.clone().map(move |x| (y, x)));
            cells.map(|(y, x_)| x.data[(c * x.shape[1] + y) * x.shape[2] + x_]).sum::<f64>() / count
        }),
        Layer::Concat => inputs.iter().flat_map(|m| m.data).copied().collect(),
        Layer::Slice { start, len } => x.data[start * pixels..(start + len) * pixels].to_vec(),
        Layer::Shuffle { groups } => each(out, |c, y, x_| {
            let from = c % groups * (out[0] / groups) + c / groups;
            x.data[(from * out[1] + y) * out[2] + x_]
        }),
        Layer::Flatten => x.data.to_vec(),
        Layer::Tokens { .. } | Layer::Attention { .. } | Layer::ClassToken | Layer::PatchMap => unreachable!("not drawn by these tests"),
    }
}

/// All taps of one image.
pub(super) fn run(plan: &Plan, image: &[f32]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = vec![vec![]; plan.shapes.len()];
    values[0] = image.iter().copied().map(f64::from).collect();
    let shape = |v: usize| super::super::memory::as_map(&plan.shapes[v]);
    for step in &plan.steps {
        let inputs: Vec<Map<'_>> = step.inputs.iter().map(|&v| Map { shape: shape(v), data: &values[v] }).collect();
        let made = layer(step, &inputs, shape(step.output));
        values[step.output] = made;
    }
    plan.taps.iter().map(|&v| values[v].clone()).collect()
}
