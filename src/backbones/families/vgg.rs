//! VGG 11, 13, 16, 19, each with and without batch norm (Simonyan & Zisserman 2014).
//!
//! Keras's VGG 16 and 19 compute the same under other names, for other inputs: its weights want BGR
//! less a mean.

use crate::backbones::entry::{BSD, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Window};
use crate::backbones::options::BuildOptions;
use crate::backbones::usual;
use crate::graph::Graph;
use crate::graph::Parameter;
use crate::preprocess::Interp;
use crate::weights::mapping::timm::by_module;
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 10] = [
    info("vgg11", |o| build(o, [1, 1, 2, 2, 2], false)),
    info("vgg11_bn", |o| build(o, [1, 1, 2, 2, 2], true)),
    info("vgg13", |o| build(o, [2, 2, 2, 2, 2], false)),
    info("vgg13_bn", |o| build(o, [2, 2, 2, 2, 2], true)),
    BackboneInfo { twin: Some("vgg16_keras"), ..info("vgg16", |o| build(o, [2, 2, 3, 3, 3], false)) },
    info("vgg16_bn", |o| build(o, [2, 2, 3, 3, 3], true)),
    BackboneInfo { twin: Some("vgg19_keras"), ..info("vgg19", |o| build(o, [2, 2, 4, 4, 4], false)) },
    info("vgg19_bn", |o| build(o, [2, 2, 4, 4, 4], true)),
    keras_info("vgg16_keras", "vgg16", |o| keras(o, [2, 2, 3, 3, 3])),
    keras_info("vgg19_keras", "vgg19", |o| keras(o, [2, 2, 4, 4, 4])),
];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("classifier.6.weight"),
        entries: WEIGHTS,
        naming: Naming::with(&[TIMM]),
        ..BackboneInfo::new(name, "VGG", 224, build)
    }
}

const fn keras_info(name: &'static str, twin: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo { twin: Some(twin), ..BackboneInfo::keras(name, "VGG", 224, usual::keras_caffe, build) }
}

const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];
const CONVOLUTION: Window = Window::square(3).centred().bias();
const POOL: Window = Window::square(2).stride(2);

/// `convolutions` in each of the five stages, a pool after each.
fn build(options: &BuildOptions, convolutions: [usize; 5], norm: bool) -> Graph {
    let (mut net, mut x) = Net::new(1e-5);
    let mut index = 0;
    let mut module = || {
        index += 1;
        format!("features.{}", index - 1)
    };
    for (count, channels) in convolutions.into_iter().zip(CHANNELS) {
        for _ in 0..count {
            x = net.conv(module(), x, channels, CONVOLUTION);
            if norm {
                x = net.norm(module(), x);
            }
            x = net.relu(module(), x);
        }
        x = net.max_pool(module(), x, POOL, false);
    }
    net.last_map(x);
    net.two_hidden_layers(x, [7, 7], [("classifier.0", "classifier.1"), ("classifier.3", "classifier.4")], "classifier.6", options.classes);
    net.finish()
}

/// Under Keras's names; its layers contain their activations.
fn keras(options: &BuildOptions, convolutions: [usize; 5]) -> Graph {
    let (mut net, mut x) = Net::new(0.0);
    for (stage, (count, channels)) in (1..).zip(convolutions.into_iter().zip(CHANNELS)) {
        for i in 1..=count {
            let layer = format!("block{stage}_conv{i}");
            x = net.conv(layer.clone(), x, channels, CONVOLUTION);
            x = net.relu(format!("{layer}.relu"), x);
            net.tap(layer, x);
        }
        x = net.max_pool(format!("block{stage}_pool"), x, POOL, false);
    }
    net.last_map(x);
    let hidden = net.two_hidden_layers(x, [7, 7], [("fc1", "fc1.relu"), ("fc2", "fc2.relu")], "predictions", options.classes);
    net.tap("fc1", hidden[0]);
    net.tap("fc2", hidden[1]);
    net.finish()
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm("vgg11.tv_in1k", "vgg11", "timm/vgg11.tv_in1k", [256, 224], Interp::Bilinear, Some(0.69022), BSD),
    WeightsEntry::timm("vgg11_bn.tv_in1k", "vgg11_bn", "timm/vgg11_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.70382), BSD),
    WeightsEntry::timm("vgg13.tv_in1k", "vgg13", "timm/vgg13.tv_in1k", [256, 224], Interp::Bilinear, Some(0.69932), BSD),
    WeightsEntry::timm("vgg13_bn.tv_in1k", "vgg13_bn", "timm/vgg13_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.71588), BSD),
    WeightsEntry::timm("vgg16.tv_in1k", "vgg16", "timm/vgg16.tv_in1k", [256, 224], Interp::Bilinear, Some(0.71592), BSD),
    WeightsEntry::timm("vgg16_bn.tv_in1k", "vgg16_bn", "timm/vgg16_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.7337), BSD),
    WeightsEntry::timm("vgg19.tv_in1k", "vgg19", "timm/vgg19.tv_in1k", [256, 224], Interp::Bilinear, Some(0.72378), BSD),
    WeightsEntry::timm("vgg19_bn.tv_in1k", "vgg19_bn", "timm/vgg19_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.74216), BSD),
    WeightsEntry::torchvision("vgg11.IMAGENET1K_V1", "vgg11", "vgg11-8a719046.pth", [256, 224], Interp::Bilinear, 0.6902),
    WeightsEntry::torchvision("vgg11_bn.IMAGENET1K_V1", "vgg11_bn", "vgg11_bn-6002323d.pth", [256, 224], Interp::Bilinear, 0.7037),
    WeightsEntry::torchvision("vgg13.IMAGENET1K_V1", "vgg13", "vgg13-19584684.pth", [256, 224], Interp::Bilinear, 0.69928),
    WeightsEntry::torchvision("vgg13_bn.IMAGENET1K_V1", "vgg13_bn", "vgg13_bn-abd245e5.pth", [256, 224], Interp::Bilinear, 0.71586),
    WeightsEntry::torchvision("vgg16.IMAGENET1K_V1", "vgg16", "vgg16-397923af.pth", [256, 224], Interp::Bilinear, 0.71592),
    WeightsEntry::torchvision("vgg16_bn.IMAGENET1K_V1", "vgg16_bn", "vgg16_bn-6c64b313.pth", [256, 224], Interp::Bilinear, 0.7336),
    WeightsEntry::torchvision("vgg19.IMAGENET1K_V1", "vgg19", "vgg19-dcbb9e9d.pth", [256, 224], Interp::Bilinear, 0.72376),
    WeightsEntry::torchvision("vgg19_bn.IMAGENET1K_V1", "vgg19_bn", "vgg19_bn-c79401a0.pth", [256, 224], Interp::Bilinear, 0.74218),
];

/// timm's names.
const TIMM: NameMap = NameMap { dialect: Dialect::Timm, witness: "classifier.0.weight", rename: timm };

/// Its fully connected layers are convolutions in timm.
fn timm(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    let (name, _) = by_module(p, |module| {
        Some(
            match module {
                "pre_logits.fc1" => "classifier.0",
                "pre_logits.fc2" => "classifier.3",
                "head.fc" => "classifier.6",
                _ => return None,
            }
            .into(),
        )
    })?;
    Some((name, Axes::KernelToMatrix))
}
