//! From a plan's steps to prepared kernels. The choice is a function of shape, instruction set and
//! dtype alone, never of a timing.

use std::ops::Range;

use rayon::prelude::*;

use super::bf16;
use super::dense::{Dense, DenseSpec};
use super::depthwise::Depthwise;
use super::epilogue::Epilogue;
use super::gather::{Flatten, Gather, Source};
use super::matrix::{self, Matrix};
use super::memory::{Map, Operand, Space, as_map};
use super::memory_plan::{MemoryPlan, is_planar, plan_memory};
use super::options::NativeOptions;
use super::pair::{Pair, Part};
use super::pointwise::{LayerNorm, Pass, Pointwise, by_block};
use super::pool::{Axis, Pooling, Reduce};
use super::rewrite::{Rewritten, rewrite};
use super::split::Split;
use super::stem::{self, Stem};
use super::step::Kernel;
use super::winograd::{self, Products};
use crate::graph::{Padding, Pool, Shape};
use crate::plan::{ConvShape, Layer, Plan, Step};
use crate::simd::{Amx, Isa, LANES};
use crate::{Error, Result};

/// A step with its kernel.
pub(super) struct Prepared {
    /// Module path.
    pub name: String,
    /// Shapes in and out, in words.
    pub shape: String,
    /// Floating-point operations of one image, counted as for a direct computation.
    pub flops: u64,
    /// Its kernel.
    pub kernel: Box<dyn Kernel>,
}

/// A plan ready to run: first image by image, then, from the step whose weights weigh more than its
/// map, all images together.
pub(super) struct Program {
    /// Steps that have work to do.
    pub steps: Vec<Prepared>,
    /// Number of them that run image by image.
    pub alone: usize,
    /// Place of the input.
    pub input: Operand,
    /// Places of the taps after the last step.
    pub taps: Vec<Operand>,
    /// Size of a worker's arena in floats.
    pub local: usize,
    /// Size of the arena of all workers in floats.
    pub shared: usize,
    /// Memory that all tasks of a step share, in floats; steps that work on one image have none.
    pub common: usize,
    /// Scratch memory of a task that works on one image, and of one that works on the batch, in
    /// floats.
    pub scratch: [usize; 2],
}

/// Instruction set and number formats of a plan.
#[derive(Clone, Copy)]
struct Computing {
    isa: Isa,
    /// The token for tiles, and the split of operands of products in them.
    tiles: Option<(Amx, Split)>,
    /// Whether maps and weights may be bf16 numbers as they are.
    packs: bool,
}

impl Computing {
    /// In delicate networks bf16 means two digits.
    fn new(plan: &Plan, NativeOptions { isa, bf16 }: NativeOptions) -> Computing {
        let tiles = isa.amx().map(|amx| (amx, if bf16 { Split::Two } else { Split::Three }));
        Computing { isa, tiles, packs: bf16 && tiles.is_some() && !plan.is_delicate }
    }

    /// The same for an image's first convolution.
    fn stem(self) -> Option<(Amx, Split)> {
        self.tiles.map(|(amx, split)| (amx, if self.packs { Split::One } else { split }))
    }
}

/// Chooses and packs every kernel of a plan.
///
/// # Errors
/// A transformer; a plan that contradicts itself.
pub(super) fn compile(plan: &Plan, options: NativeOptions, batch: usize) -> Result<Program> {
    if let Some(step) = plan.steps.iter().find(|step| step.layer.is_of_tokens()) {
        return Err(no_transformer(step));
    }
    let options = Computing::new(plan, options);
    let all = rewrite(plan, |first, second| is_pair(first, second, &plan.shapes[first.output], options));
    let plan = &all.plan;
    let split = plan.steps.iter().position(|step| weighs_more_than_its_map(plan, step, options)).unwrap_or(plan.steps.len());
    let MemoryPlan { operands, done, local, shared } = plan_memory(&all, &packed(&all, options), split, batch);
    let alone = done[..split].iter().filter(|&&done| !done).count();
    let prepared = |i: usize| {
        let (step, within) = (&plan.steps[i], all.within[i].as_ref());
        let shape = format!("{:?} → {:?}", plan.shapes[step.inputs[0]], plan.shapes[step.output]);
        let flops = [Some(step), within].into_iter().flatten().map(|step| flops(step, &plan.shapes[step.output])).sum();
        let (name, kernel) = match within {
            Some(first) => (&first.name, pair(first, step, &plan.shapes[first.output], options, &operands)?),
            None => (&step.name, prepare(step, all.channels[i].as_deref(), options, &operands)?),
        };
        Ok(Prepared { name: name.clone(), shape, flops, kernel })
    };
    let steps = (0..plan.steps.len()).into_par_iter().filter(|&i| !done[i]).map(prepared).collect::<Result<Vec<_>>>()?;
    let most = |steps: &[Prepared], images: usize| steps.iter().map(|s| s.kernel.scratch(images)).max().unwrap_or(0);
    let scratch = [most(&steps[..alone], 1), most(&steps[alone..], batch)];
    let common = steps[alone..].iter().map(|s| s.kernel.common(batch)).max().unwrap_or(0);
    let taps = plan.taps.iter().map(|&v| operands[v]).collect();
    Ok(Program { steps, alone, input: operands[0], taps, local, shared, common, scratch })
}

