//! VGG 11, 13, 16, 19, each with and without batch norm (Simonyan & Zisserman 2014).

use super::build::{Net, Window};
use super::{BackboneInfo, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 8] = [
    info("vgg11", |o| build(o, [1, 1, 2, 2, 2], false)),
    info("vgg11_bn", |o| build(o, [1, 1, 2, 2, 2], true)),
    info("vgg13", |o| build(o, [2, 2, 2, 2, 2], false)),
    info("vgg13_bn", |o| build(o, [2, 2, 2, 2, 2], true)),
    info("vgg16", |o| build(o, [2, 2, 3, 3, 3], false)),
    info("vgg16_bn", |o| build(o, [2, 2, 3, 3, 3], true)),
    info("vgg19", |o| build(o, [2, 2, 4, 4, 4], false)),
    info("vgg19_bn", |o| build(o, [2, 2, 4, 4, 4], true)),
];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "VGG", size: 224, classifier: "classifier.6.weight", build }
}

/// `convolutions` in each of the five stages, a pool after each.
fn build(options: &Options, convolutions: [usize; 5], norm: bool) -> Graph {
    let (mut net, mut x) = Net::new(1e-5);
    let mut index = 0;
    let mut module = || {
        index += 1;
        format!("features.{}", index - 1)
    };
    for (count, channels) in convolutions.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..count {
            x = net.conv(module(), x, channels, Window::square(3).centred().bias());
            if norm {
                x = net.norm(module(), x);
            }
            x = net.relu(module(), x);
        }
        x = net.max_pool(module(), x, Window::square(2).stride(2), false);
    }
    net.last_map(x);
    net.two_hidden_layers(x, [7, 7], [("classifier.0", "classifier.1"), ("classifier.3", "classifier.4")], "classifier.6", options.classes);
    net.finish()
}
