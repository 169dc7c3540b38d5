//! VGG 11, 13, 16, 19, each with and without batch norm (Simonyan & Zisserman 2014).
//!
//! Keras's VGG 16 and 19 compute the same under other names, for other inputs: its weights want BGR less a mean.

use super::build::{Net, Window};
use super::{BackboneInfo, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 10] = [
    info("vgg11", |o| build(o, [1, 1, 2, 2, 2], false)),
    info("vgg11_bn", |o| build(o, [1, 1, 2, 2, 2], true)),
    info("vgg13", |o| build(o, [2, 2, 2, 2, 2], false)),
    info("vgg13_bn", |o| build(o, [2, 2, 2, 2, 2], true)),
    info("vgg16", |o| build(o, [2, 2, 3, 3, 3], false)),
    info("vgg16_bn", |o| build(o, [2, 2, 3, 3, 3], true)),
    info("vgg19", |o| build(o, [2, 2, 4, 4, 4], false)),
    info("vgg19_bn", |o| build(o, [2, 2, 4, 4, 4], true)),
    keras_info("vgg16_keras", |o| keras(o, [2, 2, 3, 3, 3])),
    keras_info("vgg19_keras", |o| keras(o, [2, 2, 4, 4, 4])),
];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "VGG", size: 224, classifier: Some("classifier.6.weight"), build }
}

const fn keras_info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { classifier: Some("predictions.weight"), ..info(name, build) }
}

const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];
const CONVOLUTION: Window = Window::square(3).centred().bias();
const POOL: Window = Window::square(2).stride(2);

/// `convolutions` in each of the five stages, a pool after each.
fn build(options: &Options, convolutions: [usize; 5], norm: bool) -> Graph {
    let (mut net, mut x) = Net::new(1e-5);
    let mut index = 0;
    let mut module = || {
        index += 1;
        format!("features.{}", index - 1)
    };
    for (count, channels) in convolutions.into_iter().zip(CHANNELS) {
        for _ in 0..count {
            x = net.conv(module(), x, channels, CONVOLUTION);
            if norm {
                x = net.norm(module(), x);
            }
            x = net.relu(module(), x);
        }
        x = net.max_pool(module(), x, POOL, false);
    }
    net.last_map(x);
    net.two_hidden_layers(x, [7, 7], [("classifier.0", "classifier.1"), ("classifier.3", "classifier.4")], "classifier.6", options.classes);
    net.finish()
}

/// Under Keras's names; its layers contain their activations.
fn keras(options: &Options, convolutions: [usize; 5]) -> Graph {
    let (mut net, mut x) = Net::new(0.0);
    for (stage, (count, channels)) in (1..).zip(convolutions.into_iter().zip(CHANNELS)) {
        for i in 1..=count {
            let layer = format!("block{stage}_conv{i}");
            x = net.conv(layer.clone(), x, channels, CONVOLUTION);
            x = net.relu(format!("{layer}.relu"), x);
            net.tap(layer, x);
        }
        x = net.max_pool(format!("block{stage}_pool"), x, POOL, false);
    }
    net.last_map(x);
    let hidden = net.two_hidden_layers(x, [7, 7], [("fc1", "fc1.relu"), ("fc2", "fc2.relu")], "predictions", options.classes);
    net.tap("fc1", hidden[0]);
    net.tap("fc2", hidden[1]);
    net.finish()
}
