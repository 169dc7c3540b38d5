//! candle's ops against plain loops that follow PyTorch's documentation; gradients against finite
//! differences.

use std::path::PathBuf;

use candle_core::Var;
use candle_nn::Optimizer;
use proptest::prelude::*;

use super::*;
use crate::engine::centred_error;
use crate::graph::{Act, Conv, NodeId, Op, Padding, Parameter, Pool, resolve_padding};
use crate::preprocess::Normalise;
use crate::weights::Tensor as Weights;

/// Repeatable numbers in −1 .. 1.
fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Any tensor a graph asks for; variances positive.
struct Numbers(Vec<Parameter>);

impl TensorSource for Numbers {
    fn origin(&self) -> PathBuf {
        "numbers".into()
    }
    fn digest(&self) -> String {
        String::new()
    }
    fn entries(&self) -> Vec<Parameter> {
        self.0.clone()
    }
    fn read(&self, name: &str) -> Result<Weights> {
        let at = self.0.iter().position(|p| p.name == name).ok_or_else(|| Error::weights(self.origin(), name, "none"))?;
        let shape = self.0[at].shape.clone();
        let mut data = numbers(at as u32, shape.iter().product());
        if name.ends_with("running_var") {
            data.iter_mut().for_each(|v| *v = 1.0 + v.abs());
        }
        Ok(Weights { shape, data })
    }
}

fn max_difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max)
}

/// One op on an input of one image, by the reference engine; with `track` on the way that has
/// gradients.
fn one(op: Op, input: [usize; 3], track: bool) -> (Vec<f32>, Vec<f32>) {
    let (mut graph, x) = Graph::new(input[0]);
    let out = graph.add("op", op, &[x]);
    graph.tap("out", out);
    let data = numbers(7, input.iter().product());
    let source = Numbers(graph.parameters());
    let parameters = parameters(&graph, &source, &Device::Cpu, DType::F32).unwrap();
    let mut tensor = Tensor::from_slice(&data, (1, input[0], input[1], input[2]), &Device::Cpu).unwrap();
    if track {
        tensor = Var::from_tensor(&tensor).unwrap().into_inner();
    }
    let value = forward(&graph, &parameters, &tensor).unwrap().remove(0);
    (data, value.flatten_all().unwrap().to_vec1().unwrap())
}

