//! Random small plans against plain loops in f64, on every instruction set of this CPU.

mod bf16;
mod reference;

use super::{NativeEngine, NativeOptions};
use crate::engine::{Batch, Engine};
use crate::graph::{Act, Padding, Pool, Shape};
use crate::plan::{ConvShape, Layer, Plan, Step, ValueId};
use crate::simd::{Amx, Isa};

/// A small deterministic generator: what is drawn must not change with a library's version.
pub(super) struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 11
    }

    /// From a range.
    fn from(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + self.next() as usize % (range.end() - range.start() + 1)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.from(0..=of.len() - 1)]
    }

    /// About ±1.
    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() % 20_001) as f32 / 10_000.0 - 1.0).collect()
    }
}

/// A plan under construction.
pub(super) struct Sketch {
    pub plan: Plan,
    pub draw: Draw,
}

impl Sketch {
    fn new(seed: u64, shape: [usize; 3]) -> Sketch {
        Sketch { plan: Plan { steps: vec![], shapes: vec![shape.to_vec()], taps: vec![], is_delicate: false }, draw: Draw(seed) }
    }

    fn map(&self, v: ValueId) -> [usize; 3] {
        super::memory::as_map(&self.plan.shapes[v])
    }

    fn add(&mut self, layer: Layer, inputs: &[ValueId], shape: Shape) -> ValueId {
        let output = self.plan.shapes.len();
        self.plan.shapes.push(shape);
        self.plan.steps.push(Step { name: format!("step{output}"), layer, inputs: inputs.to_vec(), output });
        output
    }

    /// A convolution of `input` with random weights.
    fn conv(&mut self, input: ValueId, conv: ConvShape, residual: Option<ValueId>, act: Option<Act>) -> ValueId {
        let [_, h, w] = self.map(input);
        let fan_in = conv.input / conv.groups * conv.kernel[0] * conv.kernel[1];
        let scale = (1.0 / fan_in as f32).sqrt();
        let weight = self.draw.floats(conv.output * fan_in).iter().map(|w| w * scale).collect();
        let bias = self.draw.floats(conv.output).into();
        let out = |n: usize, i: usize, p: usize| (n + p - conv.kernel[i]) / conv.stride[i] + 1;
        let [t, b, l, r] = conv.padding;
        let shape = vec![conv.output, out(h, 0, t + b), out(w, 1, l + r)];
        let inputs: Vec<ValueId> = [input].into_iter().chain(residual).collect();
        self.add(Layer::Conv { conv, weight, bias, residual: residual.is_some(), act }, &inputs, shape)
    }

    fn act(&mut self) -> Option<Act> {
        self.draw.pick(&[None, Some(Act::Relu), Some(Act::Relu6), Some(Act::Silu), Some(Act::HardSwish), Some(Act::Sigmoid)])
    }

    fn square(&self, input: ValueId, output: usize, k: usize, stride: usize, groups: usize) -> ConvShape {
        let p = k / 2;
        ConvShape { input: self.map(input)[0], output, kernel: [k, k], stride: [stride, stride], padding: [p; 4], groups }
    }
}

/// Runs the plan on three random images, on every instruction set, and compares every tap with
/// plain loops.
fn check(mut sketch: Sketch, what: &str) {
    const IMAGES: usize = 3;
    let shape = sketch.map(0);
    let len = shape.iter().product::<usize>();
    let data = sketch.draw.floats(IMAGES * len);
    let plan = sketch.plan;
    let want: Vec<_> = data.chunks(len).map(|image| reference::run(&plan, image)).collect();
    let exact = Isa::available().into_iter().map(|isa| (NativeOptions { isa, bf16: false }, 3e-5));
    let coarse = Isa::available().into_iter().filter(|isa| isa.amx().is_some()).map(|isa| (NativeOptions { isa, bf16: true }, 2e-2));
    for (options, bound) in exact.chain(coarse) {
        let engine = NativeEngine::new(&plan, IMAGES, options).unwrap();
        let run = |images: usize| engine.run(Batch::Floats { images, shape, data: &data[..images * len] }).unwrap();
        let got = run(IMAGES);
        for (tap, got) in got.iter().enumerate() {
            let want: Vec<f64> = want.iter().flat_map(|taps| taps[tap].clone()).collect();
            assert_eq!(got.len(), want.len(), "{what}: tap {tap}");
            let scale = want.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
            for (i, (&g, w)) in got.iter().zip(&want).enumerate() {
                assert!((f64::from(g) - w).abs() <= bound * scale, "{what} on {options:?}: tap {tap}[{i}] = {g}, not {w}");
            }
        }
        assert!(run(1).iter().zip(&got).all(|(one, all)| all.starts_with(one)), "{what} on {options:?}: neighbours change an image");
        assert_eq!(run(IMAGES), got, "{what} on {options:?}: a second run differs");
    }
}

