//! MobileNet V2 (Sandler et al. 2018): inverted residuals with linear bottlenecks.

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Options};
use crate::graph::{Act, Graph};

pub(super) const ALL: [BackboneInfo; 1] =
    [BackboneInfo { name: "mobilenet_v2", family: "MobileNet V2", size: 224, classifier: "classifier.1.weight", build }];

/// Expansion, channels, blocks, stride of each stage.
const STAGES: [[usize; 4]; 7] = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

fn build(options: &Options) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let mut x = net.unit("features.0", x, 32, Window::square(3).stride(2).centred(), Some(Act::Relu6));
    let mut index = 1;
    for [expansion, channels, blocks, stride] in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            x = inverted(&mut net, &format!("features.{index}"), x, channels, expansion, stride);
            index += 1;
        }
    }
    let map = net.unit("features.18", x, 1280, Window::square(1), Some(Act::Relu6));
    let gap = net.last_map(map);
    net.logits("classifier.1", gap, options.classes);
    net.finish()
}

fn inverted(net: &mut Net, name: &str, input: Value, channels: usize, expansion: usize, stride: usize) -> Value {
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
