//! Shape inference, and its uses: padding made explicit, floating-point operations counted.

use super::{Conv, Graph, Node, NodeId, Op, Padding, Pool, Shape, Tokens};
use crate::{Error, Result};

/// Channels of a value: the last extent of tokens `[T, D]`, the first one of anything else.
pub(crate) fn channels(shape: &[usize]) -> usize {
    match *shape {
        [_, width] => width,
        _ => shape.first().copied().unwrap_or(0),
    }
}

/// Padding `[top, bottom, left, right]` of a window on a map of `[height, width]`.
pub(crate) fn resolve_padding(padding: Padding, map: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> [usize; 4] {
    match padding {
        Padding::Explicit(p) => p,
        Padding::Same => {
            let total = |n: usize, k: usize, s: usize| (n.div_ceil(s).saturating_sub(1) * s + k).saturating_sub(n);
            let (v, h) = (total(map[0], kernel[0], stride[0]), total(map[1], kernel[1], stride[1]));
            [v / 2, v - v / 2, h / 2, h - h / 2]
        }
    }
}

/// Output length of one axis, or `None` where the window does not fit at all.
fn windows(n: usize, before: usize, after: usize, kernel: usize, stride: usize, ceil: bool) -> Option<usize> {
    let free = (n + before + after).checked_sub(kernel)?;
    let down = free / stride + 1;
    // PyTorch: a window that would start in the padding behind the input is left out.
    let up = free.div_ceil(stride) + 1;
    Some(if ceil && up > down && (up - 1) * stride < n + before { up } else { down })
}

fn window_shape(map: [usize; 2], padding: Padding, kernel: [usize; 2], stride: [usize; 2], ceil: bool) -> Option<[usize; 2]> {
    let [t, b, l, r] = resolve_padding(padding, map, kernel, stride);
    Some([windows(map[0], t, b, kernel[0], stride[0], ceil)?, windows(map[1], l, r, kernel[1], stride[1], ceil)?])
}

fn as_map(node: &Node, shape: &Shape) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(shape.as_slice()).map_err(|_| Error::graph(&node.name, format!("needs a map [C, H, W], not {shape:?}")))
}

impl Graph {
    /// Shape of every node's value for an input of `[channels, height, width]`.
    ///
    /// # Errors
    /// The first node that does not fit, with its input: an input too small, a wrong channel count.
    pub fn shapes(&self, input: [usize; 3]) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let inputs: Vec<&Shape> = node.inputs.iter().map(|&i: &NodeId| &shapes[i]).collect();
            let shape = node.shape(&inputs, input)?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// Floating-point operations of one image, a multiply-add counted as two, element-wise work
    /// left out.
    ///
    /// # Errors
    /// As [`Graph::shapes`].
    pub fn flops(&self, input: [usize; 3]) -> Result<u64> {
        let shapes = self.shapes(input)?;
        Ok(self.nodes().iter().zip(&shapes).map(|(node, out)| node.flops(out)).sum())
    }
}

impl Node {
    /// Operations of this node for one image, given its output shape.
    pub fn flops(&self, out: &Shape) -> u64 {
        match &self.op {
            Op::Conv(c) => {
                let each = 2 * c.input / c.groups * c.kernel[0] * c.kernel[1];
                (each * out.iter().product::<usize>()) as u64
            }
            Op::Linear { input, .. } => (2 * input * out.iter().product::<usize>()) as u64,
            // Two products of tokens × tokens × width.
            Op::Attention { .. } => (4 * out[0] * out.iter().product::<usize>()) as u64,
            _ => 0,
        }
    }