/// Whether each value lies in memory as bf16 numbers.
fn packed(all: &Rewritten, options: Computing) -> Vec<bool> {
    let planar = is_planar(all);
    let size = |plan: &Plan, step: &Step| {
        let [_, height, width] = as_map(&plan.shapes[step.output]);
        [height, width]
    };
    let convolves = |plan: &Plan, step: &Step| match &step.layer {
        Layer::Conv { conv, .. } => matches!(strategy(conv, size(plan, step), options), Strategy::Bf16(_)),
        _ => false,
    };
    let begins = |plan: &Plan, step: &Step| match &step.layer {
        Layer::Conv { conv, .. } if planar && step.inputs == [0] => is_stem(conv, size(plan, step), options),
        _ => false,
    };
    bf16::packed(all, convolves, |plan, step| options.packs && begins(plan, step))
}

/// Whether a step's weights are rounded to bf16.
pub fn rounds_weights(plan: &Plan, step: &Step, options: NativeOptions) -> bool {
    let options = Computing::new(plan, options);
    let [_, height, width] = as_map(&plan.shapes[step.output]);
    let Layer::Conv { conv, .. } = &step.layer else { return false };
    let first = step.inputs == [0] && is_stem(conv, [height, width], options);
    options.packs && (first || matches!(strategy(conv, [height, width], options), Strategy::Bf16(_)))
}

/// Whether a convolution of a planar image is computed in tiles.
fn is_stem(conv: &ConvShape, output: [usize; 2], options: Computing) -> bool {
    let worthwhile = options.stem().is_some_and(|(_, parts)| stem::worthwhile(conv, parts, output));
    worthwhile && matches!(strategy(conv, output, options), Strategy::Direct)
}

/// Operations of one image, counted as for a direct computation.
fn flops(step: &Step, output: &Shape) -> u64 {
    match &step.layer {
        Layer::Conv { weight, .. } | Layer::Linear { weight, .. } => {
            (2 * weight.len() * as_map(output)[1..].iter().product::<usize>()) as u64
        }
        _ => 0,
    }
}

/// Whether two steps are computed in turn, some channels at a time: the map between them is larger
/// than a core's cache, and the second works channel by channel.
fn is_pair(first: &Step, second: &Step, between: &Shape, options: Computing) -> bool {
    const MAP: usize = 1 << 20;
    let [channels, height, width] = as_map(between);
    let (Layer::Conv { conv, residual: false, .. }, true) = (&first.layer, channels * height * width * size_of::<f32>() > MAP) else {
        return false;
    };
    let by_channel = match &second.layer {
        Layer::Conv { conv, residual, .. } => conv.is_depthwise() && !residual,
        Layer::MaxPool(_) | Layer::AvgPool(_) => true,
        _ => false,
    };
    by_channel
        && conv.groups == 1
        && !is_stem(conv, [height, width], options)
        && matches!(strategy(conv, [height, width], options), Strategy::Direct)
}

