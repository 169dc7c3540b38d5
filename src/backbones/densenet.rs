//! DenseNet 121, 161, 169, 201 (Huang et al. 2016): every layer reads all maps before it in its block.

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 4] = [
    info("densenet121", |o| build(o, 64, 32, [6, 12, 24, 16])),
    info("densenet161", |o| build(o, 96, 48, [6, 12, 36, 24])),
    info("densenet169", |o| build(o, 64, 32, [6, 12, 32, 32])),
    info("densenet201", |o| build(o, 64, 32, [6, 12, 48, 32])),
];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "DenseNet", size: 224, classifier: Some("classifier.weight"), build }
}

/// `growth` is the number of channels that each layer adds.
fn build(options: &Options, stem: usize, growth: usize, layers: [usize; 4]) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let x = net.conv("features.conv0", x, stem, Window::square(7).stride(2).centred());
    let x = net.norm("features.norm0", x);
    let x = net.relu("features.relu0", x);
    let mut x = net.max_pool("features.pool0", x, Window::square(3).stride(2).centred(), false);
    for (block, count) in layers.into_iter().enumerate() {
        let name = format!("features.denseblock{}", block + 1);
        for layer in 0..count {
            let layer = format!("{name}.denselayer{}", layer + 1);
            let new = dense_layer(&mut net, &layer, x, growth);
            x = net.concat(format!("{layer}.concat"), &[x, new]);
        }
        net.tap(name, x);
        if block + 1 < layers.len() {
            x = transition(&mut net, &format!("features.transition{}", block + 1), x);
        }
    }
    let x = net.norm("features.norm5", x);
    net.tap("features", x);
    let map = net.relu("relu", x);
    let gap = net.last_map(map);
    net.logits("classifier", gap, options.classes);
    net.finish()
}

fn dense_layer(net: &mut Net, name: &str, x: Value, growth: usize) -> Value {
    let x = net.norm(format!("{name}.norm1"), x);
    let x = net.relu(format!("{name}.relu1"), x);
    let x = net.conv(format!("{name}.conv1"), x, 4 * growth, Window::square(1));
    let x = net.norm(format!("{name}.norm2"), x);
    let x = net.relu(format!("{name}.relu2"), x);
    let x = net.conv(format!("{name}.conv2"), x, growth, Window::square(3).centred());
    net.tap(name, x);
    x
}

/// Halves the channels and both sides.
fn transition(net: &mut Net, name: &str, x: Value) -> Value {
    let x = net.norm(format!("{name}.norm"), x);
    let x = net.relu(format!("{name}.relu"), x);
    let x = net.conv(format!("{name}.conv"), x, x.channels / 2, Window::square(1));
    let x = net.avg_pool(format!("{name}.pool"), x, Window::square(2).stride(2), true);
    net.tap(name, x);
    x
}
