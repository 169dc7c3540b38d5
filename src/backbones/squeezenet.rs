//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016): fire modules, a convolution as classifier.
//!
//! torchvision rounds its pools up, the Keras model rounds them down: at 227 pixels the maps differ by a row and a column.

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Flavour, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 2] =
    [info("squeezenet1_0", |o| build(o, &VERSION_1_0)), info("squeezenet1_1", |o| build(o, &VERSION_1_1))];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "SqueezeNet", size: 224, classifier: Some("classifier.1.weight"), build }
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

fn build(options: &Options, layers: &[Layer]) -> Graph {
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
