//! ConvNeXt tiny, small and base (Liu et al. 2022).

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Options};
use crate::graph::{Act, Graph};

pub(super) const ALL: [BackboneInfo; 3] = [
    info("convnext_tiny", |o| build(o, 96, [3, 3, 9, 3])),
    info("convnext_small", |o| build(o, 96, [3, 3, 27, 3])),
    info("convnext_base", |o| build(o, 128, [3, 3, 27, 3])),
];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "ConvNeXt", size: 224, classifier: Some("classifier.2.weight"), build }
}

fn build(options: &Options, width: usize, blocks: [usize; 4]) -> Graph {
    let (mut net, x) = Net::new(1e-6);
    let x = net.conv("features.0.0", x, width, Window::square(4).stride(4).bias());
    let mut x = net.layer_norm("features.0.1", x);
    net.tap("features.0", x);
    for (stage, count) in blocks.into_iter().enumerate() {
        if stage > 0 {
            let name = format!("features.{}", 2 * stage);
            let normed = net.layer_norm(format!("{name}.0"), x);
            x = net.conv(format!("{name}.1"), normed, 2 * x.channels, Window::square(2).stride(2).bias());
            net.tap(name, x);
        }
        let name = format!("features.{}", 2 * stage + 1);
        for index in 0..count {
            x = block(&mut net, &format!("{name}.{index}"), x);
        }
        net.tap(name, x);
    }
    // The norm comes after the pool: torchvision's `avgpool` is what goes into it, `gap` what the classifier sees.
    let pooled = net.last_map(x);
    let gap = net.layer_norm("classifier.0", pooled);
    net.tap("gap", gap);
    net.logits("classifier.2", gap, options.classes);
    net.finish()
}

fn block(net: &mut Net, name: &str, input: Value) -> Value {
    let channels = input.channels;
    let x = net.conv(format!("{name}.block.0"), input, channels, Window::square(7).centred().groups(channels).bias());
    let x = net.layer_norm(format!("{name}.block.2"), x);
    let x = net.linear(format!("{name}.block.3"), x, 4 * channels);
    let x = net.act(format!("{name}.block.4"), x, Act::Gelu);
    let x = net.linear(format!("{name}.block.5"), x, channels);
    let x = net.layer_scale(format!("{name}.layer_scale"), x);
    let x = net.add(format!("{name}.add"), x, input);
    net.tap(name, x);
    x
}
