//! DenseNet 121, 161, 169, 201 (Huang et al. 2016): every layer reads all maps before it in its
//! block.

use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::graph::Graph;
use crate::graph::Parameter;
use crate::preprocess::Interp;
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 4] = [
    info("densenet121", |o| build(o, 64, 32, [6, 12, 24, 16])),
    info("densenet161", |o| build(o, 96, 48, [6, 12, 36, 24])),
    info("densenet169", |o| build(o, 64, 32, [6, 12, 32, 32])),
    info("densenet201", |o| build(o, 64, 32, [6, 12, 48, 32])),
];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("classifier.weight"),
        entries: WEIGHTS,
        naming: Naming::with(&[OLDER]),
        ..BackboneInfo::new(name, "DenseNet", 224, build)
    }
}

/// `growth` is the number of channels that each layer adds.
fn build(options: &BuildOptions, stem: usize, growth: usize, layers: [usize; 4]) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let x = net.conv("features.conv0", x, stem, Window::square(7).stride(2).centred());
    let x = net.norm("features.norm0", x);
    let x = net.relu("features.relu0", x);
    let mut x = net.max_pool("features.pool0", x, Window::square(3).stride(2).centred(), false);
    for (block, count) in layers.into_iter().enumerate() {
        let name = format!("features.denseblock{}", block + 1);
        for layer in 0..count {
            let layer = format!("{name}.denselayer{}", layer + 1);
            let new = dense_layer(&mut net, &layer, x, growth);
            x = net.concat(format!("{layer}.concat"), &[x, new]);
        }
        net.tap(name, x);
        if block + 1 < layers.len() {
            x = transition(&mut net, &format!("features.transition{}", block + 1), x);
        }
    }
    let x = net.norm("features.norm5", x);
    net.tap("features", x);
    let map = net.relu("relu", x);
    let gap = net.last_map(map);
    net.logits("classifier", gap, options.classes);
    net.finish()
}

fn dense_layer(net: &mut Net, name: &str, x: Value, growth: usize) -> Value {
    let x = net.norm(format!("{name}.norm1"), x);
    let x = net.relu(format!("{name}.relu1"), x);
    let x = net.conv(format!("{name}.conv1"), x, 4 * growth, Window::square(1));
    let x = net.norm(format!("{name}.norm2"), x);
    let x = net.relu(format!("{name}.relu2"), x);
    let x = net.conv(format!("{name}.conv2"), x, growth, Window::square(3).centred());
    net.tap(name, x);
    x
}

/// Halves the channels and both sides.
fn transition(net: &mut Net, name: &str, x: Value) -> Value {
    let x = net.norm(format!("{name}.norm"), x);
    let x = net.relu(format!("{name}.relu"), x);
    let x = net.conv(format!("{name}.conv"), x, x.channels / 2, Window::square(1));
    let x = net.avg_pool(format!("{name}.pool"), x, Window::square(2).stride(2), true);
    net.tap(name, x);
    x
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm(
        "densenet121.tv_in1k",
        "densenet121",
        "timm/densenet121.tv_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.74764),
        APACHE,
    ),
    WeightsEntry::timm(
        "densenet161.tv_in1k",
        "densenet161",
        "timm/densenet161.tv_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.77358),
        APACHE,
    ),
    WeightsEntry::timm("densenet169.tv_in1k", "densenet169", "timm/densenet169.tv_in1k", [256, 224], Interp::Bicubic, Some(0.759), APACHE),
    WeightsEntry::timm(
        "densenet201.tv_in1k",
        "densenet201",
        "timm/densenet201.tv_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.77286),
        APACHE,
    ),
    WeightsEntry::torchvision(
        "densenet121.IMAGENET1K_V1",
        "densenet121",
        "densenet121-a639ec97.pth",
        [256, 224],
        Interp::Bilinear,
        0.74434,
    ),
    WeightsEntry::torchvision(
        "densenet161.IMAGENET1K_V1",
        "densenet161",
        "densenet161-8d451a50.pth",
        [256, 224],
        Interp::Bilinear,
        0.77138,
    ),
    WeightsEntry::torchvision("densenet169.IMAGENET1K_V1", "densenet169", "densenet169-b2777c0a.pth", [256, 224], Interp::Bilinear, 0.756),
    WeightsEntry::torchvision(
        "densenet201.IMAGENET1K_V1",
        "densenet201",
        "densenet201-c1103571.pth",
        [256, 224],
        Interp::Bilinear,
        0.76896,
    ),
];

/// Older names of torchvision's own, which its published files still carry.
const OLDER: NameMap = NameMap { dialect: Dialect::Native, witness: "features.denseblock1.denselayer1.norm1.weight", rename: older };

/// `denselayer1.norm.1` became `denselayer1.norm1` when module names could no longer hold dots.
fn older(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    let parts = ["norm.1.", "norm.2.", "conv.1.", "conv.2."];
    let old = parts.into_iter().find(|part| p.name.contains("denselayer") && p.name.contains(&format!(".{part}")));
    let name = old.map_or(p.name.clone(), |part| p.name.replacen(&format!(".{part}"), &format!(".{}", part.replacen('.', "", 1)), 1));
    Some((name, Axes::Same))
}
