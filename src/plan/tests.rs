use std::path::PathBuf;

use super::*;
use crate::Result;
use crate::graph::{Act, Conv, Graph, Op, Padding, Parameter, Pool};
use crate::weights::{Formula, Tensor, TensorSource};

/// Plain sequences: enough to tell channels apart.
struct Counting;

impl TensorSource for Counting {
    fn origin(&self) -> PathBuf {
        "counting".into()
    }
    fn digest(&self) -> String {
        String::new()
    }
    fn entries(&self) -> Vec<Parameter> {
        vec![]
    }
    fn read(&self, name: &str) -> Result<Tensor> {
        if name.starts_with("conv") && name.ends_with("weight") {
            return Ok(Tensor { shape: vec![2, 2, 1, 1], data: vec![1.0, 2.0, 3.0, 4.0] });
        }
        let base = match name.rsplit('.').next() {
            Some("running_var") => 3.0,
            Some("running_mean") => 10.0,
            _ => 1.0,
        };
        Ok(Tensor { shape: vec![2], data: vec![base, base + 1.0] })
    }
}

fn conv(padding: usize) -> Op {
    Op::Conv(Conv { input: 2, output: 2, kernel: [1, 1], stride: [1, 1], padding: Padding::all(padding), groups: 1, bias: false })
}

const NORM: Op = Op::BatchNorm { channels: 2, eps: 1.0 };

fn plan(graph: &Graph, taps: &[&str]) -> Plan {
    let taps: Vec<String> = taps.iter().map(|t| t.to_string()).collect();
    Plan::new(graph, &Counting, &taps, [2, 4, 4]).unwrap()
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.name.as_str()).collect()
}

/// input → conv1 → bn → relu → conv2 → bn → (+ relu's value) → relu
fn residual_block() -> Graph {
    let (mut g, x) = Graph::new(2);
    let c1 = g.add("conv1", conv(0), &[x]);
    let n1 = g.add("bn1", NORM, &[c1]);
    let r1 = g.add("relu1", Op::Act(Act::Relu), &[n1]);
    let c2 = g.add("conv2", conv(0), &[r1]);
    let n2 = g.add("bn2", NORM, &[c2]);
    let sum = g.add("add", Op::Add, &[n2, r1]);
    let out = g.add("relu2", Op::Act(Act::Relu), &[sum]);
    let pooled = g.add("pool", Op::AdaptiveAvgPool([1, 1]), &[out]);
    let flat = g.add("flatten", Op::Flatten, &[pooled]);
    for (name, id) in [("conv2", c2), ("bn2", n2), ("out", out), ("gap", flat), ("input", x)] {
        g.tap(name, id);
    }
    g
}

#[test]
fn a_residual_block_becomes_two_convolutions() {
    let plan = plan(&residual_block(), &["gap"]);
    assert_eq!(names(&plan), ["conv1", "conv2", "pool", "flatten"]);
    let Layer::Conv { weight, bias, residual: true, act: Some(Act::Relu), .. } = &plan.steps[1].layer else {
        panic!("{:?}", plan.steps[1])
    };
    // Scale 1/√(3+1), 2/√(4+1); shift bias − mean · scale.
    let scale = [1.0 / 2.0, 2.0 / 5f64.sqrt()];
    let want = [scale[0], 2.0 * scale[0], 3.0 * scale[1], 4.0 * scale[1]];
    assert!(weight.iter().zip(want).all(|(&w, v)| w == v as f32));
    assert_eq!(bias[..], [(1.0 - 10.0 * scale[0]) as f32, (2.0 - 11.0 * scale[1]) as f32]);
    assert_eq!(plan.steps[1].inputs, [plan.steps[0].output, plan.steps[0].output]);
    assert_eq!(plan.tap_shapes(), [vec![2]]);
}

#[test]
fn fusion_stops_at_taps() {
    let g = residual_block();
    assert_eq!(names(&plan(&g, &["conv2", "gap"])), ["conv1", "conv2", "bn2", "add", "pool", "flatten"]);
    assert_eq!(names(&plan(&g, &["out", "bn2"])), ["conv1", "conv2", "add"]);
    let only_input = plan(&g, &["input"]);
    assert_eq!((only_input.steps.len(), only_input.taps), (0, vec![0]));
}

#[test]
fn an_affine_map_joins_the_convolution_behind_it_only_without_padding() {
    for (padding, steps) in [(0, vec!["transform"]), (1, vec!["transform", "conv1"])] {
        let (mut g, x) = Graph::new(2);
        let t = g.add("transform", Op::Affine { scale: vec![2.0, 3.0], shift: vec![5.0, 7.0] }, &[x]);
        let c = g.add("conv1", conv(padding), &[t]);
        g.tap("out", c);
        let plan = plan(&g, &["out"]);
        assert_eq!(names(&plan), steps);
        if let Layer::Conv { weight, bias, .. } = &plan.steps[0].layer {
            assert_eq!((&weight[..], &bias[..]), (&[2.0, 6.0, 6.0, 12.0][..], &[19.0, 43.0][..]));
        }
    }
}

#[test]
fn the_sum_of_two_branches_waits_for_both() {
    let (mut g, x) = Graph::new(2);
    let a = g.add("conv_a", conv(0), &[x]);
    let b = g.add(
        "shortcut",
        Op::MaxPool(Pool { kernel: [1, 1], stride: [1, 1], padding: Padding::Same, ceil: false, count_padding: true }),
        &[x],
    );
    let sum = g.add("add", Op::Add, &[a, b]);
    g.tap("out", sum);
    let plan = plan(&g, &["out"]);
    assert_eq!(names(&plan), ["shortcut", "conv_a"]);
    assert_eq!(plan.steps[1].inputs, [0, plan.steps[0].output]);
}

#[test]
fn a_value_added_to_itself_is_no_residual_of_its_own() {
    let (mut g, x) = Graph::new(2);
    let a = g.add("conv_a", conv(0), &[x]);
    let sum = g.add("add", Op::Add, &[a, a]);
    g.tap("out", sum);
    assert_eq!(names(&plan(&g, &["out"])), ["conv_a", "add"]);
}

#[test]
fn what_changes_nothing_costs_nothing() {
    let (mut g, x) = Graph::new(2);
    let c = g.add("conv1", conv(0), &[x]);
    let p = g.add("avgpool", Op::AdaptiveAvgPool([4, 4]), &[c]);
    let r = g.add("relu", Op::Act(Act::Relu), &[p]);
    g.tap("pooled", p);
    g.tap("out", r);
    let both = plan(&g, &["pooled", "out"]);
    assert_eq!(names(&both), ["conv1", "relu"]);
    assert_eq!(both.taps, [1, 2]);
    assert_eq!(names(&plan(&g, &["out"])), ["conv1"]);
}

#[test]
fn what_bf16_may_do_depends_on_the_whole_network_and_not_on_the_taps() {
    for (name, tap, is_delicate) in [("googlenet", "conv1", true), ("mobilenet_v2", "features.0", true), ("resnet18", "layer1", false)] {
        let graph = crate::backbones::find(name).unwrap().graph(&crate::backbones::BuildOptions::default());
        let plan = Plan::new(&graph, &Formula::new(graph.parameters(), 0), &[tap.into()], [3, 64, 64]).unwrap();
        assert_eq!(plan.is_delicate, is_delicate, "{name}");
    }
}
