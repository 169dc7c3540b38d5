//! ConvNeXt tiny, small and base (Liu et al. 2022).

use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::{Net, Value, Window};
use crate::backbones::options::BuildOptions;
use crate::graph::Parameter;
use crate::graph::{Act, Graph};
use crate::preprocess::Interp;
use crate::weights::mapping::timm::split;
use crate::weights::mapping::{Axes, Dialect, NameMap, Names, Naming};

pub(super) const ALL: [BackboneInfo; 3] = [
    info("convnext_tiny", |o| build(o, 96, [3, 3, 9, 3])),
    info("convnext_small", |o| build(o, 96, [3, 3, 27, 3])),
    info("convnext_base", |o| build(o, 128, [3, 3, 27, 3])),
];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("classifier.2.weight"),
        entries: WEIGHTS,
        naming: Naming::with(&[TIMM]),
        ..BackboneInfo::new(name, "ConvNeXt", 224, build)
    }
}

fn build(options: &BuildOptions, width: usize, blocks: [usize; 4]) -> Graph {
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
    // The norm comes after the pool: torchvision's `avgpool` is its input, `gap` its output, which
    // the classifier reads.
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

const WEIGHTS: &[WeightsEntry] = &[
    WeightsEntry::timm(
        "convnext_tiny.fb_in1k",
        "convnext_tiny",
        "timm/convnext_tiny.fb_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.821),
        APACHE,
    ),
    WeightsEntry::timm(
        "convnext_small.fb_in1k",
        "convnext_small",
        "timm/convnext_small.fb_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.831),
        APACHE,
    ),
    WeightsEntry::timm(
        "convnext_base.fb_in1k",
        "convnext_base",
        "timm/convnext_base.fb_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.838),
        APACHE,
    ),
    WeightsEntry::torchvision(
        "convnext_tiny.IMAGENET1K_V1",
        "convnext_tiny",
        "convnext_tiny-983f1562.pth",
        [236, 224],
        Interp::Bilinear,
        0.8252,
    ),
    WeightsEntry::torchvision(
        "convnext_small.IMAGENET1K_V1",
        "convnext_small",
        "convnext_small-0c510722.pth",
        [230, 224],
        Interp::Bilinear,
        0.83616,
    ),
    WeightsEntry::torchvision(
        "convnext_base.IMAGENET1K_V1",
        "convnext_base",
        "convnext_base-6075fbad.pth",
        [232, 224],
        Interp::Bilinear,
        0.84062,
    ),
];

/// timm's names.
const TIMM: NameMap = NameMap { dialect: Dialect::Timm, witness: "features.0.0.weight", rename: timm };

fn timm(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    let (module, field) = split(&p.name)?;
    let (path, last) = split(module).unwrap_or(("", module));
    let words: Vec<&str> = module.split('.').collect();
    let under = |place: String| Some((format!("{place}.{field}"), Axes::Same));
    match (path, last) {
        ("stem", _) => under(format!("features.0.{last}")),
        ("head", "norm") => under("classifier.0".into()),
        ("head", "fc") => under("classifier.2".into()),
        _ => match words.as_slice() {
            ["stages", stage, "downsample", part] => under(format!("features.{}.{part}", 2 * stage.parse::<usize>().ok()?)),
            ["stages", stage, "blocks", block, part @ ..] => {
                let block = format!("features.{}.{block}", 2 * stage.parse::<usize>().ok()? + 1);
                let place = match part {
                    [] if field == "gamma" => return Some((format!("{block}.layer_scale"), Axes::ToChannels)),
                    ["conv_dw"] => 0,
                    ["norm"] => 2,
                    ["mlp", "fc1"] => 3,
                    ["mlp", "fc2"] => 5,
                    _ => return None,
                };
                under(format!("{block}.block.{place}"))
            }
            _ => None,
        },
    }
}