    fn shape(&self, inputs: &[&Shape], image: [usize; 3]) -> Result<Shape> {
        let fail = |problem: String| Err(Error::graph(&self.name, problem));
        match &self.op {
            Op::Input { channels } if *channels != image[0] => fail(format!("takes {channels} channels, not {}", image[0])),
            Op::Input { .. } => Ok(image.to_vec()),
            Op::Conv(conv) => self.conv_shape(conv, inputs[0]),
            Op::MaxPool(pool) | Op::AvgPool(pool) => self.pool_shape(pool, inputs[0]),
            Op::BatchNorm { channels, .. } | Op::LayerNorm { channels, .. } | Op::LayerScale { channels, .. } => {
                self.check_channels(*channels, inputs[0])
            }
            Op::Affine { scale, .. } => self.check_channels(scale.len(), inputs[0]),
            Op::Act(_) => Ok(inputs[0].clone()),
            Op::Shuffle { groups } if !inputs[0][0].is_multiple_of(*groups) => {
                fail(format!("{} channels do not divide into {groups} groups", inputs[0][0]))
            }
            Op::Shuffle { .. } => Ok(inputs[0].clone()),
            Op::Add if inputs[0] != inputs[1] => fail(format!("cannot add {:?} and {:?}", inputs[0], inputs[1])),
            Op::Add => Ok(inputs[0].clone()),
            Op::Mul if inputs[1].as_slice() != [inputs[0][0], 1, 1] => fail(format!("cannot gate {:?} with {:?}", inputs[0], inputs[1])),
            Op::Mul => Ok(inputs[0].clone()),
            Op::Concat => self.concat_shape(inputs),
            Op::Slice { start, len } if start + len > inputs[0][0] => fail(format!("channels {start}..{} of {:?}", start + len, inputs[0])),
            Op::Slice { len, .. } => Ok([&[*len], &inputs[0][1..]].concat()),
            Op::AdaptiveAvgPool(to) => Ok(vec![as_map(self, inputs[0])?[0], to[0], to[1]]),
            Op::Flatten => Ok(vec![inputs[0].iter().product()]),
            Op::Linear { input, .. } if channels(inputs[0]) != *input => {
                let problem = format!("`{}` takes {input} features, not {:?}: it was made for another input size", self.name, inputs[0]);
                Err(Error::setting(problem, "leave out option `size`, or tap an earlier layer"))
            }
            Op::Linear { output, .. } => Ok(match inputs[0][..] {
                [tokens, _] => vec![tokens, *output],
                _ => [&[*output], &inputs[0][1..]].concat(),
            }),
            Op::Tokens(tokens) => self.tokens_shape(tokens, inputs[0], image),
            Op::Attention { heads } => match inputs[0][..] {
                [tokens, width] if width.is_multiple_of(3 * heads) => Ok(vec![tokens, width / 3]),
                _ => fail(format!("takes tokens of three times {heads} heads, not {:?}", inputs[0])),
            },
            Op::ClassToken => match inputs[0][..] {
                [_, width] => Ok(vec![width]),
                _ => fail(format!("takes tokens, not {:?}", inputs[0])),
            },
            Op::PatchMap => match (&inputs[0][..], as_map(self, inputs[1])?) {
                (&[tokens, width], [_, h, w]) if tokens == 1 + h * w => Ok(vec![width, h, w]),
                _ => fail(format!("{:?} are not the tokens of a map {:?}", inputs[0], inputs[1])),
            },
        }
    }

    fn tokens_shape(&self, tokens: &Tokens, input: &Shape, [_, height, width]: [usize; 3]) -> Result<Shape> {
        self.check_channels(tokens.channels, input)?;
        let map = as_map(self, input)?;
        let patch = tokens.patch;
        let Some(side) = [height, width].into_iter().find(|side| !side.is_multiple_of(patch)) else {
            return Ok(vec![1 + map[1] * map[2], tokens.channels]);
        };
        let below = side / patch * patch;
        let problem = format!("an input of {height}×{width} does not divide into patches of {patch}×{patch}");
        Err(Error::setting(problem, format!("the nearest sizes that do are {below} and {}: option `size={below}`", below + patch)))
    }

    fn check_channels(&self, wanted: usize, input: &Shape) -> Result<Shape> {
        match channels(input) {
            there if there == wanted => Ok(input.clone()),
            _ => Err(Error::graph(&self.name, format!("takes {wanted} channels, not {input:?}"))),
        }
    }

    fn too_small(&self, map: [usize; 3]) -> Error {
        let problem = format!(
            "the input is too small: at `{}` nothing but a map of {}×{} is left, smaller than the window",
            self.name, map[1], map[2]
        );
        Error::setting(problem, "give a larger option `size`, or leave it out for the backbone's own")
    }

    fn conv_shape(&self, conv: &Conv, input: &Shape) -> Result<Shape> {
        self.check_channels(conv.input, input)?;
        let map = as_map(self, input)?;
        let [h, w] = window_shape([map[1], map[2]], conv.padding, conv.kernel, conv.stride, false).ok_or_else(|| self.too_small(map))?;
        Ok(vec![conv.output, h, w])
    }

    fn pool_shape(&self, pool: &Pool, input: &Shape) -> Result<Shape> {
        let map = as_map(self, input)?;
        let [h, w] =
            window_shape([map[1], map[2]], pool.padding, pool.kernel, pool.stride, pool.ceil).ok_or_else(|| self.too_small(map))?;
        Ok(vec![map[0], h, w])
    }

    fn concat_shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let rest = &inputs[0][1..];
        if inputs.iter().any(|s| &s[1..] != rest) {
            return Err(Error::graph(&self.name, format!("cannot join {inputs:?} along channels")));
        }
        Ok([&[inputs.iter().map(|s| s[0]).sum()], rest].concat())
    }
}
