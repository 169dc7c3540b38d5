//! EfficientNet B0–B4 (Tan & Le 2019) as torchvision has them.

use super::efficientnet_lite::round_channels;
use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::graph::Act::{Sigmoid, Silu};
use crate::graph::Graph;
use crate::graph::Parameter;
use crate::preprocess::Interp;
use crate::weights::mapping::timm::{Part, by_module};
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 5] = [
    info("efficientnet_b0", 224, |o| build(o, 1.0, 1.0)),
    info("efficientnet_b1", 240, |o| build(o, 1.0, 1.1)),
    info("efficientnet_b2", 288, |o| build(o, 1.1, 1.2)),
    info("efficientnet_b3", 300, |o| build(o, 1.2, 1.4)),
    info("efficientnet_b4", 380, |o| build(o, 1.4, 1.8)),
];

const fn info(name: &'static str, size: usize, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("classifier.1.weight"),
        entries: WEIGHTS,
        naming: Naming::with(&[TIMM]),
        ..BackboneInfo::new(name, "EfficientNet", size, build)
    }
}

/// Expansion, kernel, stride, channels, blocks of each stage.
const STAGES: [[usize; 5]; 7] =
    [[1, 3, 1, 16, 1], [6, 3, 2, 24, 2], [6, 5, 2, 40, 2], [6, 3, 2, 80, 3], [6, 5, 1, 112, 3], [6, 5, 2, 192, 4], [6, 3, 1, 320, 1]];

fn build(options: &BuildOptions, width: f64, depth: f64) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let mut x = net.unit("features.0", x, round_channels(32, width), Window::square(3).stride(2).centred(), Some(Silu));
    for (stage, [expansion, kernel, stride, channels, blocks]) in STAGES.into_iter().enumerate() {
        let stage = format!("features.{}", stage + 1);
        for block in 0..(blocks as f64 * depth).ceil() as usize {
            let window = Window::square(kernel).stride(if block == 0 { stride } else { 1 }).centred();
            x = inverted(&mut net, &format!("{stage}.{block}"), x, round_channels(channels, width), expansion, window);
        }
        net.tap(stage, x);
    }
    let map = net.unit("features.8", x, 4 * x.channels, Window::square(1), Some(Silu));
    let gap = net.last_map(map);
    net.logits("classifier.1", gap, options.classes);
    net.finish()
}

fn inverted(net: &mut Net, name: &str, input: Value, channels: usize, expansion: usize, window: Window) -> Value {
    let mut module = 0;
    let mut next = || {
        module += 1;
        format!("{name}.block.{}", module - 1)
    };
    let wide = input.channels * expansion;
    let mut x = input;
    if expansion > 1 {
        x = net.unit(&next(), x, wide, Window::square(1), Some(Silu));
    }
    x = net.unit(&next(), x, wide, window.groups(wide), Some(Silu));
    x = net.squeeze_excite(&next(), x, (input.channels / 4).max(1), Silu, Sigmoid);
    x = net.unit(&next(), x, channels, Window::square(1), None);
    if window.keeps_size() && input.channels == channels {
        x = net.add(format!("{name}.add"), x, input);
    }
    net.tap(name, x);
    x
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm(
        "efficientnet_b0.ra_in1k",
        "efficientnet_b0",
        "timm/efficientnet_b0.ra_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.77694),
        APACHE,
    ),
    WeightsEntry::timm(
        "efficientnet_b1.ft_in1k",
        "efficientnet_b1",
        "timm/efficientnet_b1.ft_in1k",
        [256, 256],
        Interp::Bicubic,
        None,
        APACHE,
    ),
    WeightsEntry::timm(
        "efficientnet_b2.ra_in1k",
        "efficientnet_b2",
        "timm/efficientnet_b2.ra_in1k",
        [288, 288],
        Interp::Bicubic,
        None,
        APACHE,
    ),
    WeightsEntry::timm(
        "efficientnet_b3.ra2_in1k",
        "efficientnet_b3",
        "timm/efficientnet_b3.ra2_in1k",
        [320, 320],
        Interp::Bicubic,
        None,
        APACHE,
    ),
    WeightsEntry::timm(
        "efficientnet_b4.ra2_in1k",
        "efficientnet_b4",
        "timm/efficientnet_b4.ra2_in1k",
        [384, 384],
        Interp::Bicubic,
        None,
        APACHE,
    ),
    WeightsEntry::torchvision(
        "efficientnet_b0.IMAGENET1K_V1",
        "efficientnet_b0",
        "efficientnet_b0_rwightman-7f5810bc.pth",
        [256, 224],
        Interp::Bicubic,
        0.77692,
    ),
    WeightsEntry::torchvision(
        "efficientnet_b1.IMAGENET1K_V1",
        "efficientnet_b1",
        "efficientnet_b1_rwightman-bac287d4.pth",
        [256, 240],
        Interp::Bicubic,
        0.78642,
    ),
    WeightsEntry::torchvision(
        "efficientnet_b1.IMAGENET1K_V2",
        "efficientnet_b1",
        "efficientnet_b1-c27df63c.pth",
        [255, 240],
        Interp::Bilinear,
        0.79838,
    ),
    WeightsEntry::torchvision(
        "efficientnet_b2.IMAGENET1K_V1",
        "efficientnet_b2",
        "efficientnet_b2_rwightman-c35c1473.pth",
        [288, 288],
        Interp::Bicubic,
        0.80608,
    ),
    WeightsEntry::torchvision(
        "efficientnet_b3.IMAGENET1K_V1",
        "efficientnet_b3",
        "efficientnet_b3_rwightman-b3899882.pth",
        [320, 300],
        Interp::Bicubic,
        0.82008,
    ),
    WeightsEntry::torchvision(
        "efficientnet_b4.IMAGENET1K_V1",
        "efficientnet_b4",
        "efficientnet_b4_rwightman-23ab8bcd.pth",
        [384, 380],
        Interp::Bicubic,
        0.83384,
    ),
];

/// timm's names.
const TIMM: NameMap = NameMap { dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm };

fn timm(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    by_module(p, |module| {
        Some(match module {
            "conv_stem" => "features.0.0".into(),
            "bn1" => "features.0.1".into(),
            "conv_head" => "features.8.0".into(),
            "bn2" => "features.8.1".into(),
            "classifier" => "classifier.1".into(),
            _ => {
                let part = Part::of(module, names)?;
                format!("features.{}.{}.block.{}", part.stage + 1, part.block, part.in_list()?)
            }
        })
    })
}
