//! Xception (Chollet 2016) as Keras has it: separable convolutions with residual connections.

use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window, numbered};
use crate::backbones::options::BuildOptions;
use crate::backbones::usual;
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 1] = [BackboneInfo::keras("xception", "Xception", 299, usual::keras_tf, build)];

struct Xception {
    net: Net,
    /// Projections of the shortcut so far, and sums: Keras numbers those layers.
    projections: usize,
    sums: usize,
}

fn build(options: &BuildOptions) -> Graph {
    let (net, x) = Net::new(1e-3);
    let mut xception = Xception { net, projections: 0, sums: 0 };
    let x = xception.stem("block1_conv1", x, 32, 2);
    let mut x = xception.stem("block1_conv2", x, 64, 1);
    for (block, channels) in [(2, [128, 128]), (3, [256, 256]), (4, [728, 728])] {
        x = xception.halving(block, x, channels);
    }
    for block in 5..13 {
        let units = (1..=3).fold(x, |x, i| xception.activated(&format!("block{block}_sepconv{i}"), x, 728));
        x = xception.add(units, x);
    }
    x = xception.halving(13, x, [728, 1024]);
    for (i, channels) in [(1, 1536), (2, 2048)] {
        let unit = format!("block14_sepconv{i}");
        x = xception.separable(&unit, x, channels);
        x = xception.net.relu(format!("{unit}_act"), x);
        xception.net.tap(format!("{unit}_act"), x);
    }
    let mut net = xception.net;
    let gap = net.last_map(x);
    net.logits("predictions", gap, options.classes);
    net.finish()
}

impl Xception {
    fn stem(&mut self, name: &str, x: Value, channels: usize, stride: usize) -> Value {
        let x = self.net.conv(name, x, channels, Window::square(3).stride(stride));
        let x = self.net.norm(format!("{name}_bn"), x);
        let x = self.net.relu(format!("{name}_act"), x);
        self.net.tap(format!("{name}_act"), x);
        x
    }

    /// A 3×3 convolution of each channel by itself, a 1×1 one across them, and a norm.
    fn separable(&mut self, name: &str, x: Value, channels: usize) -> Value {
        let x = self.net.conv(format!("{name}.depthwise"), x, x.channels, Window::square(3).same().groups(x.channels));
        let x = self.net.conv(format!("{name}.pointwise"), x, channels, Window::square(1));
        self.net.tap(name, x);
        self.net.norm(format!("{name}_bn"), x)
    }

    fn activated(&mut self, name: &str, x: Value, channels: usize) -> Value {
        let x = self.net.relu(format!("{name}_act"), x);
        self.separable(name, x, channels)
    }

    /// Two separable convolutions and a pool; the shortcut is projected. Block 2's input is already
    /// activated.
    fn halving(&mut self, block: usize, input: Value, channels: [usize; 2]) -> Value {
        let [first, second] = [1, 2].map(|i| format!("block{block}_sepconv{i}"));
        let name = numbered("conv2d", self.projections);
        let shortcut = self.net.conv(name, input, channels[1], Window::square(1).stride(2).same());
        let shortcut = self.net.norm(numbered("batch_normalization", self.projections), shortcut);
        self.projections += 1;
        let x = if block == 2 { self.separable(&first, input, channels[0]) } else { self.activated(&first, input, channels[0]) };
        let x = self.activated(&second, x, channels[1]);
        let x = self.net.max_pool(format!("block{block}_pool"), x, Window::square(3).stride(2).same(), false);
        self.add(x, shortcut)
    }

    fn add(&mut self, x: Value, shortcut: Value) -> Value {
        let name = numbered("add", self.sums);
        self.sums += 1;
        let sum = self.net.add(name.clone(), x, shortcut);
        self.net.tap(name, sum);
        sum
    }
}
