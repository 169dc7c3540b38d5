//! A planned base as ONNX nodes: batch norm folded, padding explicit, one step after the other.

use super::build::{Attr, Builder};
use crate::graph::{Act, Padding, Pool, Shape};
use crate::plan::{ConvShape, Layer, Plan, Step};
use crate::{Error, Result};

/// Adds a plan whose input is the value `input`; returns the names of its taps' values, each made a
/// matrix `[N, features]` or, where `as_maps`, left in its own shape.
pub(super) fn add(b: &mut Builder, plan: &Plan, prefix: &str, input: &str) -> Result<Vec<String>> {
    let mut values = vec![input.to_owned()];
    for step in &plan.steps {
        let inputs: Vec<&str> = step.inputs.iter().map(|&v| values[v].as_str()).collect();
        let shapes: Vec<&Shape> = step.inputs.iter().map(|&v| &plan.shapes[v]).collect();
        let name = format!("{prefix}{}", step.name);
        let value = StepNodes { b, name: &name, inputs: &inputs, shapes: &shapes, output: &plan.shapes[step.output] }.add(step)?;
        values.push(value);
    }
    Ok(plan.taps.iter().map(|&tap| values[tap].clone()).collect())
}

/// One step on its way into the graph.
struct StepNodes<'a> {
    b: &'a mut Builder,
    name: &'a str,
    inputs: &'a [&'a str],
    /// Shapes of the inputs, for one image.
    shapes: &'a [&'a Shape],
    output: &'a Shape,
}

