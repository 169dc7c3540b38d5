//! From a plan's steps to calls: which library or kernel does what, and where everything lies.
//!
//! | step | done by |
//! |---|---|
//! | convolution 1×1, stride 1; fully connected | cuBLAS, with bias, residual and ReLU in its epilogue |
//! | depthwise convolution | a kernel of our own, with all that follows |
//! | any other convolution | cuDNN, with bias, residual and ReLU fused where it takes them |
//! | everything else, and the endings that the libraries' epilogues lack | kernels of our own |

use super::exact::exact;
use super::map::Map;
use super::memory::Memory;
use super::program::{Call, Convolution, Element, Finish, Kernel, Numbers, Place, Product, Program, Space, Tap, Variant};
use crate::graph::{Act, Padding, Pool};
use crate::plan::{ConvShape, Layer, Plan, Step, ValueId};
use crate::{Error, Result};

/// Channels that a thread makes at once where their number allows.
const LANES: usize = 8;
/// Pixels that one thread sums of a large map.
const STRETCH: usize = 64;

/// Compiles a plan for batches of `images` images.
///
/// # Errors
/// A transformer; more images than one map can hold (reported as a lack of memory).
pub(super) fn compile(plan: &Plan, element: Element, images: usize) -> Result<Program> {
    if let Some(step) = plan.steps.iter().find(|step| step.layer.is_of_tokens()) {
        return Err(Error::graph(&step.name, "belongs to a transformer: these run on the candle engine"));
    }
    let mut lowering = Lowering::new(plan, element, images)?;
    let (pixels, planes) = lowering.entries();
    lowering.tap(0);
    for (i, step) in plan.steps.iter().enumerate() {
        lowering.memory.step = i + 1;
        lowering.step(step)?;
        lowering.tap(step.output);
    }
    let Lowering { memory, mut calls, taps, features, .. } = lowering;
    let (offsets, arena) = memory.arrange();
    calls.iter_mut().for_each(|call| call.assign_offsets(&offsets));
    let entry = |kernel: Kernel| {
        let mut call = Call::Kernel(kernel);
        call.assign_offsets(&offsets);
        if let Call::Kernel(kernel) = call { kernel } else { kernel }
    };
    let input = [0, 1, 2].map(|i| plan.input_shape()[i]);
    Ok(Program {
        images,
        element,
        input,
        pixels: entry(pixels),
        planes: entry(planes),
        calls,
        constants: memory.constants,
        arena,
        features,
        taps,
    })
}

struct Lowering<'a> {
    plan: &'a Plan,
    element: Element,
    images: usize,
    maps: Vec<Map>,
    /// The numbers of each value.
    elements: Vec<Element>,
    /// The storage of each value: a flattened pixel is the pixel itself.
    storage: Vec<usize>,
    memory: Memory,
    calls: Vec<Call>,
    taps: Vec<Tap>,
    features: usize,
}

