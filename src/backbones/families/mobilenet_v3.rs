//! MobileNet V3 large and small (Howard et al. 2019).

use super::efficientnet_lite::round_channels;
use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::{BuildOptions, Flavour};
use crate::graph::Act::{self, HardSigmoid, HardSwish, Relu};
use crate::graph::Graph;
use crate::graph::Parameter;
use crate::preprocess::Interp;
use crate::weights::mapping::timm::{Part, by_module};
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 2] =
    [info("mobilenet_v3_large", |o| build(o, &LARGE, 1280)), info("mobilenet_v3_small", |o| build(o, &SMALL, 1024))];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("classifier.3.weight"),
        entries: WEIGHTS,
        naming: Naming::with(&[TIMM]),
        ..BackboneInfo::new(name, "MobileNet V3", 224, build)
    }
}

/// Kernel, expanded channels, output channels, squeeze-excite, activation, stride.
struct Block(usize, usize, usize, bool, Act, usize);

const LARGE: [Block; 15] = [
    Block(3, 16, 16, false, Relu, 1),
    Block(3, 64, 24, false, Relu, 2),
    Block(3, 72, 24, false, Relu, 1),
    Block(5, 72, 40, true, Relu, 2),
    Block(5, 120, 40, true, Relu, 1),
    Block(5, 120, 40, true, Relu, 1),
    Block(3, 240, 80, false, HardSwish, 2),
    Block(3, 200, 80, false, HardSwish, 1),
    Block(3, 184, 80, false, HardSwish, 1),
    Block(3, 184, 80, false, HardSwish, 1),
    Block(3, 480, 112, true, HardSwish, 1),
    Block(3, 672, 112, true, HardSwish, 1),
    Block(5, 672, 160, true, HardSwish, 2),
    Block(5, 960, 160, true, HardSwish, 1),
    Block(5, 960, 160, true, HardSwish, 1),
];

const SMALL: [Block; 11] = [
    Block(3, 16, 16, true, Relu, 2),
    Block(3, 72, 24, false, Relu, 2),
    Block(3, 88, 24, false, Relu, 1),
    Block(5, 96, 40, true, HardSwish, 2),
    Block(5, 240, 40, true, HardSwish, 1),
    Block(5, 240, 40, true, HardSwish, 1),
    Block(5, 120, 48, true, HardSwish, 1),
    Block(5, 144, 48, true, HardSwish, 1),
    Block(5, 288, 96, true, HardSwish, 2),
    Block(5, 576, 96, true, HardSwish, 1),
    Block(5, 576, 96, true, HardSwish, 1),
];

fn build(options: &BuildOptions, blocks: &[Block], hidden: usize) -> Graph {
    let (mut net, x) = Net::new(if options.flavour == Flavour::Timm { 1e-5 } else { 1e-3 });
    let mut x = net.unit("features.0", x, 16, Window::square(3).stride(2).centred(), Some(HardSwish));
    for (i, block) in blocks.iter().enumerate() {
        x = inverted(&mut net, &format!("features.{}", i + 1), x, block);
    }
    let map = net.unit(&format!("features.{}", blocks.len() + 1), x, 6 * x.channels, Window::square(1), Some(HardSwish));
    let gap = net.last_map(map);
    let x = net.linear("classifier.0", gap, hidden);
    let x = net.act("classifier.1", x, HardSwish);
    net.logits("classifier.3", x, options.classes);
    net.finish()
}

fn inverted(net: &mut Net, name: &str, input: Value, &Block(kernel, wide, channels, squeeze, act, stride): &Block) -> Value {
    let mut module = 0;
    let mut next = || {
        module += 1;
        format!("{name}.block.{}", module - 1)
    };
    let mut x = input;
    if wide != input.channels {
        x = net.unit(&next(), x, wide, Window::square(1), Some(act));
    }
    x = net.unit(&next(), x, wide, Window::square(kernel).stride(stride).centred().groups(wide), Some(act));
    if squeeze {
        x = net.squeeze_excite(&next(), x, round_channels(wide / 4, 1.0), Relu, HardSigmoid);
    }
    x = net.unit(&next(), x, channels, Window::square(1), None);
    if stride == 1 && input.channels == channels {
        x = net.add(format!("{name}.add"), x, input);
    }
    net.tap(name, x);
    x
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm(
        "mobilenetv3_large_100.ra_in1k",
        "mobilenet_v3_large",
        "timm/mobilenetv3_large_100.ra_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.75766),
        APACHE,
    ),
    WeightsEntry::timm(
        "mobilenetv3_small_100.lamb_in1k",
        "mobilenet_v3_small",
        "timm/mobilenetv3_small_100.lamb_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.67656),
        APACHE,
    ),
    WeightsEntry::torchvision(
        "mobilenet_v3_small.IMAGENET1K_V1",
        "mobilenet_v3_small",
        "mobilenet_v3_small-047dcff4.pth",
        [256, 224],
        Interp::Bilinear,
        0.67668,
    ),
    WeightsEntry::torchvision(
        "mobilenet_v3_large.IMAGENET1K_V1",
        "mobilenet_v3_large",
        "mobilenet_v3_large-8738ca79.pth",
        [256, 224],
        Interp::Bilinear,
        0.74042,
    ),
    WeightsEntry::torchvision(
        "mobilenet_v3_large.IMAGENET1K_V2",
        "mobilenet_v3_large",
        "mobilenet_v3_large-5c1a4163.pth",
        [232, 224],
        Interp::Bilinear,
        0.75274,
    ),
];

/// timm's names.
const TIMM: NameMap = NameMap { dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm };

fn timm(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    let (name, _) = by_module(p, |module| {
        Some(match module {
            "conv_stem" => "features.0.0".into(),
            "bn1" => "features.0.1".into(),
            "conv_head" => "classifier.0".into(),
            "classifier" => "classifier.3".into(),
            _ => {
                let part = Part::of(module, names)?;
                let index = part.before + 1;
                match part.part {
                    // The last stage is a convolution alone, and its norm goes by the name of an
                    // expanding one.
                    "conv" => format!("features.{index}.0"),
                    "bn1" if names.contains(&format!("blocks.{}.{}.conv.weight", part.stage, part.block)) => format!("features.{index}.1"),
                    _ => format!("features.{index}.block.{}", part.in_list()?),
                }
            }
        })
    })?;
    let axes = if name == "classifier.0.weight" { Axes::KernelToMatrix } else { Axes::Same };
    Some((name, axes))
}