impl StepNodes<'_> {
    fn add(mut self, step: &Step) -> Result<String> {
        let x = self.inputs[0];
        Ok(match &step.layer {
            Layer::Conv { conv, weight, bias, residual, act } => {
                let y = self.conv(conv, weight, bias);
                self.end(y, *residual, *act)
            }
            Layer::Linear { input, output, weight, bias, residual, act } => {
                let weight = self.floats("weight", &[*output, *input], weight);
                let bias = self.floats("bias", &[*output], bias);
                let y = if self.shapes[0].len() == 2 {
                    let turned = self.node("Transpose", &[&weight], vec![Attr::Ints("perm", vec![1, 0])]);
                    let product = self.node("MatMul", &[x, &turned], vec![]);
                    self.node("Add", &[&product, &bias], vec![])
                } else {
                    self.node("Gemm", &[x, &weight, &bias], vec![Attr::Int("transB", 1)])
                };
                self.end(y, *residual, *act)
            }
            Layer::Affine { scale, shift, act } => {
                let (scale, shift) = (self.per_channel("scale", scale), self.per_channel("shift", shift));
                let scaled = self.node("Mul", &[x, &scale], vec![]);
                let y = self.node("Add", &[&scaled, &shift], vec![]);
                self.end(y, false, *act)
            }
            Layer::Add { act } => self.end(x.to_owned(), true, *act),
            Layer::Mul => self.node("Mul", self.inputs, vec![]),
            Layer::Act(act) => self.end(x.to_owned(), false, Some(*act)),
            Layer::LayerNorm { weight, bias, eps } => self.layer_norm(weight, bias, *eps),
            Layer::MaxPool(pool) => {
                let window = self.window(pool, false)?;
                self.node("MaxPool", &[x], window)
            }
            Layer::AvgPool(pool) => {
                let mut window = self.window(pool, pool.count_padding)?;
                window.push(Attr::Int("count_include_pad", i64::from(pool.count_padding)));
                self.node("AveragePool", &[x], window)
            }
            Layer::GlobalAvgPool => self.node("GlobalAveragePool", &[x], vec![]),
            Layer::AdaptiveAvgPool(to) => self.adaptive(*to),
            Layer::Concat => self.node("Concat", self.inputs, vec![Attr::Int("axis", 1)]),
            Layer::Slice { start, len } => {
                let bounds = [("starts", *start), ("ends", start + len), ("axes", 1)].map(|(n, v)| self.ints(n, &[v as i64]));
                self.node("Slice", &[x, &bounds[0], &bounds[1], &bounds[2]], vec![])
            }
            Layer::Shuffle { groups } => self.shuffle(*groups),
            Layer::Flatten => self.node("Flatten", &[x], vec![Attr::Int("axis", 1)]),
            Layer::Tokens { class, positions } => self.tokens(class, positions),
            Layer::Attention { heads } => self.attention(*heads),
            Layer::ClassToken => {
                let first = self.rows(0, 1);
                self.node("Flatten", &[&first], vec![Attr::Int("axis", 1)])
            }
            Layer::PatchMap => {
                let patches = self.rows(1, self.shapes[0][0]);
                let turned = self.node("Transpose", &[&patches], vec![Attr::Ints("perm", vec![0, 2, 1])]);
                let shape = self.ints("shape", &[0, self.output[0] as i64, self.output[1] as i64, self.output[2] as i64]);
                self.node("Reshape", &[&turned, &shape], vec![])
            }
        })
    }

    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attr>) -> String {
        self.b.node(self.name, op, inputs, attributes)
    }

    fn floats(&mut self, field: &str, dims: &[usize], values: &[f32]) -> String {
        self.b.floats(&format!("{}.{field}", self.name), dims, values)
    }

    fn ints(&mut self, field: &str, values: &[i64]) -> String {
        self.b.ints(&format!("{}.{field}", self.name), values)
    }

    /// One number a channel, shaped to broadcast against the first input.
    fn per_channel(&mut self, field: &str, values: &[f32]) -> String {
        let dims = if self.shapes[0].len() == 3 { vec![values.len(), 1, 1] } else { vec![values.len()] };
        self.floats(field, &dims, values)
    }

    fn conv(&mut self, c: &ConvShape, weight: &[f32], bias: &[f32]) -> String {
        let weight = self.floats("weight", &[c.output, c.input / c.groups, c.kernel[0], c.kernel[1]], weight);
        let bias = self.floats("bias", &[c.output], bias);
        let mut attributes = window(c.kernel, c.stride, c.padding);
        attributes.push(Attr::Int("group", c.groups as i64));
        self.node("Conv", &[self.inputs[0], &weight, &bias], attributes)
    }

    /// Residual, then activation: the last of a step's inputs is added to `y`.
    fn end(&mut self, y: String, residual: bool, act: Option<Act>) -> String {
        let y = match self.inputs.last() {
            Some(other) if residual => self.node("Add", &[&y, other], vec![]),
            _ => y,
        };
        act.map_or(y.clone(), |act| self.act(&y, act))
    }

    fn act(&mut self, x: &str, act: Act) -> String {
        match act {
            Act::Relu => self.node("Relu", &[x], vec![]),
            Act::Relu6 => {
                let (low, high) = (self.floats("low", &[], &[0.0]), self.floats("high", &[], &[6.0]));
                self.node("Clip", &[x, &low, &high], vec![])
            }
            Act::Silu => {
                let gate = self.node("Sigmoid", &[x], vec![]);
                self.node("Mul", &[x, &gate], vec![])
            }
            Act::HardSwish => self.node("HardSwish", &[x], vec![]),
            Act::HardSigmoid => self.node("HardSigmoid", &[x], vec![Attr::Float("alpha", 1.0 / 6.0), Attr::Float("beta", 0.5)]),
            Act::Sigmoid => self.node("Sigmoid", &[x], vec![]),
            Act::Gelu => gelu(self.b, self.name, x),
            Act::QuickGelu => {
                let slope = self.floats("slope", &[], &[1.702]);
                let steeper = self.node("Mul", &[x, &slope], vec![]);
                let gate = self.node("Sigmoid", &[&steeper], vec![]);
                self.node("Mul", &[x, &gate], vec![])
            }
        }
    }

    /// Tokens `from .. to` of the first input.
    fn rows(&mut self, from: usize, to: usize) -> String {
        let bounds = [("starts", from), ("ends", to), ("axes", 1)].map(|(n, v)| self.ints(n, &[v as i64]));
        self.node("Slice", &[self.inputs[0], &bounds[0], &bounds[1], &bounds[2]], vec![])
    }

    /// A map as rows of tokens, a row of zeros before them, to which the class token and the
    /// positions are added.
    fn tokens(&mut self, class: &[f32], positions: &[f32]) -> String {
        let [count, width] = [self.output[0], self.output[1]];
        let shape = self.ints("shape", &[0, width as i64, count as i64 - 1]);
        let flat = self.node("Reshape", &[self.inputs[0], &shape], vec![]);
        let patches = self.node("Transpose", &[&flat], vec![Attr::Ints("perm", vec![0, 2, 1])]);
        let before = self.ints("before", &[0, 1, 0, 0, 0, 0]);
        let padded = self.node("Pad", &[&patches, &before], vec![]);
        let added = self.floats("positions", &[count, width], &[class, positions].concat());
        self.node("Add", &[&padded, &added], vec![])
    }

    /// Query, key and value are taken apart as `[1, N, heads, T, d]`.
    fn attention(&mut self, heads: usize) -> String {
        let [count, width] = [self.output[0], self.output[1]];
        let apart = self.ints("apart", &[0, count as i64, 3, heads as i64, (width / heads) as i64]);
        let apart = self.node("Reshape", &[self.inputs[0], &apart], vec![]);
        let apart = self.node("Transpose", &[&apart], vec![Attr::Ints("perm", vec![2, 0, 3, 1, 4])]);
        let axis = self.ints("axis", &[0]);
        let [query, key, value] = [0, 1, 2].map(|i| {
            let bounds = [("starts", i), ("ends", i + 1)].map(|(n, v)| self.ints(n, &[v]));
            self.node("Slice", &[&apart, &bounds[0], &bounds[1], &axis], vec![])
        });
        let key = self.node("Transpose", &[&key], vec![Attr::Ints("perm", vec![0, 1, 2, 4, 3])]);
        let scale = self.floats("scale", &[], &[((width / heads) as f32).powf(-0.5)]);
        let query = self.node("Mul", &[&query, &scale], vec![]);
        let scores = self.node("MatMul", &[&query, &key], vec![]);
        let shares = self.node("Softmax", &[&scores], vec![Attr::Int("axis", -1)]);
        let mixed = self.node("MatMul", &[&shares, &value], vec![]);
        let together = self.node("Transpose", &[&mixed], vec![Attr::Ints("perm", vec![1, 3, 2, 4, 0])]);
        let shape = self.ints("together", &[0, count as i64, width as i64]);
        self.node("Reshape", &[&together, &shape], vec![])
    }

    /// Window of a pool; `ceil` becomes padding behind the map, so that all windows are whole.
    fn window(&self, pool: &Pool, padding_counts: bool) -> Result<Vec<Attr>> {
        let [_, h, w] = self.map()?;
        let Padding::Explicit([top, bottom, left, right]) = pool.padding else {
            return Err(Error::graph(self.name, "has a pool whose padding was not planned"));
        };
        let reach = |axis: usize, before: usize, length: usize| {
            ((self.output[axis + 1] - 1) * pool.stride[axis] + pool.kernel[axis]).saturating_sub(before + length)
        };
        let (down, across) = (reach(0, top, h), reach(1, left, w));
        if padding_counts && (down > bottom || across > right) {
            return Err(Error::graph(self.name, "averages over windows that reach beyond the padding: ONNX has no such pool"));
        }
        Ok(window(pool.kernel, pool.stride, [top, bottom.max(down), left, right.max(across)]))
    }

    fn map(&self) -> Result<[usize; 3]> {
        let shape = self.shapes[0];
        <[usize; 3]>::try_from(shape.as_slice()).map_err(|_| Error::graph(self.name, format!("needs a map [C, H, W], not {shape:?}")))
    }

    /// Averages over cells of a size that may differ: a product with a matrix of shares on either
    /// side.
    fn adaptive(&mut self, to: [usize; 2]) -> String {
        let (h, w) = (self.shapes[0][1], self.shapes[0][2]);
        let share = |from: usize, to: usize, i: usize, j: usize| {
            let cells = i * from / to..((i + 1) * from).div_ceil(to);
            if cells.contains(&j) { 1.0 / cells.len() as f32 } else { 0.0 }
        };
        let rows: Vec<f32> = (0..to[0]).flat_map(|i| (0..h).map(move |j| share(h, to[0], i, j))).collect();
        let columns: Vec<f32> = (0..w).flat_map(|j| (0..to[1]).map(move |i| share(w, to[1], i, j))).collect();
        let (rows, columns) = (self.floats("rows", &[to[0], h], &rows), self.floats("columns", &[w, to[1]], &columns));
        let x = self.node("MatMul", &[self.inputs[0], &columns], vec![]);
        self.node("MatMul", &[&rows, &x], vec![])
    }

    fn layer_norm(&mut self, weight: &[f32], bias: &[f32], eps: f64) -> String {
        let (weight, bias) = (self.floats("weight", &[weight.len()], weight), self.floats("bias", &[bias.len()], bias));
        let attributes = vec![Attr::Int("axis", -1), Attr::Float("epsilon", eps as f32)];
        let is_map = self.shapes[0].len() == 3;
        let mut x = self.inputs[0].to_owned();
        if is_map {
            x = self.node("Transpose", &[&x], vec![Attr::Ints("perm", vec![0, 2, 3, 1])]);
        }
        x = self.node("LayerNormalization", &[&x, &weight, &bias], attributes);
        if is_map { self.node("Transpose", &[&x], vec![Attr::Ints("perm", vec![0, 3, 1, 2])]) } else { x }
    }

    fn shuffle(&mut self, groups: usize) -> String {
        let [c, h, w] = [0, 1, 2].map(|i| self.output[i] as i64);
        let groups = groups as i64;
        // 0: as in the input.
        let apart = self.ints("apart", &[0, groups, c / groups, h, w]);
        let together = self.ints("together", &[0, c, h, w]);
        let x = self.node("Reshape", &[self.inputs[0], &apart], vec![]);
        let x = self.node("Transpose", &[&x], vec![Attr::Ints("perm", vec![0, 2, 1, 3, 4])]);
        self.node("Reshape", &[&x, &together], vec![])
    }
}

fn window(kernel: [usize; 2], stride: [usize; 2], [top, bottom, left, right]: [usize; 4]) -> Vec<Attr> {
    let ints = |all: &[usize]| all.iter().map(|&v| v as i64).collect();
    vec![
        Attr::Ints("kernel_shape", ints(&kernel)),
        Attr::Ints("strides", ints(&stride)),
        Attr::Ints("pads", ints(&[top, left, bottom, right])),
    ]
}

/// x · Φ(x) by the error function: the operator set has no such op before version 20.
pub(super) fn gelu(b: &mut Builder, name: &str, x: &str) -> String {
    let mut scalar = |field: &str, value| b.floats(&format!("{name}.{field}"), &[], &[value]);
    let (root, one, half) = (scalar("root_half", std::f32::consts::FRAC_1_SQRT_2), scalar("one", 1.0), scalar("half", 0.5));
    let scaled = b.node(name, "Mul", &[x, &root], vec![]);
    let erf = b.node(name, "Erf", &[&scaled], vec![]);
    let above = b.node(name, "Add", &[&erf, &one], vec![]);
    let twice = b.node(name, "Mul", &[x, &above], vec![]);
    b.node(name, "Mul", &[&twice, &half], vec![])
}