/// Windows of a pool in PyTorch's words, channel by channel.
fn pool_loop(pool: &Pool, max: bool, input: [usize; 3], data: &[f32], output: [usize; 2]) -> Vec<f32> {
    let [c, h, w] = input;
    let [t, b, l, r] = resolve_padding(pool.padding, [h, w], pool.kernel, pool.stride).map(|p| p as isize);
    let mut out = vec![];
    for channel in 0..c {
        for y in 0..output[0] {
            for x in 0..output[1] {
                let (y0, x0) = ((y * pool.stride[0]) as isize - t, (x * pool.stride[1]) as isize - l);
                let (y1, x1) = ((y0 + pool.kernel[0] as isize).min(h as isize + b), (x0 + pool.kernel[1] as isize).min(w as isize + r));
                let (mut best, mut sum, mut inside) = (f32::NEG_INFINITY, 0.0, 0);
                for yy in y0.max(0)..y1.min(h as isize) {
                    for xx in x0.max(0)..x1.min(w as isize) {
                        let v = data[(channel * h + yy as usize) * w + xx as usize];
                        (best, sum, inside) = (best.max(v), sum + v, inside + 1);
                    }
                }
                let cells = if pool.count_padding { ((y1 - y0) * (x1 - x0)) as usize } else { inside };
                out.push(if max { best } else { sum / cells as f32 });
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pools_are_pytorchs(kernel in [1usize..4, 1usize..4], stride in [1usize..4, 1usize..4], side in [4usize..11, 4usize..11],
                          pad in 0usize..2, same: bool, ceil: bool, count_padding: bool, track: bool) {
        let pad = pad.min(kernel[0] / 2).min(kernel[1] / 2);
        let padding = if same { Padding::Same } else { Padding::all(pad) };
        let pool = Pool { kernel, stride, padding, ceil, count_padding };
        let input = [2, side[0], side[1]];
        for max in [true, false] {
            let op = if max { Op::MaxPool(pool.clone()) } else { Op::AvgPool(pool.clone()) };
            let (mut graph, x) = Graph::new(2);
            graph.add("pool", op.clone(), &[x]);
            let shape = graph.shapes(input).unwrap().remove(1);
            let (data, got) = one(op, input, track);
            let want = pool_loop(&pool, max, input, &data, [shape[1], shape[2]]);
            prop_assert!(max_difference(&got, &want) < 1e-5, "{pool:?} max {max}: {got:?} {want:?}");
        }
    }

    #[test]
    fn convolutions_are_plain_sums(kernel in [1usize..4, 1usize..4], stride in 1usize..3, side in [5usize..9, 5usize..9],
                                   padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3], groups in prop::sample::select(vec![1usize, 2, 4])) {
        let conv = Conv { input: 4, output: 8, kernel, stride: [stride; 2], padding: Padding::Explicit(padding), groups, bias: true };
        let [h, w] = side;
        let (data, got) = one(Op::Conv(conv.clone()), [4, h, w], false);
        let per_group = 4 / groups;
        let (weight, bias) = (numbers(0, 8 * per_group * kernel[0] * kernel[1]), numbers(1, 8));
        let [oh, ow] = [(h + padding[0] + padding[1] - kernel[0]) / stride + 1, (w + padding[2] + padding[3] - kernel[1]) / stride + 1];
        let mut want = vec![];
        for o in 0..8 {
            for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                let mut sum = bias[o];
                for (i, ky, kx) in (0..per_group).flat_map(|i| (0..kernel[0]).flat_map(move |a| (0..kernel[1]).map(move |b| (i, a, b)))) {
                    let (yy, xx) = ((y * stride + ky).wrapping_sub(padding[0]), (x * stride + kx).wrapping_sub(padding[2]));
                    if yy < h && xx < w {
                        let channel = o / (8 / groups) * per_group + i;
                        sum += data[(channel * h + yy) * w + xx] * weight[((o * per_group + i) * kernel[0] + ky) * kernel[1] + kx];
                    }
                }
                want.push(sum);
            }
        }
        prop_assert!(max_difference(&got, &want) < 1e-4);
    }

    #[test]
    fn adaptive_pooling_is_pytorchs(side in [1usize..12, 1usize..12], to in [1usize..8, 1usize..8]) {
        let [h, w] = side;
        let (data, got) = one(Op::AdaptiveAvgPool(to), [2, h, w], false);
        let mut want = vec![];
        for (c, i, j) in (0..2).flat_map(|c| (0..to[0]).flat_map(move |i| (0..to[1]).map(move |j| (c, i, j)))) {
            let (rows, columns) = (i * h / to[0]..((i + 1) * h).div_ceil(to[0]), j * w / to[1]..((j + 1) * w).div_ceil(to[1]));
            let cells = (rows.len() * columns.len()) as f32;
            want.push(rows.map(|y| columns.clone().map(|x| data[(c * h + y) * w + x]).sum::<f32>()).sum::<f32>() / cells);
        }
        prop_assert!(max_difference(&got, &want) < 1e-5);
    }
}

fn conv(input: usize, output: usize, side: usize, padding: Padding, groups: usize) -> Op {
    Op::Conv(Conv { input, output, kernel: [side; 2], stride: [1; 2], padding, groups, bias: groups == 1 })
}

/// Every op once or more, with residuals, gates, taps inside.
fn everything() -> Graph {
    let (mut g, x) = Graph::new(3);
    let norm = |g: &mut Graph, name: &str, x: NodeId, channels| g.add(name, Op::BatchNorm { channels, eps: 1e-3 }, &[x]);
    let t = g.add("transform", Op::Affine { scale: vec![0.5, 2.0, 1.0], shift: vec![0.1, -0.2, 0.3] }, &[x]);
    let stem = g.add("stem", conv(3, 8, 3, Padding::all(0), 1), &[t]);
    let n = norm(&mut g, "stem_bn", stem, 8);
    let a = g.add("stem_act", Op::Act(Act::HardSwish), &[n]);
    let pooled = g.add(
        "pool",
        Op::MaxPool(Pool { kernel: [3; 2], stride: [2; 2], padding: Padding::all(1), ceil: true, count_padding: true }),
        &[a],
    );
    let deep = g.add("depthwise", conv(8, 8, 3, Padding::Same, 8), &[pooled]);
    let n = norm(&mut g, "depthwise_bn", deep, 8);
    let a = g.add("depthwise_act", Op::Act(Act::Silu), &[n]);
    let squeezed = g.add("squeeze", Op::AdaptiveAvgPool([1, 1]), &[a]);
    let gate = g.add("gate", conv(8, 8, 1, Padding::all(0), 1), &[squeezed]);
    let gate = g.add("sigmoid", Op::Act(Act::Sigmoid), &[gate]);
    let gated = g.add("gated", Op::Mul, &[a, gate]);
    let project = g.add("project", conv(8, 8, 1, Padding::all(0), 1), &[gated]);
    let n = norm(&mut g, "project_bn", project, 8);
    let sum = g.add("add", Op::Add, &[n, pooled]);
    let sum = g.add("sum_act", Op::Act(Act::Relu), &[sum]);
    let low = g.add("low", Op::Slice { start: 0, len: 4 }, &[sum]);
    let high = g.add("high", Op::Slice { start: 4, len: 4 }, &[sum]);
    let high = g.add("high_conv", conv(4, 4, 3, Padding::all(1), 1), &[high]);
    let joined = g.add("concat", Op::Concat, &[low, high]);
    let shuffled = g.add("shuffle", Op::Shuffle { groups: 2 }, &[joined]);
    let pre = norm(&mut g, "pre_bn", shuffled, 8);
    let pre = g.add("pre_act", Op::Act(Act::Relu6), &[pre]);
    let ln = g.add("ln", Op::LayerNorm { channels: 8, eps: 1e-6 }, &[pre]);
    let wide = g.add("wide", Op::Linear { input: 8, output: 16, bias: true }, &[ln]);
    let wide = g.add("gelu", Op::Act(Act::Gelu), &[wide]);
    let narrow = g.add("narrow", Op::Linear { input: 16, output: 8, bias: true }, &[wide]);
    let scaled = g.add("layer_scale", Op::LayerScale { channels: 8, tokens: false }, &[narrow]);
    let sum = g.add("block_add", Op::Add, &[scaled, shuffled]);
    let pool = Pool { kernel: [2; 2], stride: [2; 2], padding: Padding::all(1), ceil: false, count_padding: false };
    let avg = g.add("avg", Op::AvgPool(pool), &[sum]);
    let two = g.add("adaptive", Op::AdaptiveAvgPool([3, 2]), &[avg]);
    let flat = g.add("flatten", Op::Flatten, &[two]);
    let fc = g.add("fc", Op::Linear { input: 48, output: 5, bias: true }, &[flat]);
    let out = g.add("fc_act", Op::Act(Act::HardSigmoid), &[fc]);
    for (name, id) in [("stem", stem), ("sum", sum), ("project_bn", n), ("map", avg), ("flat", flat), ("out", out)] {
        g.tap(name, id);
    }
    g
}

#[test]
fn planned_and_unplanned_graphs_agree() {
    let graph = everything();
    let source = Numbers(graph.parameters());
    let (images, shape) = (3, [3, 11, 12]);
    let data = numbers(99, images * shape.iter().product::<usize>());
    let batch = Batch::Floats { images, shape, data: &data };
    for taps in [vec!["out"], vec!["flat", "map"], vec!["out", "project_bn", "stem", "sum"]] {
        let taps: Vec<String> = taps.into_iter().map(String::from).collect();
        let plain = CandleEngine::new(&graph, &source, &taps, shape, &Device::Cpu, DType::F64).unwrap();
        let plan = Plan::new(&graph, &source, &taps, shape).unwrap();
        let planned = CandleEngine::planned(plan, &Device::Cpu, DType::F64).unwrap();
        for ((tap, want), got) in taps.iter().zip(plain.run(batch).unwrap()).zip(planned.run(batch).unwrap()) {
            let error = centred_error(&got, &want, images);
            assert!(error < 1e-6, "{tap}: {error:e}");
        }
    }
}

#[test]
fn pixels_are_normalised_as_the_preprocess_says() {
    let (mut graph, x) = Graph::new(3);
    let same = graph.add("flatten", Op::Flatten, &[x]);
    graph.tap("flat", same);
    let rgb: Vec<u8> = (0..2 * 4 * 5 * 3).map(|i| (i * 37 % 256) as u8).collect();
    let engine = CandleEngine::new(&graph, &Numbers(vec![]), &["flat".into()], [3, 4, 5], &Device::Cpu, DType::F32).unwrap();
    for bgr in [false, true] {
        let normalise = Normalise { scale: [0.017, 0.018, 0.019], shift: [-2.1, -2.0, -1.8], bgr };
        let got = engine.run(Batch::Pixels { images: 2, size: [4, 5], rgb: &rgb, normalise: &normalise }).unwrap().remove(0);
        assert_eq!(got, normalise.planar(&rgb, 20));
    }
}

#[test]
fn a_batch_of_another_shape_is_refused() {
    let (graph, _) = Graph::new(3);
    let engine = CandleEngine::new(&graph, &Numbers(vec![]), &[], [3, 4, 5], &Device::Cpu, DType::F32).unwrap();
    let error = engine.run(Batch::Floats { images: 1, shape: [3, 5, 5], data: &[0.0; 75] }).unwrap_err();
    assert!(error.to_string().contains("[3, 4, 5]"), "{error}");
}

/// The seam for training what lies behind a tap: cut, cache, train the tail.
#[test]
fn a_tail_trains_from_cached_activations() {
    let graph = everything();
    let source = Numbers(graph.parameters());
    let (images, shape) = (4, [3usize, 11, 12]);
    let data = numbers(5, images * shape.iter().product::<usize>());
    let prefix = CandleEngine::new(&graph, &source, &["stem".into()], shape, &Device::Cpu, DType::F32).unwrap();
    let cached = prefix.run(Batch::Floats { images, shape, data: &data }).unwrap().remove(0);
    let map = graph.shapes(shape).unwrap()[graph.find_tap("stem").unwrap()].clone();
    // f64 from here on, so that finite differences have digits to show.
    let input = Tensor::from_vec(cached, (images, map[0], map[1], map[2]), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();

    let tail = graph.suffix("stem", map[0]).unwrap().prune(&["out".into()]).unwrap();
    let frozen = parameters(&tail, &source, &Device::Cpu, DType::F64).unwrap();
    let vars: std::collections::BTreeMap<String, Var> =
        frozen.iter().map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap())).collect();
    let trained: Parameters = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
    let loss = |parameters: &Parameters| forward(&tail, parameters, &input).unwrap()[0].sqr().unwrap().mean_all().unwrap();

    let grads = loss(&trained).backward().unwrap();
    for (name, var) in &vars {
        let grad = grads.get(var).unwrap_or_else(|| panic!("`{name}` has no gradient"));
        let values: Vec<f64> = var.flatten_all().unwrap().to_vec1().unwrap();
        let at = values.len() / 2;
        let moved = |by: f64| {
            let mut moved = values.clone();
            moved[at] += by;
            let mut parameters = frozen.clone();
            parameters.insert(name.clone(), Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap());
            loss(&parameters).to_scalar::<f64>().unwrap()
        };
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        let exact = grad.flatten_all().unwrap().get(at).unwrap().to_scalar::<f64>().unwrap();
        assert!((numeric - exact).abs() < 1e-7 + 1e-5 * exact.abs(), "{name}: {exact} but {numeric}");
    }

    let mut sgd = candle_nn::SGD::new(vars.values().cloned().collect(), 0.1).unwrap();
    let mut losses = vec![loss(&trained).to_scalar::<f64>().unwrap()];
    for _ in 0..3 {
        sgd.backward_step(&loss(&trained)).unwrap();
        losses.push(loss(&trained).to_scalar::<f64>().unwrap());
    }
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
}

#[test]
fn every_tap_before_a_cut_and_behind_it_is_found_again() {
    let graph = everything();
    assert!(graph.suffix("project_bn", 8).is_err(), "the residual passes by");
    let names: Vec<String> = graph.suffix("map", 8).unwrap().taps().iter().map(|(n, _)| n.clone()).collect();
    assert_eq!(names, ["flat", "out"]);
}
