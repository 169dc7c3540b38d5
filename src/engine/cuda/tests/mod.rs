//! Programs for the GPU, run on a CPU: the kernels are compiled by the C compiler that linked this
//! test, what the libraries do is done by plain loops, and the features must be those of the
//! reference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use candle_core::{DType, Device};
use proptest::prelude::*;

use super::lower::compile;
use super::program::{Call, Element, Finish, Kernel, Place, Program, Space};
use crate::backbones::{self, BuildOptions};
use crate::engine::{Batch, CandleEngine, Engine, centred_error, correct_biases_for_gpu};
use crate::graph::{Act, Conv, Graph, Op, Padding, Pool};
use crate::plan::Plan;
use crate::preprocess::{Normalise, synthetic_images};
use crate::weights::Formula;

/// The emulator for each kind of number, built once; `None` where there is no C compiler.
fn emulator(element: Element) -> Option<&'static Path> {
    static BUILT: OnceLock<Option<[PathBuf; 3]>> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().ok()?.keep();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/cuda");
        let one = |element: Element| {
            let define = element.define();
            let exe = folder.join(define.unwrap_or("F32"));
            let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
            cc.args(["-O3", "-ffast-math", "-fno-finite-math-only", "-fno-strict-aliasing", "-Wall", "-Werror", "-Wno-unused-function"]);
            cc.args(define.map(|name| format!("-D{name}")))
                .arg("-I")
                .arg(&source)
                .arg(source.join("tests/emulator.c"))
                .arg("-o")
                .arg(&exe)
                .arg("-lm");
            let made = cc.output().ok()?;
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            Some(exe)
        };
        Some([one(Element::F32)?, one(Element::Bf16)?, one(Element::F16)?])
    };
    let all = BUILT.get_or_init(build).as_ref()?;
    Some(&all[element as usize])
}

fn place(place: Place) -> String {
    let space = match place.space {
        Space::Arena => 0,
        Space::Constants => 1,
        Space::Input => 2,
        Space::Normalise => 3,
        Space::Features => 4,
    };
    format!("{space}:{}", place.at)
}

fn maybe(some: Option<Place>) -> String {
    some.map_or("-".into(), place)
}

fn kernel(k: &Kernel) -> String {
    let variant = u8::from(k.variant.wide) + 2 * u8::from(k.variant.element == Element::F32);
    let mut line = format!("kernel {} {variant} {} {}", k.name, place(k.y), place(k.x));
    [k.z, k.p, k.q].iter().for_each(|&p| write!(line, " {}", maybe(p)).unwrap());
    write!(line, " {}", k.numbers.count).unwrap();
    k.numbers.n.iter().for_each(|n| write!(line, " {n}").unwrap());
    format!("{line} {:e}\n", k.numbers.f)
}

/// A library's call with what it does on the way, and the kernel for what it leaves.
fn completed(call: String, finish: &Finish, fused: bool) -> String {
    match finish.relu.filter(|_| fused) {
        Some(relu) => format!("{call} {} {} {}\n", place(finish.bias), maybe(finish.residual), u8::from(relu)),
        None => format!("{call} - - 0\n{}", kernel(&finish.kernel)),
    }
}

fn line(call: &Call, fused: bool) -> String {
    match call {
        Call::Kernel(k) => kernel(k),
        Call::Product(p, finish) => {
            let places = [p.x, p.weight, p.y].map(place).join(" ");
            let is_f32 = u8::from(p.element == Element::F32);
            completed(format!("product {is_f32} {} {} {} {places}", p.rows, p.input, p.output), finish, fused)
        }
        Call::Convolution(c, finish) => {
            let extents = [&[c.images][..], &c.from, &c.to, &c.kernel, &c.stride, &c.padding, &[c.groups]].concat();
            let extents: Vec<String> = extents.iter().map(usize::to_string).collect();
            let places = [c.x, c.weight, c.y].map(place).join(" ");
            let is_f32 = u8::from(c.element == Element::F32);
            completed(format!("convolution {is_f32} {} {places}", extents.join(" ")), finish, fused)
        }
    }
}

