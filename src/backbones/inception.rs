//! Inception v3 (Szegedy et al. 2015) as torchvision has it, without the auxiliary classifier.

use super::build::{Net, Value, Window};
use super::{BackboneInfo, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 1] =
    [BackboneInfo { name: "inception_v3", family: "Inception", size: 299, classifier: "fc.weight", build }];

/// 3×3 max-pool by which the network halves its maps.
const HALVE: Window = Window::square(3).stride(2);
const POINT: Window = Window::square(1);
const SQUARE: Window = Window::square(3).centred();
const WIDE: Window = Window::rect(1, 7).centred();
const TALL: Window = Window::rect(7, 1).centred();

fn build(options: &Options) -> Graph {
    let (mut net, x) = Net::new(1e-3);
    let x = net.input_transform(x, options);
    let x = net.basic("Conv2d_1a_3x3", x, 32, Window::square(3).stride(2));
    let x = net.basic("Conv2d_2a_3x3", x, 32, Window::square(3));
    let x = net.basic("Conv2d_2b_3x3", x, 64, SQUARE);
    let x = net.max_pool("maxpool1", x, HALVE, false);
    let x = net.basic("Conv2d_3b_1x1", x, 80, POINT);
    let x = net.basic("Conv2d_4a_3x3", x, 192, Window::square(3));
    let mut x = net.max_pool("maxpool2", x, HALVE, false);
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = mixed_a(&mut net, name, x, pooled);
    }
    x = mixed_b(&mut net, "Mixed_6a", x);
    for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = mixed_c(&mut net, name, x, inner);
    }
    x = mixed_d(&mut net, "Mixed_7a", x);
    for name in ["Mixed_7b", "Mixed_7c"] {
        x = mixed_e(&mut net, name, x);
    }
    let gap = net.last_map(x);
    net.logits("fc", gap, options.classes);
    net.finish()
}

/// A branch: units one after another, under the module's name.
fn chain(net: &mut Net, module: &str, x: Value, units: &[(&str, usize, Window)]) -> Value {
    units.iter().fold(x, |x, &(name, channels, window)| net.basic(&format!("{module}.{name}"), x, channels, window))
}

fn pooled(net: &mut Net, module: &str, x: Value, channels: usize) -> Value {
    let x = net.avg_pool(format!("{module}.avg_pool"), x, SQUARE);
    net.basic(&format!("{module}.branch_pool"), x, channels, POINT)
}

fn join(net: &mut Net, module: &str, branches: &[Value]) -> Value {
    let out = net.concat(format!("{module}.concat"), branches);
    net.tap(module, out);
    out
}

fn mixed_a(net: &mut Net, module: &str, x: Value, pool_channels: usize) -> Value {
    let one = chain(net, module, x, &[("branch1x1", 64, POINT)]);
    let five = chain(net, module, x, &[("branch5x5_1", 48, POINT), ("branch5x5_2", 64, Window::square(5).centred())]);
    let double = [("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, SQUARE), ("branch3x3dbl_3", 96, SQUARE)];
    let double = chain(net, module, x, &double);
    let pool = pooled(net, module, x, pool_channels);
    join(net, module, &[one, five, double, pool])
}

fn mixed_b(net: &mut Net, module: &str, x: Value) -> Value {
    let three = chain(net, module, x, &[("branch3x3", 384, HALVE)]);
    let double = [("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, SQUARE), ("branch3x3dbl_3", 96, HALVE)];
    let double = chain(net, module, x, &double);
    let pool = net.max_pool(format!("{module}.max_pool"), x, HALVE, false);
    join(net, module, &[three, double, pool])
}

fn mixed_c(net: &mut Net, module: &str, x: Value, inner: usize) -> Value {
    let one = chain(net, module, x, &[("branch1x1", 192, POINT)]);
    let seven = chain(net, module, x, &[("branch7x7_1", inner, POINT), ("branch7x7_2", inner, WIDE), ("branch7x7_3", 192, TALL)]);
    let double = [
        ("branch7x7dbl_1", inner, POINT),
        ("branch7x7dbl_2", inner, TALL),
        ("branch7x7dbl_3", inner, WIDE),
        ("branch7x7dbl_4", inner, TALL),
        ("branch7x7dbl_5", 192, WIDE),
    ];
    let double = chain(net, module, x, &double);
    let pool = pooled(net, module, x, 192);
    join(net, module, &[one, seven, double, pool])
}

fn mixed_d(net: &mut Net, module: &str, x: Value) -> Value {
    let three = chain(net, module, x, &[("branch3x3_1", 192, POINT), ("branch3x3_2", 320, HALVE)]);
    let seven = [("branch7x7x3_1", 192, POINT), ("branch7x7x3_2", 192, WIDE), ("branch7x7x3_3", 192, TALL), ("branch7x7x3_4", 192, HALVE)];
    let seven = chain(net, module, x, &seven);
    let pool = net.max_pool(format!("{module}.max_pool"), x, HALVE, false);
    join(net, module, &[three, seven, pool])
}

fn mixed_e(net: &mut Net, module: &str, x: Value) -> Value {
    let (row, column) = (Window::rect(1, 3).centred(), Window::rect(3, 1).centred());
    let one = chain(net, module, x, &[("branch1x1", 320, POINT)]);
    let three = chain(net, module, x, &[("branch3x3_1", 384, POINT)]);
    let three = [("branch3x3_2a", row), ("branch3x3_2b", column)].map(|(name, window)| chain(net, module, three, &[(name, 384, window)]));
    let double = chain(net, module, x, &[("branch3x3dbl_1", 448, POINT), ("branch3x3dbl_2", 384, SQUARE)]);
    let double =
        [("branch3x3dbl_3a", row), ("branch3x3dbl_3b", column)].map(|(name, window)| chain(net, module, double, &[(name, 384, window)]));
    let pool = pooled(net, module, x, 192);
    join(net, module, &[one, three[0], three[1], double[0], double[1], pool])
}
