//! MobileNet V2 (Sandler et al. 2018): inverted residuals with linear bottlenecks.
//!
//! Keras's pads as TensorFlow does where it strides (below and right of maps with an even side),
//! and its norms add 1e-3 to the variance.

use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::backbones::usual;
use crate::graph::Parameter;
use crate::graph::{Act, Graph};
use crate::preprocess::Interp;
use crate::weights::mapping::keras::by_layer;
use crate::weights::mapping::timm::{Part, by_module};
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 2] = [
    BackboneInfo {
        classifier: Some("classifier.1.weight"),
        twin: Some("mobilenet_v2_keras"),
        entries: WEIGHTS,
        naming: Naming::with(&[TIMM]),
        ..BackboneInfo::new("mobilenet_v2", "MobileNet V2", 224, build)
    },
    BackboneInfo {
        twin: Some("mobilenet_v2"),
        naming: Naming { maps: &[SLIM], ..Naming::KERAS },
        ..BackboneInfo::keras("mobilenet_v2_keras", "MobileNet V2", 224, usual::keras_tf, keras)
    },
];

/// Expansion, channels, blocks, stride of each stage.
const STAGES: [[usize; 4]; 7] = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Expansion, channels, stride of each block.
fn blocks() -> impl Iterator<Item = [usize; 3]> {
    STAGES.into_iter().flat_map(|[expansion, channels, count, stride]| {
        (0..count).map(move |block| [expansion, channels, if block == 0 { stride } else { 1 }])
    })
}

fn build(options: &BuildOptions) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let mut x = net.unit("features.0", x, 32, Window::square(3).stride(2).centred(), Some(Act::Relu6));
    for (index, block) in blocks().enumerate() {
        x = inverted(&mut net, &format!("features.{}", index + 1), x, block);
    }
    let map = net.unit("features.18", x, 1280, Window::square(1), Some(Act::Relu6));
    let gap = net.last_map(map);
    net.logits("classifier.1", gap, options.classes);
    net.finish()
}

fn inverted(net: &mut Net, name: &str, input: Value, [expansion, channels, stride]: [usize; 3]) -> Value {
    let wide = input.channels * expansion;
    let mut x = input;
    let mut module = 0;
    if expansion > 1 {
        x = net.unit(&format!("{name}.conv.0"), x, wide, Window::square(1), Some(Act::Relu6));
        module = 1;
    }
    let window = Window::square(3).stride(stride).centred().groups(wide);
    let x = net.unit(&format!("{name}.conv.{module}"), x, wide, window, Some(Act::Relu6));
    let x = net.conv(format!("{name}.conv.{}", module + 1), x, channels, Window::square(1));
    let mut x = net.norm(format!("{name}.conv.{}", module + 2), x);
    if stride == 1 && input.channels == channels {
        x = net.add(format!("{name}.add"), x, input);
    }
    net.tap(name, x);
    x
}

fn keras(options: &BuildOptions) -> Graph {
    let (mut net, x) = Net::new(1e-3);
    let mut x = keras_unit(&mut net, ["Conv1", "bn_Conv1", "Conv1_relu"], x, 32, Window::square(3).stride(2).same());
    for (index, block) in blocks().enumerate() {
        let name = if index == 0 { "expanded_conv".into() } else { format!("block_{index}") };
        x = keras_inverted(&mut net, &name, x, block);
    }
    let map = keras_unit(&mut net, ["Conv_1", "Conv_1_bn", "out_relu"], x, 1280, Window::square(1));
    net.tap("out_relu", map);
    let gap = net.last_map(map);
    net.logits("predictions", gap, options.classes);
    net.finish()
}

/// Convolution, norm and activation by their names.
fn keras_unit(net: &mut Net, [conv, norm, act]: [&str; 3], x: Value, channels: usize, window: Window) -> Value {
    let x = net.conv(conv, x, channels, window);
    let x = net.norm(norm, x);
    net.act(act, x, Act::Relu6)
}

