//! ResNet 18–152 (He et al. 2015), ResNeXt-50 (Xie et al. 2016), Wide ResNet-50-2 (Zagoruyko &
//! Komodakis 2016).
//!
//! torchvision strides in the 3×3 convolution of a bottleneck ("v1.5"), Keras's ResNet-50 in its
//! first 1×1 one, as the paper does; its convolutions have biases, and its norms an epsilon of
//! their own.

use crate::backbones::entry::{BSD, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::backbones::usual;
use crate::graph::Graph;
use crate::preprocess::Interp;

pub(super) const ALL: [BackboneInfo; 8] = [
    info("resnet18", |o| build(o, [2, 2, 2, 2], Block::Basic)),
    info("resnet34", |o| build(o, [3, 4, 6, 3], Block::Basic)),
    BackboneInfo { twin: Some("resnet50_keras"), ..info("resnet50", |o| build(o, [3, 4, 6, 3], Block::PLAIN)) },
    info("resnet101", |o| build(o, [3, 4, 23, 3], Block::PLAIN)),
    info("resnet152", |o| build(o, [3, 8, 36, 3], Block::PLAIN)),
    info("resnext50_32x4d", |o| build(o, [3, 4, 6, 3], Block::Bottleneck { groups: 32, base: 4 })),
    info("wide_resnet50_2", |o| build(o, [3, 4, 6, 3], Block::Bottleneck { groups: 1, base: 128 })),
    BackboneInfo {
        twin: Some("resnet50"),
        ..BackboneInfo::keras("resnet50_keras", "ResNet", 224, usual::keras_caffe, |o| keras(o, [3, 4, 6, 3]))
    },
];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo { classifier: Some("fc.weight"), entries: WEIGHTS, ..BackboneInfo::new(name, "ResNet", 224, build) }
}

#[derive(Clone, Copy)]
enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1; the 3×3 has `base / 64 · channels · groups` channels.
    Bottleneck { groups: usize, base: usize },
}

impl Block {
    const PLAIN: Block = Block::Bottleneck { groups: 1, base: 64 };
}

const CHANNELS: [usize; 4] = [64, 128, 256, 512];
const STEM: Window = Window::square(7).stride(2).centred();
/// Behind a ReLU, so that Keras's padding by zeros makes no difference.
const STEM_POOL: Window = Window::square(3).stride(2).centred();

/// Stride of a block: the first of each stage but the first halves the map.
fn stride(stage: usize, block: usize) -> usize {
    if stage > 0 && block == 0 { 2 } else { 1 }
}

fn build(options: &BuildOptions, blocks: [usize; 4], kind: Block) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let x = net.conv("conv1", x, 64, STEM);
    let x = net.norm("bn1", x);
    let x = net.relu("relu", x);
    let mut x = net.max_pool("maxpool", x, STEM_POOL, false);
    for (stage, (count, channels)) in blocks.into_iter().zip(CHANNELS).enumerate() {
        let layer = format!("layer{}", stage + 1);
        for block in 0..count {
            x = residual(&mut net, &format!("{layer}.{block}"), x, channels, stride(stage, block), kind);
        }
        net.tap(layer, x);
    }
    let gap = net.last_map(x);
    net.logits("fc", gap, options.classes);
    net.finish()
}

fn residual(net: &mut Net, name: &str, input: Value, channels: usize, stride: usize, kind: Block) -> Value {
    let windows = match kind {
        Block::Basic => vec![(channels, Window::square(3).stride(stride).centred()), (channels, Window::square(3).centred())],
        Block::Bottleneck { groups, base } => {
            let width = channels * base / 64 * groups;
            let middle = Window::square(3).stride(stride).centred().groups(groups);
            vec![(width, Window::square(1)), (width, middle), (channels * 4, Window::square(1))]
        }
    };
    let mut x = input;
    for (i, &(channels, window)) in windows.iter().enumerate() {
        x = net.conv(format!("{name}.conv{}", i + 1), x, channels, window);
        x = net.norm(format!("{name}.bn{}", i + 1), x);
        if i + 1 < windows.len() {
            x = net.relu(format!("{name}.relu{}", i + 1), x);
        }
    }
    let mut shortcut = input;
    if stride > 1 || input.channels != x.channels {
        shortcut = net.conv(format!("{name}.downsample.0"), input, x.channels, Window::square(1).stride(stride));
        shortcut = net.norm(format!("{name}.downsample.1"), shortcut);
        net.tap(format!("{name}.downsample"), shortcut);
    }
    let sum = net.add(format!("{name}.add"), x, shortcut);
    let out = net.relu(format!("{name}.relu"), sum);
    net.tap(name, out);
    out
}

fn keras(options: &BuildOptions, blocks: [usize; 4]) -> Graph {
    let (mut net, x) = Net::new(1.001e-5);
    let x = net.conv("conv1_conv", x, 64, STEM.bias());
    let x = net.norm("conv1_bn", x);
    let x = net.relu("conv1_relu", x);
    let mut x = net.max_pool("pool1_pool", x, STEM_POOL, false);
    for (stage, (count, channels)) in blocks.into_iter().zip(CHANNELS).enumerate() {
        for block in 0..count {
            x = keras_block(&mut net, &format!("conv{}_block{}", stage + 2, block + 1), x, channels, stride(stage, block), block == 0);
            net.tap(format!("conv{}_block{}_out", stage + 2, block + 1), x);
        }
    }
    let gap = net.last_map(x);
    net.logits("predictions", gap, options.classes);
    net.finish()
}