/// Two steps in turn: as many blocks at a time as stay in a core's cache, at most two.
fn pair(first: &Step, second: &Step, between: &Shape, options: Computing, operands: &[Operand]) -> Result<Box<dyn Kernel>> {
    const MAP: usize = 1 << 20;
    let (input, output) = (operands[first.inputs[0]], operands[second.output]);
    let halo = if let Layer::Conv { conv, .. } = &second.layer { conv.padding } else { [0; 4] };
    let map = Map::blocked(as_map(between), halo);
    let blocks = (MAP / (map.block * size_of::<f32>())).clamp(1, 2);
    let part = |block: usize| {
        let channels = block * LANES..((block + blocks) * LANES).min(map.channels);
        let count = channels.len();
        let between = Operand { map: Map { channels: count, ..map }, space: Space::Scratch, offset: 0, image: 0 };
        let places = [input, between, output.part(block, count)];
        let [first, second] = [(first, 0), (second, 1)].map(|(step, input)| Step {
            name: step.name.clone(),
            layer: part_of(&step.layer, &channels),
            inputs: vec![input],
            output: input + 1,
        });
        let Layer::Conv { conv, weight, bias, act, .. } = &first.layer else {
            return Err(Error::internal(format!("the step `{}` was paired as a convolution and is none", first.name)));
        };
        let spec = DenseSpec { conv: *conv, weight, bias, input, output: between, epilogue: Epilogue::new(None, *act) };
        let kernels = [Box::new(Dense::new(options.isa, spec)) as Box<dyn Kernel>, prepare(&second, None, options, &places)?];
        Ok(Part { kernels, between })
    };
    Ok(Box::new(Pair::new(output, (0..map.blocks()).step_by(blocks).map(part).collect::<Result<_>>()?)))
}

/// A layer for some of its output channels; of a depthwise convolution or a pool, for those of its
/// input.
fn part_of(layer: &Layer, channels: &Range<usize>) -> Layer {
    match layer {
        Layer::Conv { conv, weight, bias, residual, act } => {
            let each = weight.len() / conv.output;
            let mut conv = ConvShape { output: channels.len(), ..*conv };
            if conv.groups > 1 {
                (conv.input, conv.groups) = (channels.len(), channels.len());
            }
            let weight = weight[channels.start * each..channels.end * each].into();
            Layer::Conv { conv, weight, bias: bias[channels.clone()].into(), residual: *residual, act: *act }
        }
        other => other.clone(),
    }
}

/// Whether a step's weights take longer to come from memory than a fifth of its arithmetic on one
/// image: then all images of the batch should use them while they are there. Assumes 12 operations
/// of vectors, 48, 96 or 288 of tiles, in the time of a byte.
fn weighs_more_than_its_map(plan: &Plan, step: &Step, options: Computing) -> bool {
    const IN_CACHE: usize = 1 << 20;
    let [_, height, width] = as_map(&plan.shapes[step.output]);
    let cost = |digits: Option<Split>| match digits {
        None => (size_of::<f32>(), 12),
        Some(Split::Three) => (3, 48),
        Some(Split::Two) => (2, 96),
        Some(Split::One) => (2, 288),
    };
    let (weights, pixels, (bytes, rate)) = match &step.layer {
        Layer::Conv { conv, weight, .. } => match strategy(conv, [height, width], options) {
            Strategy::Winograd(side, products) => {
                let digits = matches!(products, Products::Tiles(_)).then_some(winograd::DIGITS);
                (weight.len() / 9 * winograd::points(side), winograd::tiles(side, [height, width]), cost(digits))
            }
            Strategy::Matrix(_, digits) => (weight.len(), height * width, cost(Some(digits))),
            Strategy::Bf16(_) => (weight.len(), height * width, cost(Some(Split::One))),
            _ => (weight.len(), height * width, cost(None)),
        },
        Layer::Linear { weight, .. } => (weight.len(), 1, cost(None)),
        _ => return false,
    };
    // Each weight is used once a pixel (or tile), for two operations.
    weights * bytes > IN_CACHE && bytes * rate * 5 > 2 * pixels
}

/// The algorithm of a convolution.
enum Strategy {
    Depthwise,
    Winograd(usize, Products),
    Matrix(Amx, Split),
    Bf16(Amx),
    Direct,
}

fn strategy(conv: &ConvShape, output: [usize; 2], options: Computing) -> Strategy {
    if let Some((amx, _)) = options.tiles
        && options.packs
        && bf16::fits(conv, output)
        && winograd::best_beside_tiles(amx, conv, output).is_none_or(|way| bf16::cost(conv) <= way.0)
    {
        return Strategy::Bf16(amx);
    }
    let in_tiles = options.tiles.filter(|&(_, digits)| matrix::worthwhile(conv, digits, output));
    let winograd = if let Some((amx, _)) = options.tiles {
        let otherwise = in_tiles.map_or(matrix::direct(conv), |(_, digits)| matrix::cost(conv, digits));
        winograd::best_beside_tiles(amx, conv, output).filter(|way| way.0 < otherwise).map(|(_, side, products)| (side, products))
    } else {
        winograd::worthwhile(conv, output).map(|side| (side, Products::Vectors))
    };
    match (winograd, in_tiles) {
        _ if conv.is_depthwise() => Strategy::Depthwise,
        (Some((side, products)), _) => Strategy::Winograd(side, products),
        (None, Some((amx, digits))) => Strategy::Matrix(amx, digits),
        (None, None) => Strategy::Direct,
    }
}