fn keras_inverted(net: &mut Net, name: &str, input: Value, [expansion, channels, stride]: [usize; 3]) -> Value {
    let wide = input.channels * expansion;
    let mut unit = |part: &str, x: Value, window: Window| {
        let names = [format!("{name}_{part}"), format!("{name}_{part}_BN"), format!("{name}_{part}_relu")];
        keras_unit(net, names.each_ref().map(String::as_str), x, wide, window)
    };
    let x = if expansion > 1 { unit("expand", input, Window::square(1)) } else { input };
    let x = unit("depthwise", x, Window::square(3).stride(stride).same().groups(wide));
    let x = net.conv(format!("{name}_project"), x, channels, Window::square(1));
    let x = net.norm(format!("{name}_project_BN"), x);
    let (tap, x) = if stride == 1 && input.channels == channels {
        (format!("{name}_add"), net.add(format!("{name}_add"), x, input))
    } else {
        (format!("{name}_project_BN"), x)
    };
    net.tap(tap, x);
    x
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm(
        "mobilenetv2_100.ra_in1k",
        "mobilenet_v2",
        "timm/mobilenetv2_100.ra_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.72976),
        APACHE,
    ),
    WeightsEntry::torchvision(
        "mobilenet_v2.IMAGENET1K_V1",
        "mobilenet_v2",
        "mobilenet_v2-b0353104.pth",
        [256, 224],
        Interp::Bilinear,
        0.71878,
    ),
    WeightsEntry::torchvision(
        "mobilenet_v2.IMAGENET1K_V2",
        "mobilenet_v2",
        "mobilenet_v2-7ebf99e0.pth",
        [232, 224],
        Interp::Bilinear,
        0.72154,
    ),
];

/// timm's names.
const TIMM: NameMap = NameMap { dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm };

fn timm(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    by_module(p, |module| {
        Some(match module {
            "conv_stem" => "features.0.0".into(),
            "bn1" => "features.0.1".into(),
            "conv_head" => "features.18.0".into(),
            "bn2" => "features.18.1".into(),
            "classifier" => "classifier.1".into(),
            _ => {
                let part = Part::of(module, names)?;
                // The last unit has no activation, and torchvision spreads it over two places.
                let (unit, norm) = part.unit()?;
                let place = if unit > usize::from(part.expands) { (unit + norm).to_string() } else { format!("{unit}.{norm}") };
                format!("features.{}.conv.{place}", part.before + 1)
            }
        })
    })
}

/// TF-Slim's names, under which TensorFlow Hub has it.
const SLIM: NameMap = NameMap { dialect: Dialect::Keras, witness: "Conv1.weight", rename: slim };

/// `Conv`, `expanded_conv`, `expanded_conv_1/expand`, …, `Conv_1`, norms below them as `BatchNorm`;
/// under the names of Keras's own.
fn slim(weight: &Parameter, _: &Names) -> Option<(String, Axes)> {
    by_layer(weight, |layer| {
        let (layer, norm) = layer.strip_suffix("/BatchNorm").map_or((layer, false), |layer| (layer, true));
        let (block, part) = match (layer, norm) {
            ("Conv", false) => return Some("Conv1".into()),
            ("Conv", true) => return Some("bn_Conv1".into()),
            ("Conv_1", false) => return Some("Conv_1".into()),
            ("Conv_1", true) => return Some("Conv_1_bn".into()),
            _ => layer.strip_prefix("expanded_conv")?.split_once('/')?,
        };
        let block = match block.strip_prefix('_') {
            Some(index) => format!("block_{}", index.parse::<usize>().ok()?),
            None => "expanded_conv".into(),
        };
        let norm = if norm { "_BN" } else { "" };
        matches!(part, "expand" | "depthwise" | "project").then(|| format!("{block}_{part}{norm}"))
    })
}