impl<'a> Lowering<'a> {
    fn new(plan: &'a Plan, element: Element, images: usize) -> Result<Lowering<'a>> {
        let mut maps: Vec<Map> = plan.shapes.iter().map(|shape| Map::of(shape)).collect();
        // Tensor cores want channels by eights: an image gets five of zeros where only convolutions
        // read it.
        let padded = |step: &Step| matches!(&step.layer, Layer::Conv { conv, .. } if conv.groups == 1);
        if element != Element::F32 && plan.shapes[0].len() == 3 && plan.steps.iter().all(|s| !s.inputs.contains(&0) || padded(s)) {
            maps[0].stored = maps[0].channels.next_multiple_of(LANES);
        }
        let elements: Vec<Element> = exact(plan, &maps).into_iter().map(|exact| if exact { Element::F32 } else { element }).collect();
        let largest = maps.iter().map(|m| images * m.pixels() * m.stored).max().unwrap_or(0);
        if largest >= 1 << 31 {
            return Err(Error::out_of_memory("cuda", "planning")(format!("{images} images make a map of {largest} values")));
        }
        let mut last: Vec<usize> = (0..maps.len()).collect();
        plan.last_reads().iter().enumerate().filter_map(|(v, read)| read.map(|step| (v, step + 1))).for_each(|(v, step)| last[v] = step);
        let mut memory = Memory::new();
        let mut storage: Vec<usize> = vec![];
        for (value, map) in maps.iter().enumerate() {
            let step = value.checked_sub(1).map(|i| &plan.steps[i]);
            let same = step.filter(|s| matches!(s.layer, Layer::Flatten) && maps[s.inputs[0]].pixels() == 1 && s.inputs[0] != 0);
            storage.push(match same {
                Some(step) => {
                    memory.live_on(storage[step.inputs[0]], last[value]);
                    storage[step.inputs[0]]
                }
                None => memory.storage(images * map.pixels() * map.stored * elements[value].size(), [value, last[value]]),
            });
        }
        let taps = plan.taps.iter().map(|_| Tap { at: 0, length: 0 }).collect();
        Ok(Lowering { plan, element, images, maps, elements, storage, memory, calls: vec![], taps, features: 0 })
    }

    fn place(&self, value: ValueId) -> Place {
        Place { space: Space::Arena, at: self.storage[value] }
    }

    /// The two ways into the network.
    fn entries(&self) -> (Kernel, Kernel) {
        let map = self.maps[0];
        let mut numbers = self.numbers(self.images * map.pixels(), &[map.stored, map.channels, map.pixels()]);
        let input = Place { space: Space::Input, at: 0 };
        let normalise = Place { space: Space::Normalise, at: 0 };
        let variant = Variant { element: self.element, wide: false };
        let kernel = |name, p, numbers| Kernel { name, variant, y: self.place(0), x: input, z: None, p, q: None, numbers };
        let planes = kernel("planes", None, numbers);
        (numbers.n[1], numbers.n[2]) = (0, 0);
        (kernel("pixels", Some(normalise), numbers), planes)
    }

    fn numbers(&self, count: usize, extents: &[usize]) -> Numbers {
        let mut numbers = Numbers { count: count as u32, ..Numbers::default() };
        numbers.n.iter_mut().zip(extents).for_each(|(n, &e)| *n = e as i32);
        numbers
    }

    fn launch(&mut self, name: &'static str, variant: Variant, [x, y]: [Place; 2], numbers: Numbers) -> &mut Kernel {
        self.calls.push(Call::Kernel(Kernel { name, variant, y, x, z: None, p: None, q: None, numbers }));
        match self.calls.last_mut() {
            Some(Call::Kernel(kernel)) => kernel,
            _ => unreachable!("a kernel was pushed"),
        }
    }

    /// Copies a value out as soon as it is computed, if it is a tap.
    fn tap(&mut self, value: ValueId) {
        for tap in (0..self.taps.len()).filter(|&t| self.plan.taps[t] == value) {
            let map = self.maps[value];
            let length = map.channels * map.pixels();
            self.taps[tap] = Tap { at: self.features, length };
            let numbers = self.numbers(self.images * length, &[map.channels, map.pixels(), map.stored]);
            let y = Place { space: Space::Features, at: self.features };
            let variant = Variant { element: self.elements[value], wide: false };
            self.launch("features", variant, [self.place(value), y], numbers);
            self.features += (self.images * length * size_of::<f32>()).next_multiple_of(256);
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let (input, output) = (step.inputs[0], step.output);
        let (from, to) = (self.maps[input], self.maps[output]);
        let [x, y] = [self.place(input), self.place(output)];
        let second = || step.inputs.get(1).copied().ok_or_else(|| Error::graph(&step.name, "lacks its second input"));
        let variant = Variant { element: self.elements[output], wide: wide(&[from.stored, to.stored]) };
        let narrow = Variant { wide: false, ..variant };
        let packs = |channels: usize| if variant.wide { channels / LANES } else { channels };
        let all = self.images * to.pixels() * packs(to.stored);
        match &step.layer {
            Layer::Conv { conv, weight, bias, residual, act } => {
                let residual = residual.then(second).transpose()?.map(|v| self.place(v));
                self.convolution(conv, [weight, bias], residual, *act, [input, output]);
            }
            Layer::Linear { weight, bias, residual, act, .. } => {
                let residual = residual.then(second).transpose()?.map(|v| self.place(v));
                self.product([weight, bias], residual, *act, [input, output]);
            }
            Layer::Affine { scale, shift, act } => {
                let (q, p) = (self.memory.floats(scale), self.memory.floats(shift));
                let numbers = self.numbers(all, &[packs(to.stored), activation(*act)]);
                let kernel = self.launch("finish", variant, [x, y], numbers);
                (kernel.p, kernel.q) = (Some(p), Some(q));
            }
            Layer::Add { act } => {
                let (z, numbers) = (self.place(second()?), self.numbers(all, &[packs(to.stored), activation(*act)]));
                self.launch("finish", variant, [x, y], numbers).z = Some(z);
            }
            Layer::Act(act) => {
                let numbers = self.numbers(all, &[packs(to.stored), activation(Some(*act))]);
                self.launch("finish", variant, [x, y], numbers);
            }
            Layer::Mul => {
                let (z, is_f32) = (self.place(second()?), self.elements[second()?] == Element::F32);
                let numbers = self.numbers(all, &[packs(to.stored), to.pixels(), usize::from(is_f32)]);
                self.launch("gate", variant, [x, y], numbers).z = Some(z);
            }
            Layer::LayerNorm { weight, bias, eps } => {
                let pixels = self.images * to.pixels();
                let (p, q) = (self.memory.floats(weight), self.memory.floats(bias));
                let moments = self.memory.scratch(pixels * 2 * size_of::<f32>());
                let numbers = Numbers { f: *eps as f32, ..self.numbers(pixels, &[packs(to.stored)]) };
                self.launch("moments", variant, [x, moments], numbers);
                let numbers = self.numbers(all, &[packs(to.stored)]);
                let kernel = self.launch("layer_norm", variant, [x, y], numbers);
                (kernel.z, kernel.p, kernel.q) = (Some(moments), Some(p), Some(q));
            }
            Layer::MaxPool(pool) => {
                let numbers = self.numbers(all, &window(pool_shape(pool, &step.name)?, [packs(to.stored), 0], [from, to]));
                self.launch("pool", variant, [x, y], numbers);
            }
            Layer::AvgPool(pool) => {
                let kind = if pool.count_padding { 2 } else { 1 };
                let numbers = self.numbers(all, &window(pool_shape(pool, &step.name)?, [packs(to.stored), kind], [from, to]));
                self.launch("pool", variant, [x, y], numbers);
            }
            Layer::GlobalAvgPool | Layer::AdaptiveAvgPool(_)
                if to.pixels() == 1 && (from.pixels() > STRETCH || self.elements[input] != variant.element) =>
            {
                self.mean(variant, self.elements[input], from, [x, y]);
            }
            Layer::GlobalAvgPool | Layer::AdaptiveAvgPool(_) => {
                let numbers = self.numbers(all, &[packs(to.stored), from.rows, from.columns, to.rows, to.columns]);
                self.launch("adaptive", variant, [x, y], numbers);
            }
            Layer::Concat => self.concat(&step.inputs, output),
            Layer::Slice { start, len } => self.part(variant.element, [x, y], to.pixels(), *len, [0, to.stored], [*start, from.stored]),
            Layer::Shuffle { groups } => {
                let numbers = self.numbers(self.images * to.pixels() * to.stored, &[to.stored, *groups]);
                self.launch("shuffle", narrow, [x, y], numbers);
            }
            Layer::Flatten if self.storage[input] == self.storage[output] => {}
            Layer::Flatten => {
                let numbers = self.numbers(self.images * to.channels, &[from.channels, from.pixels(), from.stored]);
                self.launch("flatten", narrow, [x, y], numbers);
            }
            Layer::Tokens { .. } | Layer::Attention { .. } | Layer::ClassToken | Layer::PatchMap => {
                return Err(Error::graph(&step.name, "belongs to a transformer"));
            }
        }
        Ok(())
    }

    /// The mean of a large map in two steps, so that there is work for many threads.
    fn mean(&mut self, total: Variant, of: Element, from: Map, [x, y]: [Place; 2]) {
        let packs = if total.wide { from.stored / LANES } else { from.stored };
        let stretches = from.pixels().div_ceil(STRETCH);
        let sums = self.memory.scratch(self.images * stretches * from.stored * size_of::<f32>());
        let numbers = self.numbers(self.images * stretches * packs, &[packs, from.pixels(), stretches, STRETCH]);
        self.launch("partial", Variant { element: of, ..total }, [x, sums], numbers);
        let numbers = Numbers { f: 1.0 / from.pixels() as f32, ..self.numbers(self.images * packs, &[packs, stretches]) };
        self.launch("total", total, [sums, y], numbers);
    }

    fn concat(&mut self, inputs: &[ValueId], output: ValueId) {
        let to = self.maps[output];
        let mut first = 0;
        for &input in inputs {
            let channels = self.maps[input].channels;
            let places = [self.place(input), self.place(output)];
            self.part(self.elements[output], places, to.pixels(), channels, [first, to.stored], [0, self.maps[input].stored]);
            first += channels;
        }
    }

    /// Copies `count` channels of each pixel; for either map the first of them and how many a pixel
    /// has.
    fn part(
        &mut self,
        element: Element,
        places: [Place; 2],
        pixels: usize,
        count: usize,
        [to, to_stored]: [usize; 2],
        [from, from_stored]: [usize; 2],
    ) {
        let wide = wide(&[count, to, to_stored, from, from_stored]);
        let packs = |channels: usize| if wide { channels / LANES } else { channels };
        let extents = [count, to_stored, to, from_stored, from].map(packs);
        let numbers = self.numbers(self.images * pixels * packs(count), &extents);
        self.launch("channels", Variant { element, wide }, places, numbers);
    }

    fn convolution(
        &mut self,
        conv: &ConvShape,
        [weight, bias]: [&[f32]; 2],
        residual: Option<Place>,
        act: Option<Act>,
        values: [ValueId; 2],
    ) {
        let [from, to] = values.map(|v| self.maps[v]);
        let [mut x, y] = values.map(|v| self.place(v));
        let element = self.elements[values[1]];
        if conv.groups == 1 && conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.padding == [0; 4] && from.stored == from.channels {
            return self.product([weight, bias], residual, act, values);
        }
        let wide = wide(&[to.stored]);
        let packs = if wide { to.stored / LANES } else { to.stored };
        if conv.is_depthwise() {
            let (p, q) = (self.memory.floats(&channels_last(weight, conv.output)), self.memory.floats(bias));
            let shape = Window { kernel: conv.kernel, stride: conv.stride, padding: conv.padding };
            let numbers = self.numbers(self.images * to.pixels() * packs, &window(shape, [packs, activation(act)], [from, to]));
            let kernel = self.launch("depthwise", Variant { element, wide }, [x, y], numbers);
            (kernel.z, kernel.p, kernel.q) = (residual, Some(p), Some(q));
            return;
        }
        let [top, bottom, left, right] = conv.padding;
        let (mut rows, mut columns, mut padding) = (from.rows, from.columns, [top, left]);
        if top != bottom || left != right {
            (x, rows, columns) = self.surround(element, from, conv.padding, x);
            padding = [0, 0];
        }
        let per_group = conv.input / conv.groups;
        let room = if conv.groups == 1 { from.stored } else { per_group };
        let weight = self.memory.elements(element, &by_output(weight, conv.output, per_group, room));
        let finish = self.finish(bias, residual, act, values[1], y);
        let convolution = Convolution {
            element,
            images: self.images,
            from: [room * conv.groups, rows, columns],
            to: [to.channels, to.rows, to.columns],
            kernel: conv.kernel,
            stride: conv.stride,
            padding,
            groups: conv.groups,
            x,
            weight,
            y,
        };
        self.calls.push(Call::Convolution(convolution, finish));
    }

    /// Puts zeros around a map; the result's place, rows and columns.
    fn surround(&mut self, element: Element, from: Map, [top, bottom, left, right]: [usize; 4], x: Place) -> (Place, usize, usize) {
        let (rows, columns) = (from.rows + top + bottom, from.columns + left + right);
        let wide = wide(&[from.stored]);
        let packs = if wide { from.stored / LANES } else { from.stored };
        let count = self.images * rows * columns;
        let around = self.memory.scratch(count * from.stored * element.size());
        let numbers = self.numbers(count * packs, &[packs, from.rows, from.columns, rows, columns, top, left]);
        self.launch("surround", Variant { element, wide }, [x, around], numbers);
        (around, rows, columns)
    }

    fn product(&mut self, [weight, bias]: [&[f32]; 2], residual: Option<Place>, act: Option<Act>, values: [ValueId; 2]) {
        let [from, to] = values.map(|v| self.maps[v]);
        let [x, y] = values.map(|v| self.place(v));
        let element = self.elements[values[1]];
        let weight = self.memory.elements(element, weight);
        let finish = self.finish(bias, residual, act, values[1], y);
        let product = Product { element, rows: self.images * to.pixels(), input: from.channels, output: to.channels, x, weight, y };
        self.calls.push(Call::Product(product, finish));
    }

    /// The end of a library's sums for a value, at a place.
    fn finish(&mut self, bias: &[f32], residual: Option<Place>, act: Option<Act>, value: ValueId, y: Place) -> Finish {
        let (element, to) = (self.elements[value], self.maps[value]);
        let relu = match act {
            None => Some(false),
            Some(Act::Relu) => Some(true),
            Some(_) => None,
        };
        let wide = wide(&[to.stored]);
        let packs = if wide { to.stored / LANES } else { to.stored };
        let numbers = self.numbers(self.images * to.pixels() * packs, &[packs, activation(act)]);
        let p = Some(self.memory.floats(bias));
        let kernel = Kernel { name: "finish", variant: Variant { element, wide }, y, x: y, z: residual, p, q: None, numbers };
        Finish { bias: self.memory.elements(element, bias), residual, relu, kernel }
    }
}

fn wide(channels: &[usize]) -> bool {
    channels.iter().all(|c| c.is_multiple_of(LANES))
}

/// The number of an activation in `kernels.cu`.
fn activation(act: Option<Act>) -> usize {
    match act {
        None => 0,
        Some(Act::Relu) => 1,
        Some(Act::Relu6) => 2,
        Some(Act::Silu) => 3,
        Some(Act::HardSwish) => 4,
        Some(Act::HardSigmoid) => 5,
        Some(Act::Sigmoid) => 6,
        Some(Act::Gelu) => 7,
        Some(Act::QuickGelu) => 8,
    }
}

/// Geometry of windows on a map.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
}

fn pool_shape(pool: &Pool, name: &str) -> Result<Window> {
    match pool.padding {
        Padding::Explicit(padding) => Ok(Window { kernel: pool.kernel, stride: pool.stride, padding }),
        Padding::Same => Err(Error::graph(name, "its padding was not resolved by the plan")),
    }
}

/// The extents of a kernel that goes over windows, with its last number.
fn window(w: Window, [packs, last]: [usize; 2], [from, to]: [Map; 2]) -> [usize; 14] {
    let ([kh, kw], [sh, sw], [top, bottom, left, right]) = (w.kernel, w.stride, w.padding);
    [packs, from.rows, from.columns, to.rows, to.columns, kh, kw, sh, sw, top, left, bottom, right, last]
}

/// `[outputs, inputs, window]` to `[outputs][window][room]`, zeros behind the inputs.
fn by_output(weight: &[f32], outputs: usize, inputs: usize, room: usize) -> Vec<f32> {
    let window = weight.len() / (outputs * inputs).max(1);
    let mut all = vec![0.0; outputs * window * room];
    for (o, weights) in weight.chunks_exact((inputs * window).max(1)).enumerate() {
        for (i, cells) in weights.chunks_exact(window.max(1)).enumerate() {
            cells.iter().enumerate().for_each(|(cell, &w)| all[(o * window + cell) * room + i] = w);
        }
    }
    all
}

/// `[outputs, 1, window]` to `[window][outputs]`: a depthwise convolution's.
fn channels_last(weight: &[f32], outputs: usize) -> Vec<f32> {
    let window = weight.len() / outputs.max(1);
    (0..window).flat_map(|cell| (0..outputs).map(move |o| weight[o * window + cell])).collect()
}
