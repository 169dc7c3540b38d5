//! ShuffleNet v2 (Ma et al. 2018): half the channels pass by, the others are shuffled in.

use crate::backbones::entry::WeightsEntry;
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::graph::Graph;
use crate::preprocess::Interp;

pub(super) const ALL: [BackboneInfo; 4] = [
    info("shufflenet_v2_x0_5", |o| build(o, [48, 96, 192, 1024])),
    info("shufflenet_v2_x1_0", |o| build(o, [116, 232, 464, 1024])),
    info("shufflenet_v2_x1_5", |o| build(o, [176, 352, 704, 1024])),
    info("shufflenet_v2_x2_0", |o| build(o, [244, 488, 976, 2048])),
];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo { classifier: Some("fc.weight"), entries: WEIGHTS, ..BackboneInfo::new(name, "ShuffleNet v2", 224, build) }
}

fn build(options: &BuildOptions, [stage2, stage3, stage4, last]: [usize; 4]) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let x = unit(&mut net, "conv1", 0, x, 24, Window::square(3).stride(2).centred());
    net.tap("conv1", x);
    let mut x = net.max_pool("maxpool", x, Window::square(3).stride(2).centred(), false);
    for (stage, channels, blocks) in [("stage2", stage2, 4), ("stage3", stage3, 8), ("stage4", stage4, 4)] {
        for block in 0..blocks {
            x = shuffled(&mut net, &format!("{stage}.{block}"), x, channels);
        }
        net.tap(stage, x);
    }
    let map = unit(&mut net, "conv5", 0, x, last, Window::square(1));
    net.tap("conv5", map);
    let gap = net.last_map(map);
    net.logits("fc", gap, options.classes);
    net.finish()
}

/// Convolution, norm, ReLU: modules `first`, `first + 1`, `first + 2` of a sequence.
fn unit(net: &mut Net, sequence: &str, first: usize, x: Value, channels: usize, window: Window) -> Value {
    let x = net.conv(format!("{sequence}.{first}"), x, channels, window);
    let x = net.norm(format!("{sequence}.{}", first + 1), x);
    net.relu(format!("{sequence}.{}", first + 2), x)
}

/// A depthwise convolution and its norm, without an activation.
fn depthwise(net: &mut Net, sequence: &str, first: usize, x: Value, stride: usize) -> Value {
    let window = Window::square(3).stride(stride).centred().groups(x.channels);
    let x = net.conv(format!("{sequence}.{first}"), x, x.channels, window);
    net.norm(format!("{sequence}.{}", first + 1), x)
}

/// A block; one that changes the channel count also halves the map, and then nothing passes by.
fn shuffled(net: &mut Net, name: &str, input: Value, channels: usize) -> Value {
    let half = channels / 2;
    let (branch1, branch2) = (format!("{name}.branch1"), format!("{name}.branch2"));
    let halves = input.channels != channels;
    let (passing, x) = if halves {
        let x = depthwise(net, &branch1, 0, input, 2);
        (unit(net, &branch1, 2, x, half, Window::square(1)), input)
    } else {
        let low = net.slice(format!("{name}.low"), input, 0, half);
        (low, net.slice(format!("{name}.high"), input, half, half))
    };
    let x = unit(net, &branch2, 0, x, half, Window::square(1));
    let x = depthwise(net, &branch2, 3, x, if halves { 2 } else { 1 });
    let x = unit(net, &branch2, 5, x, half, Window::square(1));
    let joined = net.concat(format!("{name}.concat"), &[passing, x]);
    let out = net.shuffle(format!("{name}.shuffle"), joined, 2);
    net.tap(name, out);
    out
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::torchvision(
        "shufflenet_v2_x0_5.IMAGENET1K_V1",
        "shufflenet_v2_x0_5",
        "shufflenetv2_x0.5-f707e7126e.pth",
        [256, 224],
        Interp::Bilinear,
        0.60552,
    ),
    WeightsEntry::torchvision(
        "shufflenet_v2_x1_0.IMAGENET1K_V1",
        "shufflenet_v2_x1_0",
        "shufflenetv2_x1-5666bf0f80.pth",
        [256, 224],
        Interp::Bilinear,
        0.69362,
    ),
    WeightsEntry::torchvision(
        "shufflenet_v2_x1_5.IMAGENET1K_V1",
        "shufflenet_v2_x1_5",
        "shufflenetv2_x1_5-3c479a10.pth",
        [232, 224],
        Interp::Bilinear,
        0.72996,
    ),
    WeightsEntry::torchvision(
        "shufflenet_v2_x2_0.IMAGENET1K_V1",
        "shufflenet_v2_x2_0",
        "shufflenetv2_x2_0-8be3c8ee.pth",
        [232, 224],
        Interp::Bilinear,
        0.7623,
    ),
];
