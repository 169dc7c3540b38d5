//! GoogLeNet (Szegedy et al. 2014) with batch norm, as torchvision has it: 3×3 where the paper has
//! 5×5, no auxiliary classifiers.

use crate::backbones::entry::WeightsEntry;
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::graph::Graph;
use crate::preprocess::Interp;

pub(super) const ALL: [BackboneInfo; 1] =
    [BackboneInfo { classifier: Some("fc.weight"), entries: WEIGHTS, ..BackboneInfo::new("googlenet", "GoogLeNet", 224, build) }];

/// Name, then channels: 1×1; 3×3 reduced and whole; "5×5" reduced and whole; after the pool. A pool
/// may follow.
struct Module(&'static str, [usize; 6], Option<(&'static str, usize)>);

const MODULES: [Module; 9] = [
    Module("inception3a", [64, 96, 128, 16, 32, 32], None),
    Module("inception3b", [128, 128, 192, 32, 96, 64], Some(("maxpool3", 3))),
    Module("inception4a", [192, 96, 208, 16, 48, 64], None),
    Module("inception4b", [160, 112, 224, 24, 64, 64], None),
    Module("inception4c", [128, 128, 256, 24, 64, 64], None),
    Module("inception4d", [112, 144, 288, 32, 64, 64], None),
    Module("inception4e", [256, 160, 320, 32, 128, 128], Some(("maxpool4", 2))),
    Module("inception5a", [256, 160, 320, 32, 128, 128], None),
    Module("inception5b", [384, 192, 384, 48, 128, 128], None),
];

fn build(options: &BuildOptions) -> Graph {
    let (mut net, x) = Net::new(1e-3);
    let x = net.input_transform(x, options);
    let x = net.basic("conv1", x, 64, Window::square(7).stride(2).centred());
    let x = net.max_pool("maxpool1", x, Window::square(3).stride(2), true);
    let x = net.basic("conv2", x, 64, Window::square(1));
    let x = net.basic("conv3", x, 192, Window::square(3).centred());
    let mut x = net.max_pool("maxpool2", x, Window::square(3).stride(2), true);
    for Module(name, channels, pool) in MODULES {
        x = module(&mut net, name, x, channels);
        if let Some((name, side)) = pool {
            x = net.max_pool(name, x, Window::square(side).stride(2), true);
        }
    }
    let gap = net.last_map(x);
    net.logits("fc", gap, options.classes);
    net.finish()
}

fn module(net: &mut Net, name: &str, x: Value, [one, three_in, three, five_in, five, pool]: [usize; 6]) -> Value {
    let (point, square) = (Window::square(1), Window::square(3).centred());
    let one = net.basic(&format!("{name}.branch1"), x, one, point);
    let mut reduced = |branch: &str, inner: usize, channels: usize| {
        let x = net.basic(&format!("{name}.{branch}.0"), x, inner, point);
        net.basic(&format!("{name}.{branch}.1"), x, channels, square)
    };
    let branches = [one, reduced("branch2", three_in, three), reduced("branch3", five_in, five)];
    let pooled = net.max_pool(format!("{name}.branch4.0"), x, square, true);
    let pooled = net.basic(&format!("{name}.branch4.1"), pooled, pool, point);
    let out = net.concat(format!("{name}.concat"), &[branches[0], branches[1], branches[2], pooled]);
    net.tap(name, out);
    out
}

const WEIGHTS: &[WeightsEntry] =
    &[WeightsEntry::torchvision("googlenet.IMAGENET1K_V1", "googlenet", "googlenet-1378be20.pth", [256, 224], Interp::Bilinear, 0.69778)
        .transforming_input()];
