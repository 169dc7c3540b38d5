//! AlexNet in torchvision's one-column form (Krizhevsky 2014).

use crate::backbones::entry::WeightsEntry;
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Window};
use crate::backbones::options::BuildOptions;
use crate::graph::Graph;
use crate::preprocess::Interp;

pub(super) const ALL: [BackboneInfo; 1] =
    [BackboneInfo { classifier: Some("classifier.6.weight"), entries: WEIGHTS, ..BackboneInfo::new("alexnet", "AlexNet", 224, build) }];

fn build(options: &BuildOptions) -> Graph {
    let (mut net, x) = Net::new(0.0);
    let conv = |net: &mut Net, x, index: usize, channels, window: Window| {
        let x = net.conv(format!("features.{index}"), x, channels, window.bias());
        net.relu(format!("features.{}", index + 1), x)
    };
    let pool = Window::square(3).stride(2);
    let x = conv(&mut net, x, 0, 64, Window::square(11).stride(4).pads([2; 4]));
    let x = net.max_pool("features.2", x, pool, false);
    let x = conv(&mut net, x, 3, 192, Window::square(5).centred());
    let x = net.max_pool("features.5", x, pool, false);
    let x = conv(&mut net, x, 6, 384, Window::square(3).centred());
    let x = conv(&mut net, x, 8, 256, Window::square(3).centred());
    let x = conv(&mut net, x, 10, 256, Window::square(3).centred());
    let map = net.max_pool("features.12", x, pool, false);
    net.last_map(map);
    net.two_hidden_layers(
        map,
        [6, 6],
        [("classifier.1", "classifier.2"), ("classifier.4", "classifier.5")],
        "classifier.6",
        options.classes,
    );
    net.finish()
}

const WEIGHTS: &[WeightsEntry] =
    &[WeightsEntry::torchvision("alexnet.IMAGENET1K_V1", "alexnet", "alexnet-owt-7be5be79.pth", [256, 224], Interp::Bilinear, 0.56522)];