#[test]
fn convolutions_of_any_shape() {
    for seed in 0..120 {
        let mut d = Draw(seed);
        let kernel = [d.from(1..=5), d.pick(&[1, 2, 3, 3, 7])];
        let size = [kernel[0] + d.from(0..=9), kernel[1] + d.pick(&[0, 1, 6, 7, 13, 14, 20, 29])];
        let input = d.pick(&[1, 3, 4, 5, 16, 20, 33, 64]);
        let mut s = Sketch::new(seed, [input, size[0], size[1]]);
        let padding = [d.from(0..=2), d.from(0..=2), d.from(0..=3), d.from(0..=1)];
        let stride = [d.from(1..=3), d.from(1..=4)];
        let conv = ConvShape { input, output: d.pick(&[1, 7, 16, 24, 32, 48, 80, 100]), kernel, stride, padding, groups: 1 };
        let act = s.act();
        let out = s.conv(0, conv, None, act);
        s.plan.taps = vec![out];
        check(s, &format!("{conv:?} on {size:?}"));
    }
}

/// Names of the kernels that an instruction set is given for a plan, without their tile sizes.
fn kernels(s: &Sketch, isa: Isa) -> Vec<String> {
    let engine = NativeEngine::new(&s.plan, 1, NativeOptions { isa, bf16: false }).unwrap();
    engine.kernels().map(|(_, kernel)| kernel.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn stems_of_images() {
    for seed in 0..30 {
        let mut d = Draw(seed + 7000);
        let kernel = [d.from(5..=11), d.pick(&[7, 8, 9, 11])];
        let size = [kernel[0] + d.from(0..=20), kernel[1] + d.from(0..=80)];
        let mut s = Sketch::new(seed, [d.pick(&[1, 3, 3, 4]), size[0], size[1]]);
        let padding = [d.from(0..=5), d.from(0..=5), d.from(0..=5), d.from(0..=5)];
        let stride = [d.from(1..=4), d.from(1..=4)];
        let conv = ConvShape { input: s.map(0)[0], output: d.pick(&[33, 64]), kernel, stride, padding, groups: 1 };
        let act = s.act();
        let out = s.conv(0, conv, None, act);
        s.plan.taps = vec![out];
        check(s, &format!("stem {conv:?} on {size:?}"));
    }
    if let Some(amx) = Amx::detect() {
        let mut s = Sketch::new(0, [3, 64, 64]);
        let conv = s.square(0, 64, 7, 2, 1);
        s.plan.taps = vec![s.conv(0, conv, None, None)];
        assert_eq!(kernels(&s, Isa::Amx(amx)), ["stem f32"]);
    }
}

/// With many channels, where products run in AMX tiles if there are any.
#[test]
fn wide_winograd_convolutions() {
    for (side, size, input) in [(4, [8, 7], 128), (5, [10, 15], 130), (6, [12, 11], 128)] {
        let mut s = Sketch::new(side, [input, size[0], size[1]]);
        let conv = s.square(0, 144, 3, 1, 1);
        s.plan.taps = vec![s.conv(0, conv, None, Some(Act::Relu))];
        for isa in Isa::available().into_iter().filter(|isa| isa.avx512().is_some()) {
            assert!(kernels(&s, isa)[0].starts_with("winograd"), "{isa:?} {size:?}: {:?}", kernels(&s, isa));
        }
        check(s, &format!("wide Winograd on {size:?}"));
    }
}

#[test]
fn winograd_convolutions() {
    let mut chosen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut d = Draw(seed + 6000);
        let [h, w] = [d.from(3..=20), d.from(3..=20)];
        let mut s = Sketch::new(seed, [d.pick(&[16, 17, 40, 64]), h, w]);
        let mut conv = s.square(0, d.pick(&[16, 33, 80]), 3, 1, 1);
        conv.padding = [d.from(0..=2), d.from(0..=2), d.from(0..=1), d.from(0..=2)];
        let act = s.act();
        let a = s.conv(0, conv, None, act);
        if s.map(a)[1] < 3 || s.map(a)[2] < 3 {
            continue;
        }
        let conv = s.square(a, s.map(a)[0], 3, 1, 1);
        let b = s.conv(a, conv, Some(a), Some(Act::Relu));
        s.plan.taps = vec![a, b];
        chosen.extend(kernels(&s, Isa::Portable));
        check(s, &format!("Winograd on {h}×{w}, seed {seed}"));
    }
    assert!(["winograd 4×4", "winograd 5×5", "winograd 6×6"].iter().all(|k| chosen.contains(*k)), "{chosen:?}");
}

/// Weights above a megabyte are used by all images of the batch together.
#[test]
fn layers_that_weigh_more_than_their_maps() {
    for (seed, size, k) in [(1, 5, 1), (2, 8, 3), (3, 1, 1)] {
        let mut s = Sketch::new(seed, [3, 2 * size, 2 * size]);
        let conv = s.square(0, 64, 3, 2, 1);
        let first = s.conv(0, conv, None, Some(Act::Relu));
        let conv = s.square(first, 512, 1, 1, 1);
        let wide = s.conv(first, conv, None, Some(Act::Relu));
        let conv = s.square(wide, if k == 1 { 640 } else { 128 }, k, 1, 1);
        let last = s.conv(wide, conv, None, Some(Act::Silu));
        s.plan.taps = vec![first, last];
        check(s, &format!("heavy {k}×{k} on {size}×{size}"));
    }
}

#[test]
fn pointwise_convolutions_with_and_without_gaps_between_rows() {
    for seed in 0..40 {
        let mut d = Draw(seed + 1000);
        let size = [d.from(1..=9), d.from(1..=17)];
        let mut s = Sketch::new(seed, [d.pick(&[8, 16, 40]), size[0], size[1]]);
        let shape = s.square(0, d.pick(&[16, 24, 72]), 1, 1, 1);
        let act = s.act();
        let a = s.conv(0, shape, None, act);
        let shape = s.square(a, s.map(a)[0], 1, 1, 1);
        let b = s.conv(a, shape, Some(a), Some(Act::Relu));
        s.plan.taps = vec![a, b];
        if seed % 2 == 0 {
            // A padded reader puts a halo around `b`.
            let shape = s.square(b, 16, 3, 2, 1);
            let c = s.conv(b, shape, None, None);
            s.plan.taps.push(c);
        }
        check(s, &format!("1×1 on {size:?}, seed {seed}"));
    }
}

#[test]
fn grouped_and_depthwise_convolutions() {
    for seed in 0..60 {
        let mut d = Draw(seed + 2000);
        let groups = d.pick(&[2, 3, 4, 16, 32, 20]);
        let (per_group, out_per_group) = d.pick(&[(1, 1), (1, 1), (1, 2), (4, 4), (8, 8), (16, 16), (3, 5)]);
        let k = d.pick(&[1, 3, 5, 7]);
        let size = [k + d.from(0..=7), k + d.from(0..=15)];
        let mut s = Sketch::new(seed, [groups * per_group, size[0], size[1]]);
        let conv = s.square(0, groups * out_per_group, k, d.pick(&[1, 2, 3]), groups);
        let act = s.act();
        let out = s.conv(0, conv, None, act);
        s.plan.taps = vec![out];
        check(s, &format!("{conv:?} on {size:?}"));
    }
}

#[test]
fn pools_of_every_kind() {
    for seed in 0..60 {
        let mut d = Draw(seed + 3000);
        let kernel = [d.from(1..=3), d.from(1..=3)];
        let padding = [d.from(0..=kernel[0] / 2), d.from(0..=kernel[0] / 2), d.from(0..=kernel[1] / 2), d.from(0..=kernel[1] / 2)];
        let [h, w] = [d.from(3..=12), d.from(3..=12)];
        let mut s = Sketch::new(seed, [d.pick(&[3, 16, 20]), h, w]);
        let (stride, ceil) = ([d.from(1..=3), d.from(1..=3)], d.from(0..=1) == 1);
        let pool = Pool { kernel, stride, padding: Padding::Explicit(padding), ceil, count_padding: d.from(0..=1) == 1 };
        let mut graph = crate::graph::Graph::new(s.map(0)[0]).0;
        graph.add("pool", crate::graph::Op::MaxPool(pool.clone()), &[0]);
        let shape = graph.shapes(s.map(0)).unwrap().pop().unwrap();
        let c = shape[0];
        let max = s.add(Layer::MaxPool(pool.clone()), &[0], shape.clone());
        let mean = s.add(Layer::AvgPool(pool.clone()), &[0], shape);
        let all = s.add(Layer::GlobalAvgPool, &[0], vec![c, 1, 1]);
        let vector = s.add(Layer::Flatten, &[all], vec![c]);
        let to = [d.from(1..=7), d.from(1..=7)];
        let adaptive = s.add(Layer::AdaptiveAvgPool(to), &[0], vec![c, to[0], to[1]]);
        let flat = s.add(Layer::Flatten, &[adaptive], vec![c * to[0] * to[1]]);
        s.plan.taps = vec![max, mean, all, vector, adaptive, flat];
        check(s, &format!("{pool:?} on {h}×{w}"));
    }
}

#[test]
fn passes_and_linear_layers() {
    for seed in 0..20 {
        let mut d = Draw(seed + 4000);
        let shape = [d.pick(&[3, 16, 20, 37]), d.from(1..=5), d.from(1..=6)];
        let c = shape[0];
        let mut s = Sketch::new(seed, shape);
        let conv = s.square(0, c, 3, 1, 1);
        let a = s.conv(0, conv, None, None);
        let (scale, shift) = (s.draw.floats(c), s.draw.floats(c));
        let act = s.act();
        let mapped = s.add(Layer::Affine { scale: scale.clone().into(), shift: shift.clone().into(), act }, &[a], shape.to_vec());
        let sum = s.add(Layer::Add { act: Some(Act::Relu) }, &[mapped, a], shape.to_vec());
        let norm = s.add(Layer::LayerNorm { weight: scale.into(), bias: shift.into(), eps: 1e-6 }, &[sum], shape.to_vec());
        let pooled = s.add(Layer::GlobalAvgPool, &[norm], vec![c, 1, 1]);
        let gate = s.add(Layer::Act(Act::HardSigmoid), &[pooled], vec![c, 1, 1]);
        let gated = s.add(Layer::Mul, &[sum, gate], shape.to_vec());
        let len = shape.iter().product();
        let flat = s.add(Layer::Flatten, &[gated], vec![len]);
        let (weight, bias): (Vec<f32>, _) = (s.draw.floats(40 * len).iter().map(|w| w / len as f32).collect(), s.draw.floats(40));
        let linear =
            Layer::Linear { input: len, output: 40, weight: weight.into(), bias: bias.into(), residual: false, act: Some(Act::Relu) };
        let out = s.add(linear, &[flat], vec![40]);
        s.plan.taps = vec![mapped, sum, norm, gate, gated, out];
        check(s, &format!("passes on {shape:?}"));
    }
}

/// A chain of concatenations as DenseNet has it, or with channel counts that no view can express.
#[test]
fn concatenations_slices_and_shuffles() {
    for seed in 0..30 {
        let mut d = Draw(seed + 5000);
        let unit = d.pick(&[16, 16, 10, 24]);
        let [h, w] = [d.from(1..=5), d.from(1..=9)];
        let mut s = Sketch::new(seed, [unit, h, w]);
        let first = s.square(0, 2 * unit, 3, 1, 1);
        let first = s.conv(0, first, None, Some(Act::Relu));
        let mut parts = vec![first];
        let mut whole = first;
        for _ in 0..3 {
            let conv = s.square(whole, unit, d.pick(&[1, 3]), 1, 1);
            parts.push(s.conv(whole, conv, None, Some(Act::Relu)));
            let channels = parts.iter().map(|&v| s.map(v)[0]).sum();
            whole = s.add(Layer::Concat, &parts, vec![channels, h, w]);
            s.plan.taps.push(whole);
        }
        let channels = s.map(whole)[0];
        let shuffled = s.add(Layer::Shuffle { groups: 5 }, &[whole], vec![channels, h, w]);
        let start = d.pick(&[0, 16, 7]);
        let slice = s.add(Layer::Slice { start, len: unit }, &[shuffled], vec![unit, h, w]);
        let conv = s.square(slice, 16, 3, 1, 1);
        let last = s.conv(slice, conv, None, None);
        let twice = s.add(Layer::Concat, &[last, last, slice], vec![32 + unit, h, w]);
        s.plan.taps.extend([shuffled, slice, last, twice]);
        check(s, &format!("concatenations of {unit} on {h}×{w}, seed {seed}"));
    }
}

/// Units as ShuffleNet has them: half the channels pass by, the others are convolved, joined and
/// shuffled in. Each unit moves the channels that its convolution reads, and no others.
#[test]
fn units_that_shuffle() {
    for (seed, half, k) in [(1, 16, 1), (2, 20, 3), (3, 29, 1), (4, 48, 3)] {
        let mut s = Sketch::new(seed, [2 * half, 6, 7]);
        let conv = s.square(0, 2 * half, 1, 1, 1);
        let mut x = s.conv(0, conv, None, Some(Act::Relu));
        for _ in 0..4 {
            let low = s.add(Layer::Slice { start: 0, len: half }, &[x], vec![half, 6, 7]);
            let high = s.add(Layer::Slice { start: half, len: half }, &[x], vec![half, 6, 7]);
            let conv = s.square(high, half, k, 1, 1);
            let convolved = s.conv(high, conv, None, Some(Act::Relu));
            let joined = s.add(Layer::Concat, &[low, convolved], vec![2 * half, 6, 7]);
            x = s.add(Layer::Shuffle { groups: 2 }, &[joined], vec![2 * half, 6, 7]);
        }
        s.plan.taps = vec![x];
        let moves = kernels(&s, Isa::Portable).iter().filter(|k| *k == "gather").count();
        // The first unit's half is a view where it begins at a block.
        assert_eq!(moves, if half % 16 == 0 { 4 } else { 5 }, "halves of {half}");
        check(s, &format!("shuffled halves of {half}"));
    }
}

/// A map that leaves the cache is never whole where one depthwise convolution or pool reads it.
#[test]
fn large_maps_that_are_read_once() {
    for (seed, input, output, k) in [(1, 3, 40, 3), (2, 8, 33, 1), (3, 16, 48, 1)] {
        let mut s = Sketch::new(seed, [input, 92, 97]);
        let conv = s.square(0, output, k, 1, 1);
        let act = s.act();
        let expanded = s.conv(0, conv, None, act);
        let last = if k == 3 {
            let pool = Pool { kernel: [3, 3], stride: [2, 2], padding: Padding::Explicit([1; 4]), ceil: false, count_padding: false };
            s.add(Layer::MaxPool(pool), &[expanded], vec![output, 46, 49])
        } else {
            let conv = s.square(expanded, output, 2 * seed as usize + 1, 2, output);
            let act = s.act();
            s.conv(expanded, conv, None, act)
        };
        let conv = s.square(last, 16, 3, 2, 1);
        let after = s.conv(last, conv, None, None);
        for taps in [vec![after], vec![expanded, last]] {
            s.plan.taps = taps;
            let engine = NativeEngine::new(&s.plan, 1, NativeOptions { isa: Isa::Portable, bf16: false }).unwrap();
            let pairs = engine.kernels().filter(|(_, kernel)| kernel.contains(" + ")).count();
            assert_eq!(pairs, if s.plan.taps.len() == 1 { 1 } else { 0 }, "what is tapped is computed whole");
            check(Sketch { plan: s.plan.clone(), draw: Draw(seed) }, &format!("{input} → {output} by {k}×{k}, then {last}"));
        }
    }
}

#[test]
fn pixels_are_normalised_on_the_way_in() {
    let mut s = Sketch::new(1, [3, 5, 6]);
    let conv = s.square(0, 16, 3, 2, 1);
    let out = s.conv(0, conv, None, None);
    s.plan.taps = vec![0, out];
    let engine = NativeEngine::new(&s.plan, 2, NativeOptions::default()).unwrap();
    let rgb: Vec<u8> = (0..2 * 90).map(|i| (i * 37 % 256) as u8).collect();
    for bgr in [false, true] {
        let normalise = crate::preprocess::Normalise { scale: [0.1, 0.2, 0.3], shift: [1.0, 2.0, 3.0], bgr };
        let planar = normalise.planar(&rgb, 30);
        let bytes = engine.run(Batch::Pixels { images: 2, size: [5, 6], rgb: &rgb, normalise: &normalise }).unwrap();
        assert_eq!(bytes[0], planar);
        assert_eq!(bytes, engine.run(Batch::Floats { images: 2, shape: [3, 5, 6], data: &planar }).unwrap());
    }
}

#[test]
fn a_batch_of_another_shape_is_refused() {
    let mut s = Sketch::new(1, [3, 8, 8]);
    let conv = s.square(0, 16, 3, 1, 1);
    s.plan.taps = vec![s.conv(0, conv, None, None)];
    let engine = NativeEngine::new(&s.plan, 2, NativeOptions::default()).unwrap();
    for (images, shape, len) in [(1, [3, 8, 9], 216), (2, [3, 8, 8], 192), (1, [4, 8, 8], 256)] {
        let error = engine.run(Batch::Floats { images, shape, data: &vec![0.0; len] }).unwrap_err();
        assert!(error.to_string().starts_with("native: taking a batch"), "{error}");
    }
}

#[test]
fn bf16_needs_tiles() {
    let mut s = Sketch::new(1, [3, 8, 8]);
    let conv = s.square(0, 16, 3, 1, 1);
    s.plan.taps = vec![s.conv(0, conv, None, None)];
    let error = NativeEngine::new(&s.plan, 1, NativeOptions { isa: Isa::Portable, bf16: true }).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("bf16"), "{error}");
}

#[test]
fn the_thread_count_changes_no_byte() {
    let mut s = Sketch::new(9, [3, 30, 30]);
    let shape = s.square(0, 40, 3, 2, 1);
    let a = s.conv(0, shape, None, Some(Act::Silu));
    let shape = s.square(a, 40, 3, 1, 40);
    let b = s.conv(a, shape, None, Some(Act::Relu));
    let shape = s.square(b, 40, 3, 1, 1);
    let c = s.conv(b, shape, Some(a), Some(Act::Relu));
    s.plan.taps = vec![a, b, c];
    let data = s.draw.floats(5 * 2700);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let engine = NativeEngine::new(&s.plan, 5, NativeOptions::default()).unwrap();
            engine.run(Batch::Floats { images: 5, shape: [3, 30, 30], data: &data }).unwrap()
        })
    };
    let one = run(1);
    for threads in [2, 3, 4, 8] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}
