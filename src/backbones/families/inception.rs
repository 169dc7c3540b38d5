//! Inception v3 (Szegedy et al. 2015) without the auxiliary classifier, as torchvision and as Keras
//! have it.
//!
//! They differ in names and in their mean pools: Keras leaves the padding out of the mean.

use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window, numbered};
use crate::backbones::options::{BuildOptions, Flavour};
use crate::backbones::usual;
use crate::graph::Graph;
use crate::preprocess::Interp;

pub(super) const ALL: [BackboneInfo; 2] = [
    BackboneInfo {
        classifier: Some("fc.weight"),
        twin: Some("inception_v3_keras"),
        entries: WEIGHTS,
        ..BackboneInfo::new("inception_v3", "Inception", 299, |o| build(o, Flavour::Torchvision))
    },
    BackboneInfo {
        twin: Some("inception_v3"),
        ..BackboneInfo::keras("inception_v3_keras", "Inception", 299, usual::keras_tf, |o| build(o, Flavour::Keras))
    },
];

/// 3×3 max-pool by which the network halves its maps.
const HALVE: Window = Window::square(3).stride(2);
const POINT: Window = Window::square(1);
const SQUARE: Window = Window::square(3).centred();
const WIDE: Window = Window::rect(1, 7).centred();
const TALL: Window = Window::rect(7, 1).centred();

/// The network under construction.
struct Inception {
    net: Net,
    flavour: Flavour,
    /// Units so far: Keras numbers their layers.
    units: usize,
    /// Modules so far: Keras numbers them.
    modules: usize,
}

fn build(options: &BuildOptions, flavour: Flavour) -> Graph {
    let (mut net, x) = Net::new(1e-3);
    let x = net.input_transform(x, options);
    let mut all = Inception { net, flavour, units: 0, modules: 0 };
    let x = all.unit("Conv2d_1a_3x3", x, 32, Window::square(3).stride(2));
    let x = all.unit("Conv2d_2a_3x3", x, 32, Window::square(3));
    let x = all.unit("Conv2d_2b_3x3", x, 64, SQUARE);
    let x = all.net.max_pool("maxpool1", x, HALVE, false);
    let x = all.unit("Conv2d_3b_1x1", x, 80, POINT);
    let x = all.unit("Conv2d_4a_3x3", x, 192, Window::square(3));
    let mut x = all.net.max_pool("maxpool2", x, HALVE, false);
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = all.mixed_a(name, x, pooled);
    }
    x = all.mixed_b("Mixed_6a", x);
    for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = all.mixed_c(name, x, inner);
    }
    x = all.mixed_d("Mixed_7a", x);
    for name in ["Mixed_7b", "Mixed_7c"] {
        x = all.mixed_e(name, x);
    }
    let gap = all.net.last_map(x);
    all.net.logits(if flavour == Flavour::Keras { "predictions" } else { "fc" }, gap, options.classes);
    all.net.finish()
}

impl Inception {
    /// Convolution, norm and ReLU. torchvision names them by their place, Keras by their number.
    fn unit(&mut self, name: &str, x: Value, channels: usize, window: Window) -> Value {
        if self.flavour == Flavour::Torchvision {
            return self.net.basic(name, x, channels, window);
        }
        let [conv, norm, act] = ["conv2d", "batch_normalization", "activation"].map(|class| numbered(class, self.units));
        self.units += 1;
        let x = self.net.conv(conv, x, channels, window);
        let x = self.net.norm(norm, x);
        self.net.relu(act, x)
    }

    /// A branch: units one after another, under the module's name.
    fn chain(&mut self, module: &str, x: Value, units: &[(&str, usize, Window)]) -> Value {
        units.iter().fold(x, |x, &(name, channels, window)| self.unit(&format!("{module}.{name}"), x, channels, window))
    }

    fn pooled(&mut self, module: &str, x: Value, channels: usize) -> Value {
        let x = self.net.avg_pool(format!("{module}.avg_pool"), x, SQUARE, self.flavour == Flavour::Torchvision);
        self.unit(&format!("{module}.branch_pool"), x, channels, POINT)
    }

