//! EfficientNet B0–B4 (Tan & Le 2019) as torchvision has them.

use super::build::{Net, Value, Window};
use super::efficientnet_lite::round_channels;
use super::{BackboneInfo, Options};
use crate::graph::Act::{Sigmoid, Silu};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 5] = [
    info("efficientnet_b0", 224, |o| build(o, 1.0, 1.0)),
    info("efficientnet_b1", 240, |o| build(o, 1.0, 1.1)),
    info("efficientnet_b2", 288, |o| build(o, 1.1, 1.2)),
    info("efficientnet_b3", 300, |o| build(o, 1.2, 1.4)),
    info("efficientnet_b4", 380, |o| build(o, 1.4, 1.8)),
];

const fn info(name: &'static str, size: usize, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "EfficientNet", size, classifier: Some("classifier.1.weight"), build }
}

/// Expansion, kernel, stride, channels, blocks of each stage.
const STAGES: [[usize; 5]; 7] =
    [[1, 3, 1, 16, 1], [6, 3, 2, 24, 2], [6, 5, 2, 40, 2], [6, 3, 2, 80, 3], [6, 5, 1, 112, 3], [6, 5, 2, 192, 4], [6, 3, 1, 320, 1]];

fn build(options: &Options, width: f64, depth: f64) -> Graph {
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
