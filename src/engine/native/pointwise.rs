//! Kernels that take one pass over a map: sums, gates, channel maps, activations on their own,
//! layer norm.
//!
//! *Layout*: blocked maps; bound by memory. A task is one block of one image (for layer norm, one
//! image).

use super::epilogue::{Activate, Epilogue};
use super::memory::{Operand, Unit};
use super::step::Kernel;
use crate::graph::Act;
use crate::simd::{Isa, LANES, Line, Simd, Vectorized, dispatch, zeroed_lines};

/// The computation of a pass on its input x.
pub(super) enum Pass {
    /// x + the second input
    Add(Operand),
    /// x · the second input, `[C, 1, 1]`
    Gate(Operand),
    /// x · scale + shift
    Channels {
        /// Scale of each channel, a line a block.
        scale: Vec<Line>,
        /// Shift of each channel.
        shift: Vec<Line>,
    },
    /// x
    Copy,
}

/// A prepared pass with a clamp or activation at its end.
pub(super) struct Pointwise {
    isa: Isa,
    input: Operand,
    output: Operand,
    pass: Pass,
    epilogue: Epilogue,
}

/// One value a channel as a line a block.
pub(super) fn by_block(values: &[f32]) -> Vec<Line> {
    let mut lines = zeroed_lines(values.len());
    crate::simd::floats_mut(&mut lines)[..values.len()].copy_from_slice(values);
    lines
}

impl Pointwise {
    /// A pass over `input`.
    pub(super) fn new(isa: Isa, pass: Pass, act: Option<Act>, input: Operand, output: Operand) -> Pointwise {
        Pointwise { isa, input, output, pass, epilogue: Epilogue::new(None, act) }
    }
}

struct Block<'a> {
    kernel: &'a Pointwise,
    block: usize,
    input: &'a [f32],
    other: Option<&'a [f32]>,
    output: &'a mut [f32],
}

impl Vectorized for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pointwise { input, output, pass, epilogue, .. } = self.kernel;
        let [low, high] = epilogue.bounds.map(|b| s.splat(b));
        // SAFETY: the slice was cut to sixteen values.
        let line = |from: &[f32]| unsafe { s.load(from[..LANES].as_ptr()) };
        let (scale, shift) = match (pass, self.other) {
            (Pass::Channels { scale, shift }, _) => (line(&scale[self.block].0), line(&shift[self.block].0)),
            (Pass::Gate(gate), Some(other)) => (line(&other[gate.map.at(self.block, 0, 0)..]), s.splat(0.0)),
            _ => (s.splat(1.0), s.splat(0.0)),
        };
        for y in 0..output.map.height {
            let from = &self.input[input.map.at(self.block, y, 0)..][..output.map.width * LANES];
            let to = &mut self.output[output.map.at(0, y, 0)..][..output.map.width * LANES];
            let added = match (pass, self.other) {
                (Pass::Add(second), Some(other)) => Some(&other[second.map.at(self.block, y, 0)..][..from.len()]),
                _ => None,
            };
            for (i, (to, from)) in to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)).enumerate() {
                let x = match added {
                    Some(added) => s.add(line(from), line(&added[i * LANES..])),
                    None => s.fma(line(from), scale, shift),
                };
                // SAFETY: `to` is a slice of sixteen values.
                unsafe { s.store(to.as_mut_ptr(), s.min(high, s.max(low, x))) };
            }
            if let Some(act) = epilogue.act {
                s.vectorize(Activate { values: to.as_mut_ptr(), lines: output.map.width, act });
            }
        }
    }
}

impl Kernel for Pointwise {
    fn label(&self) -> &str {
        match self.pass {
            Pass::Add(_) => "add",
            Pass::Gate(_) => "gate",
            Pass::Channels { .. } => "channel map",
            Pass::Copy => "activation",
        }
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.output.map.blocks()
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        let blocks = self.output.map.blocks();
        let (block, image) = (task % blocks, task / blocks);
        let second = match &self.pass {
            Pass::Add(other) | Pass::Gate(other) => Some(other),
            _ => None,
        };
        // SAFETY: the steps that write to the inputs are complete, and each task has an output
        // block of its own.
        let (input, other, output) =
            unsafe { (unit.read(&self.input, image), second.map(|o| unit.read(o, image)), unit.write(&self.output, image, block)) };
        dispatch(self.isa, Block { kernel: self, block, input, other, output });
    }
}

/// Layer norm over the channels of each pixel.
pub(super) struct LayerNorm {
    isa: Isa,
    input: Operand,
    output: Operand,
    weight: Vec<Line>,
    bias: Vec<Line>,
    /// Ones on the last block's channels, zeros on the lanes behind them.
    last: Line,
    eps: f32,
}

impl LayerNorm {
    /// `weight` and `bias` hold one value a channel.
    pub(super) fn new(isa: Isa, weight: &[f32], bias: &[f32], eps: f64, input: Operand, output: Operand) -> LayerNorm {
        let behind = input.map.blocks() * LANES - input.map.channels;
        let last = Line(std::array::from_fn(|i| if i < LANES - behind { 1.0 } else { 0.0 }));
        LayerNorm { isa, input, output, weight: by_block(weight), bias: by_block(bias), last, eps: eps as f32 }
    }
}

struct Pixel<'a> {
    kernel: &'a LayerNorm,
    input: *const f32,
    output: *mut f32,
}

#[inline(always)]
fn lanes_sum<S: Simd>(s: S, v: S::V) -> f32 {
    let mut lanes = [0.0; LANES];
    // SAFETY: `lanes` holds sixteen values.
    unsafe { s.store(lanes.as_mut_ptr(), v) };
    lanes.iter().sum()
}

impl Vectorized for Pixel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LayerNorm { input, output, weight, bias, last, eps, .. } = self.kernel;
        let blocks = input.map.blocks();
        // SAFETY: both pointers are pixels of maps inside the arena, each block a block's distance
        // behind the one before.
        unsafe {
            let inside = |b: usize| s.load(if b + 1 == blocks { last.0.as_ptr() } else { [1.0; LANES].as_ptr() });
            let load = |b: usize| s.load(self.input.add(b * input.map.block));
            let mut sum = s.splat(0.0);
            for b in 0..blocks {
                sum = s.fma(load(b), inside(b), sum);
            }
            let mean = s.splat(lanes_sum(s, sum) / input.map.channels as f32);
            let mut squares = s.splat(0.0);
            for b in 0..blocks {
                let d = s.mul(s.sub(load(b), mean), inside(b));
                squares = s.fma(d, d, squares);
            }
            let scale = s.splat(1.0 / (lanes_sum(s, squares) / input.map.channels as f32 + eps).sqrt());
            for b in 0..blocks {
                let (w, t) = (s.load(weight[b].0.as_ptr()), s.load(bias[b].0.as_ptr()));
                s.store(self.output.add(b * output.map.block), s.fma(s.mul(s.sub(load(b), mean), scale), w, t));
            }
        }
    }
}

impl Kernel for LayerNorm {
    fn label(&self) -> &str {
        "layer norm"
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.output.map.height
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        let (y, image) = (task % self.output.map.height, task / self.output.map.height);
        for x in 0..self.output.map.width {
            let input = unit.at(&self.input, image).wrapping_add(self.input.map.at(0, y, x)).cast_const();
            let output = unit.at(&self.output, image).wrapping_add(self.output.map.at(0, y, x));
            dispatch(self.isa, Pixel { kernel: self, input, output });
        }
    }
}