    fn join(&mut self, module: &str, branches: &[Value]) -> Value {
        let out = self.net.concat(format!("{module}.concat"), branches);
        let tap = if self.flavour == Flavour::Torchvision { module.into() } else { format!("mixed{}", self.modules) };
        self.modules += 1;
        self.net.tap(tap, out);
        out
    }

    fn mixed_a(&mut self, module: &str, x: Value, pool_channels: usize) -> Value {
        let one = self.chain(module, x, &[("branch1x1", 64, POINT)]);
        let five = self.chain(module, x, &[("branch5x5_1", 48, POINT), ("branch5x5_2", 64, Window::square(5).centred())]);
        let double = [("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, SQUARE), ("branch3x3dbl_3", 96, SQUARE)];
        let double = self.chain(module, x, &double);
        let pool = self.pooled(module, x, pool_channels);
        self.join(module, &[one, five, double, pool])
    }

    fn mixed_b(&mut self, module: &str, x: Value) -> Value {
        let three = self.chain(module, x, &[("branch3x3", 384, HALVE)]);
        let double = [("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, SQUARE), ("branch3x3dbl_3", 96, HALVE)];
        let double = self.chain(module, x, &double);
        let pool = self.net.max_pool(format!("{module}.max_pool"), x, HALVE, false);
        self.join(module, &[three, double, pool])
    }

    fn mixed_c(&mut self, module: &str, x: Value, inner: usize) -> Value {
        let one = self.chain(module, x, &[("branch1x1", 192, POINT)]);
        let seven = [("branch7x7_1", inner, POINT), ("branch7x7_2", inner, WIDE), ("branch7x7_3", 192, TALL)];
        let seven = self.chain(module, x, &seven);
        let double = [
            ("branch7x7dbl_1", inner, POINT),
            ("branch7x7dbl_2", inner, TALL),
            ("branch7x7dbl_3", inner, WIDE),
            ("branch7x7dbl_4", inner, TALL),
            ("branch7x7dbl_5", 192, WIDE),
        ];
        let double = self.chain(module, x, &double);
        let pool = self.pooled(module, x, 192);
        self.join(module, &[one, seven, double, pool])
    }

    fn mixed_d(&mut self, module: &str, x: Value) -> Value {
        let three = self.chain(module, x, &[("branch3x3_1", 192, POINT), ("branch3x3_2", 320, HALVE)]);
        let seven =
            [("branch7x7x3_1", 192, POINT), ("branch7x7x3_2", 192, WIDE), ("branch7x7x3_3", 192, TALL), ("branch7x7x3_4", 192, HALVE)];
        let seven = self.chain(module, x, &seven);
        let pool = self.net.max_pool(format!("{module}.max_pool"), x, HALVE, false);
        self.join(module, &[three, seven, pool])
    }

    fn mixed_e(&mut self, module: &str, x: Value) -> Value {
        let (row, column) = (Window::rect(1, 3).centred(), Window::rect(3, 1).centred());
        let one = self.chain(module, x, &[("branch1x1", 320, POINT)]);
        let three = self.chain(module, x, &[("branch3x3_1", 384, POINT)]);
        let three =
            [("branch3x3_2a", row), ("branch3x3_2b", column)].map(|(name, window)| self.chain(module, three, &[(name, 384, window)]));
        let double = self.chain(module, x, &[("branch3x3dbl_1", 448, POINT), ("branch3x3dbl_2", 384, SQUARE)]);
        let double = [("branch3x3dbl_3a", row), ("branch3x3dbl_3b", column)]
            .map(|(name, window)| self.chain(module, double, &[(name, 384, window)]));
        let pool = self.pooled(module, x, 192);
        self.join(module, &[one, three[0], three[1], double[0], double[1], pool])
    }
}

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm(
        "inception_v3.tv_in1k",
        "inception_v3",
        "timm/inception_v3.tv_in1k",
        [342, 299],
        Interp::Bicubic,
        Some(0.77434),
        APACHE,
    )
    .transforming_input(),
    WeightsEntry::torchvision(
        "inception_v3.IMAGENET1K_V1",
        "inception_v3",
        "inception_v3_google-0cc3c7bd.pth",
        [342, 299],
        Interp::Bilinear,
        0.77294,
    )
    .transforming_input(),
];
