//! MobileNet V2 (Sandler et al. 2018): inverted residuals with linear bottlenecks.
//!
//! Keras's pads as TensorFlow does where it strides (below and right of maps with an even side), and its norms add 1e-3 to the variance.

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Options};
use crate::graph::{Act, Graph};

pub(super) const ALL: [BackboneInfo; 2] = [
    BackboneInfo { name: "mobilenet_v2", family: "MobileNet V2", size: 224, classifier: Some("classifier.1.weight"), build },
    BackboneInfo { name: "mobilenet_v2_keras", family: "MobileNet V2", size: 224, classifier: Some("predictions.weight"), build: keras },
];

/// Expansion, channels, blocks, stride of each stage.
const STAGES: [[usize; 4]; 7] = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Expansion, channels, stride of each block.
fn blocks() -> impl Iterator<Item = [usize; 3]> {
    STAGES.into_iter().flat_map(|[expansion, channels, count, stride]| {
        (0..count).map(move |block| [expansion, channels, if block == 0 { stride } else { 1 }])
    })
}

fn build(options: &Options) -> Graph {
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

fn keras(options: &Options) -> Graph {
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
