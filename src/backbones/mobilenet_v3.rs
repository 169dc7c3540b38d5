//! MobileNet V3 large and small (Howard et al. 2019).

use super::build::{Net, Value, Window};
use super::efficientnet_lite::round_channels;
use super::{BackboneInfo, Flavour, Options};
use crate::graph::Act::{self, HardSigmoid, HardSwish, Relu};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 2] =
    [info("mobilenet_v3_large", |o| build(o, &LARGE, 1280)), info("mobilenet_v3_small", |o| build(o, &SMALL, 1024))];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "MobileNet V3", size: 224, classifier: Some("classifier.3.weight"), build }
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

fn build(options: &Options, blocks: &[Block], hidden: usize) -> Graph {
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