/// Runs a program; `fused` as where the libraries take bias, residual and ReLU on the way.
fn emulate(program: &Program, batch: Batch<'_>, fused: bool) -> Option<Vec<Vec<f32>>> {
    let exe = emulator(program.element)?;
    assert_eq!((batch.shape(), batch.images()), (program.input, program.images));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let (entry, normalise) = match batch {
        Batch::Pixels { rgb, normalise, .. } => {
            write("input", rgb);
            let [scale, shift] = [normalise.scale, normalise.shift];
            (&program.pixels, [&scale[..], &shift, &[f32::from(u8::from(normalise.bgr))]].concat())
        }
        Batch::Floats { data, .. } => {
            write("input", bytemuck::cast_slice(data));
            (&program.planes, vec![0.0; 7])
        }
    };
    write("normalise", bytemuck::cast_slice(&normalise));
    write("constants", &program.constants);
    let mut calls = format!("{} {}\n{}", program.arena, program.features, kernel(entry));
    program.calls.iter().for_each(|call| calls += &line(call, fused));
    write("calls.txt", calls.as_bytes());
    let ran = Command::new(exe).arg(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let features: Vec<f32> = bytemuck::pod_collect_to_vec(&fs::read(folder.path().join("features")).unwrap());
    Some(program.taps.iter().map(|tap| features[tap.at / 4..][..tap.length * program.images].to_vec()).collect())
}

const SOME: Normalise = Normalise { scale: [0.02, 0.018, 0.017], shift: [-2.1, -2.0, -1.8], bgr: true };

/// Errors of a network's taps, on bytes, as the emulator has them: f32 fused, f32 apart, bf16
/// fused, f16 fused.
fn errors(graph: &Graph, taps: &[&str], size: [usize; 2]) -> Option<Vec<[f64; 4]>> {
    let taps: Vec<String> = taps.iter().map(|t| t.to_string()).collect();
    let (images, input) = (3, [3, size[0], size[1]]);
    let weights = Formula::new(graph.parameters(), 5);
    let plan = Plan::new(graph, &weights, &taps, input).unwrap();
    let rgb = synthetic_images(1, images, size);
    let batch = Batch::Pixels { images, size, rgb: &rgb, normalise: &SOME };
    let want = CandleEngine::new(graph, &weights, &taps, input, &Device::Cpu, DType::F32).unwrap().run(batch).unwrap();
    let got = [(Element::F32, true), (Element::F32, false), (Element::Bf16, true), (Element::F16, true)]
        .map(|(element, fused)| emulate(&compile(&plan, element, images).unwrap(), batch, fused));
    let [a, b, c, d] = got;
    let got = [a?, b?, c?, d?];
    Some((0..taps.len()).map(|t| [0, 1, 2, 3].map(|k| centred_error(&got[k][t], &want[t], images))).collect())
}

fn agrees(graph: &Graph, taps: &[&str], size: [usize; 2], name: &str) {
    let Some(errors) = errors(graph, taps, size) else { return };
    for (tap, [fused, apart, bf16, f16]) in taps.iter().zip(errors) {
        assert!(fused <= 1e-4 && apart <= 1e-4, "{name} `{tap}`: {fused:.1e} fused, {apart:.1e} apart");
        assert!(bf16 <= BF16 && f16 <= F16, "{name} `{tap}`: {bf16:.1e} in bf16, {f16:.1e} in f16");
    }
}

/// Random weights on small images spread little, so that rounding weighs more than with photos and
/// trained ones.
const BF16: f64 = 0.3;
const F16: f64 = BF16 / 8.0;

macro_rules! networks {
    ($($test:ident: $($name:literal $tap:literal at $size:literal),+;)+) => {$(
        #[test]
        fn $test() {
            for (name, tap, size) in [$(($name, $tap, $size)),+] {
                let info = backbones::find(name).unwrap();
                agrees(&info.graph(&BuildOptions::default()), &[tap], [size, size], name);
            }
        }
    )+};
}

// EfficientNet's own ending is no measure: with random weights and small images, f32 anywhere is
// 1e-3 off there.
networks! {
    residual_networks: "resnet18" "gap" at 64, "resnet50" "gap" at 40;
    plain_networks: "alexnet" "gap" at 70, "squeezenet1_1" "gap" at 65, "vgg11" "features.10" at 40;
    depthwise_networks: "mobilenet_v2" "gap" at 64, "mobilenet_v3_small" "gap" at 64, "efficientnet_b0" "features.3" at 64;
    joined_networks: "densenet121" "features.denseblock2" at 48, "googlenet" "gap" at 48, "inception_v3" "Mixed_6a" at 80, "shufflenet_v2_x0_5" "gap" at 64;
    networks_with_other_norms: "convnext_tiny" "gap" at 48, "xception" "gap" at 72;
}

/// Bounds on the error of 16 bits, for networks of every kind; in bf16 with corrected biases,
/// except those that stay f32.
#[test]
fn features_in_sixteen_bits_are_within_two_hundredths() {
    for (name, side) in [
        ("resnet18", 112),
        ("squeezenet1_1", 97),
        ("googlenet", 96),
        ("convnext_tiny", 64),
        ("mobilenet_v2", 96),
        ("shufflenet_v2_x0_5", 96),
    ] {
        let graph = backbones::find(name).unwrap().graph(&BuildOptions::default());
        let (images, taps, input) = (3, ["gap".to_string()], [3, side, side]);
        let weights = Formula::new(graph.parameters(), 5);
        let plan = Plan::new(&graph, &weights, &taps, input).unwrap();
        let (rgb, size) = (synthetic_images(1, images, [side; 2]), [side; 2]);
        let batch = Batch::Pixels { images, size, rgb: &rgb, normalise: &SOME };
        let want = CandleEngine::new(&graph, &weights, &taps, input, &Device::Cpu, DType::F32).unwrap().run(batch).unwrap();
        let sample = SOME.planar(&synthetic_images(2, 1, size), side * side);
        let balanced = correct_biases_for_gpu(plan.clone(), &sample).unwrap();
        for (element, plan) in [(Element::F16, plan), (Element::Bf16, balanced)] {
            if element == Element::Bf16 && graph.magnifies_rounding() {
                continue;
            }
            let Some(got) = emulate(&compile(&plan, element, images).unwrap(), batch, true) else { return };
            let error = centred_error(&got[0], &want[0], images);
            assert!(error <= 2e-2, "{name} in {element:?}: {error:.1e}");
        }
    }
}

/// A network whose maps 8 does not divide, with every layer that the zoo may ask for.
fn odd_one() -> Graph {
    let conv = |input, output, kernel, padding, groups| {
        Op::Conv(Conv { input, output, kernel: [kernel; 2], stride: [1, 1], padding: Padding::Explicit(padding), groups, bias: true })
    };
    let pool = |kernel, ceil, count_padding| Pool { kernel: [kernel; 2], stride: [2, 2], padding: Padding::all(1), ceil, count_padding };
    let (mut g, x) = Graph::new(3);
    let fixed = g.add("fixed", Op::Affine { scale: vec![0.5, 1.5, 2.0], shift: vec![0.1, -0.2, 0.3] }, &[x]);
    let c1 = g.add("c1", conv(3, 12, 3, [0, 1, 2, 1], 1), &[fixed]);
    let hs = g.add("hs", Op::Act(Act::HardSwish), &[c1]);
    let grouped = g.add("grouped", conv(12, 12, 3, [1; 4], 3), &[hs]);
    let sum = g.add("sum", Op::Add, &[grouped, hs]);
    let gelu = g.add("gelu", Op::Act(Act::QuickGelu), &[sum]);
    let single = g.add("single", conv(12, 12, 3, [1; 4], 12), &[gelu]);
    let both = g.add("both", Op::Add, &[single, gelu]);
    let relu = g.add("relu", Op::Act(Act::Relu6), &[both]);
    let max = g.add("max", Op::MaxPool(pool(3, true, false)), &[relu]);
    let mean = g.add("mean", Op::AvgPool(pool(3, true, true)), &[relu]);
    let inside = g.add("inside", Op::AvgPool(pool(3, true, false)), &[relu]);
    let cat = g.add("cat", Op::Concat, &[max, mean, inside]);
    let shuffled = g.add("shuffled", Op::Shuffle { groups: 3 }, &[cat]);
    let half = g.add("half", Op::Slice { start: 5, len: 17 }, &[shuffled]);
    let norm = g.add("norm", Op::LayerNorm { channels: 17, eps: 1e-5 }, &[half]);
    let squeezed = g.add("squeezed", Op::AdaptiveAvgPool([1, 1]), &[norm]);
    let gate = g.add("gate", conv(17, 17, 1, [0; 4], 1), &[squeezed]);
    let gate = g.add("sigmoid", Op::Act(Act::HardSigmoid), &[gate]);
    let gated = g.add("gated", Op::Mul, &[norm, gate]);
    let seven = g.add("seven", Op::AdaptiveAvgPool([3, 4]), &[gated]);
    let flat = g.add("flat", Op::Flatten, &[seven]);
    let fc = g.add("fc", Op::Linear { input: 17 * 12, output: 10, bias: true }, &[flat]);
    let act = g.add("act", Op::Act(Act::Silu), &[fc]);
    for (name, id) in [("input", x), ("relu", relu), ("cat", cat), ("gated", gated), ("flat", flat), ("act", act)] {
        g.tap(name, id);
    }
    g
}

#[test]
fn every_layer_on_maps_that_eight_does_not_divide() {
    agrees(&odd_one(), &["act", "relu", "cat", "gated", "flat", "input", "flat"], [21, 18], "the odd one");
}

#[test]
fn floats_come_in_channel_by_channel() {
    let (graph, images, shape) = (odd_one(), 2, [3, 9, 10]);
    let weights = Formula::new(graph.parameters(), 5);
    let taps = ["act".to_string(), "input".into()];
    let data: Vec<f32> = (0..images * 270).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let batch = Batch::Floats { images, shape, data: &data };
    let want = CandleEngine::new(&graph, &weights, &taps, shape, &Device::Cpu, DType::F32).unwrap().run(batch).unwrap();
    let plan = Plan::new(&graph, &weights, &taps, shape).unwrap();
    let Some(got) = emulate(&compile(&plan, Element::F32, images).unwrap(), batch, true) else { return };
    assert!(centred_error(&got[0], &want[0], images) < 1e-5);
    assert_eq!(got[1], data);
}

#[test]
fn a_transformer_is_refused_and_a_batch_beyond_all_bounds_is_a_lack_of_memory() {
    let info = backbones::find("vit_b_16").unwrap();
    let graph = info.graph(&BuildOptions::default());
    let plan = Plan::new(&graph, &Formula::new(graph.parameters(), 0), &["gap".into()], [3, 224, 224]).unwrap();
    assert!(compile(&plan, Element::Bf16, 1).unwrap_err().to_string().contains("transformer"));
    let graph = odd_one();
    let plan = Plan::new(&graph, &Formula::new(graph.parameters(), 0), &["relu".into()], [3, 64, 64]).unwrap();
    assert!(compile(&plan, Element::Bf16, 1 << 20).unwrap_err().is_out_of_memory());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is alive at the same time lies apart: the arena begins as NaN, and a value that
    /// another one overwrote would differ.
    #[test]
    fn pools_and_convolutions_of_any_geometry(kernel in 1usize..4, stride in 1usize..4, pad in [0usize..2, 0usize..3, 0usize..2, 0usize..3],
                                              channels in prop::sample::select(vec![4usize, 8, 24]), ceil: bool, side in [7usize..12, 7usize..12]) {
        let (mut g, x) = Graph::new(3);
        let conv = |input, output, groups| {
            let padding = Padding::Explicit(pad);
            Op::Conv(Conv { input, output, kernel: [kernel, 2], stride: [stride; 2], padding, groups, bias: false })
        };
        let first = g.add("first", conv(3, channels, 1), &[x]);
        let each = g.add("each", conv(channels, channels, channels), &[first]);
        let grouped = g.add("grouped", conv(channels, 2 * channels, 4), &[first]);
        let p = pad[0].min(kernel / 2);
        let pool = Pool { kernel: [kernel; 2], stride: [stride; 2], padding: Padding::all(p), ceil, count_padding: true };
        let pooled = g.add("pooled", Op::MaxPool(pool), &[grouped]);
        g.tap("each", each);
        g.tap("pooled", pooled);
        if g.shapes([3, side[0], side[1]]).is_ok()
            && let Some(errors) = errors(&g, &["pooled", "each"], side)
        {
            for [fused, apart, bf16, f16] in errors {
                prop_assert!(fused < 1e-5 && apart < 1e-5 && bf16 < BF16 && f16 < F16, "{fused} {apart} {bf16} {f16}");
            }
        }
    }
}