fn keras_block(net: &mut Net, name: &str, input: Value, channels: usize, stride: usize, projects: bool) -> Value {
    let mut unit = |i: usize, x: Value, channels: usize, window: Window| {
        let x = net.conv(format!("{name}_{i}_conv"), x, channels, window.bias());
        let x = net.norm(format!("{name}_{i}_bn"), x);
        if i == 0 || i == 3 { x } else { net.relu(format!("{name}_{i}_relu"), x) }
    };
    let point = Window::square(1);
    let shortcut = if projects { unit(0, input, 4 * channels, point.stride(stride)) } else { input };
    let x = unit(1, input, channels, point.stride(stride));
    let x = unit(2, x, channels, Window::square(3).centred());
    let x = unit(3, x, 4 * channels, point);
    let sum = net.add(format!("{name}_add"), shortcut, x);
    net.relu(format!("{name}_out"), sum)
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm("resnet18.tv_in1k", "resnet18", "timm/resnet18.tv_in1k", [256, 224], Interp::Bilinear, Some(0.6976), BSD),
    WeightsEntry::timm("resnet34.tv_in1k", "resnet34", "timm/resnet34.tv_in1k", [256, 224], Interp::Bilinear, Some(0.73314), BSD),
    WeightsEntry::timm("resnet50.tv_in1k", "resnet50", "timm/resnet50.tv_in1k", [256, 224], Interp::Bilinear, Some(0.7613), BSD),
    WeightsEntry::timm("resnet101.tv_in1k", "resnet101", "timm/resnet101.tv_in1k", [256, 224], Interp::Bilinear, Some(0.77376), BSD),
    WeightsEntry::timm("resnet152.tv_in1k", "resnet152", "timm/resnet152.tv_in1k", [256, 224], Interp::Bilinear, Some(0.78322), BSD),
    WeightsEntry::timm(
        "resnext50_32x4d.tv_in1k",
        "resnext50_32x4d",
        "timm/resnext50_32x4d.tv_in1k",
        [256, 224],
        Interp::Bilinear,
        Some(0.77618),
        BSD,
    ),
    WeightsEntry::timm(
        "wide_resnet50_2.tv_in1k",
        "wide_resnet50_2",
        "timm/wide_resnet50_2.tv_in1k",
        [256, 224],
        Interp::Bilinear,
        Some(0.78468),
        BSD,
    ),
    WeightsEntry::torchvision("resnet18.IMAGENET1K_V1", "resnet18", "resnet18-f37072fd.pth", [256, 224], Interp::Bilinear, 0.69758),
    WeightsEntry::torchvision("resnet34.IMAGENET1K_V1", "resnet34", "resnet34-b627a593.pth", [256, 224], Interp::Bilinear, 0.73314),
    WeightsEntry::torchvision("resnet50.IMAGENET1K_V1", "resnet50", "resnet50-0676ba61.pth", [256, 224], Interp::Bilinear, 0.7613),
    WeightsEntry::torchvision("resnet50.IMAGENET1K_V2", "resnet50", "resnet50-11ad3fa6.pth", [232, 224], Interp::Bilinear, 0.80858),
    WeightsEntry::torchvision("resnet101.IMAGENET1K_V1", "resnet101", "resnet101-63fe2227.pth", [256, 224], Interp::Bilinear, 0.77374),
    WeightsEntry::torchvision("resnet101.IMAGENET1K_V2", "resnet101", "resnet101-cd907fc2.pth", [232, 224], Interp::Bilinear, 0.81886),
    WeightsEntry::torchvision("resnet152.IMAGENET1K_V1", "resnet152", "resnet152-394f9c45.pth", [256, 224], Interp::Bilinear, 0.78312),
    WeightsEntry::torchvision("resnet152.IMAGENET1K_V2", "resnet152", "resnet152-f82ba261.pth", [232, 224], Interp::Bilinear, 0.82284),
    WeightsEntry::torchvision(
        "resnext50_32x4d.IMAGENET1K_V1",
        "resnext50_32x4d",
        "resnext50_32x4d-7cdf4587.pth",
        [256, 224],
        Interp::Bilinear,
        0.77618,
    ),
    WeightsEntry::torchvision(
        "resnext50_32x4d.IMAGENET1K_V2",
        "resnext50_32x4d",
        "resnext50_32x4d-1a0047aa.pth",
        [232, 224],
        Interp::Bilinear,
        0.81198,
    ),
    WeightsEntry::torchvision(
        "wide_resnet50_2.IMAGENET1K_V1",
        "wide_resnet50_2",
        "wide_resnet50_2-95faca4d.pth",
        [256, 224],
        Interp::Bilinear,
        0.78468,
    ),
    WeightsEntry::torchvision(
        "wide_resnet50_2.IMAGENET1K_V2",
        "wide_resnet50_2",
        "wide_resnet50_2-9ba9bcbe.pth",
        [232, 224],
        Interp::Bilinear,
        0.81602,
    ),
];