fn prepare(step: &Step, channels: Option<&[Source]>, options: Computing, operands: &[Operand]) -> Result<Box<dyn Kernel>> {
    let isa = options.isa;
    let inputs: Vec<Operand> = step.inputs.iter().map(|&v| operands[v]).collect();
    let (input, output) = (inputs[0], operands[step.output]);
    let second = || inputs.get(1).copied().ok_or_else(|| Error::graph(&step.name, "lacks its second input"));
    Ok(match &step.layer {
        Layer::Conv { conv, weight, bias, residual, act } => {
            let epilogue = Epilogue::new(residual.then(second).transpose()?, *act);
            let spec = DenseSpec { conv: *conv, weight, bias, input, output, epilogue };
            let size = [output.map.height, output.map.width];
            let stem = options.stem().filter(|_| input.map.lane == 1 && is_stem(conv, size, options));
            match strategy(conv, size, options) {
                Strategy::Depthwise => Box::new(Depthwise::new(isa, conv, weight, bias, input, output, epilogue)),
                Strategy::Winograd(side, products) => winograd::prepare(isa, side, products, spec),
                Strategy::Matrix(amx, digits) => Box::new(Matrix::new(amx, digits, spec)),
                Strategy::Bf16(amx) => Box::new(bf16::Conv::new(amx, spec)),
                Strategy::Direct => match stem {
                    Some((amx, parts)) => Box::new(Stem::new(amx, parts, spec)),
                    None => Box::new(Dense::new(isa, spec)),
                },
            }
        }
        Layer::Linear { input: from, output: to, weight, bias, residual, act } => {
            let epilogue = Epilogue::new(residual.then(second).transpose()?, *act);
            let conv = ConvShape { input: *from, output: *to, kernel: [1, 1], stride: [1, 1], padding: [0; 4], groups: 1 };
            Box::new(Dense::new(isa, DenseSpec { conv, weight, bias, input, output, epilogue }))
        }
        Layer::Affine { scale, shift, act } => {
            let pass = Pass::Channels { scale: by_block(scale), shift: by_block(shift) };
            Box::new(Pointwise::new(isa, pass, *act, input, output))
        }
        Layer::Add { act } => Box::new(Pointwise::new(isa, Pass::Add(second()?), *act, input, output)),
        Layer::Mul => Box::new(Pointwise::new(isa, Pass::Gate(second()?), None, input, output)),
        Layer::Act(act) => Box::new(Pointwise::new(isa, Pass::Copy, Some(*act), input, output)),
        Layer::LayerNorm { weight, bias, eps } => Box::new(LayerNorm::new(isa, weight, bias, *eps, input, output)),
        Layer::MaxPool(pool) => sliding(isa, Reduce::Max, pool, input, output, &step.name)?,
        Layer::AvgPool(pool) => sliding(isa, Reduce::Mean, pool, input, output, &step.name)?,
        Layer::GlobalAvgPool | Layer::AdaptiveAvgPool(_) => Box::new(Pooling::adaptive(isa, input, output)),
        Layer::Concat | Layer::Slice { .. } | Layer::Shuffle { .. } => Box::new(Gather::new(inputs, output, channels.unwrap_or_default())),
        Layer::Flatten => Box::new(Flatten::new(input, output)),
        Layer::Tokens { .. } | Layer::Attention { .. } | Layer::ClassToken | Layer::PatchMap => return Err(no_transformer(step)),
    })
}

fn no_transformer(step: &Step) -> Error {
    Error::graph(&step.name, "belongs to a transformer: these run on the candle engine")
}

fn sliding(isa: Isa, reduce: Reduce, pool: &Pool, input: Operand, output: Operand, name: &str) -> Result<Box<dyn Kernel>> {
    let Padding::Explicit([top, bottom, left, right]) = pool.padding else {
        return Err(Error::graph(name, "its padding was not resolved by the plan"));
    };
    let axes = [
        Axis { kernel: pool.kernel[0], stride: pool.stride[0], padding: [top, bottom] },
        Axis { kernel: pool.kernel[1], stride: pool.stride[1], padding: [left, right] },
    ];
    Ok(Box::new(Pooling::sliding(isa, reduce, axes, pool.count_padding, input, output)))
}
