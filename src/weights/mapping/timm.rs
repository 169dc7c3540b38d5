//! timm's names as torchvision's (for EfficientNet-Lite, as its PyTorch port's).
//!
//! timm builds the MobileNets and EfficientNets from one kit: `conv_stem`, `bn1`, `blocks.STAGE.BLOCK.PART`, `conv_head`, `bn2`, `classifier`. How
//! many blocks a stage has and whether a block expands or gates is read off the names in the file.

use super::{Axes, Names};
use crate::graph::Parameter;

/// A module and its parameter: `blocks.0.0.conv_dw`, `weight`.
fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.')
}

/// A part of a block of the kit.
struct Part<'a> {
    stage: usize,
    block: usize,
    part: &'a str,
    /// Blocks of the stages before, and of this one before this block.
    before: usize,
    /// Whether the block starts with a 1×1 convolution that widens.
    expands: bool,
    /// Whether it has squeeze and excitation.
    gates: bool,
}

impl<'a> Part<'a> {
    fn of(module: &'a str, names: &Names) -> Option<Part<'a>> {
        let mut words = module.strip_prefix("blocks.")?.splitn(3, '.');
        let (stage, block) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let has = |stage: usize, block: usize, part: &str| names.contains(&format!("blocks.{stage}.{block}.{part}.weight"));
        let there = |stage, block| has(stage, block, "bn1");
        let earlier: usize = (0..stage).map(|s| (0..).take_while(|&b| there(s, b)).count()).sum();
        let (expands, gates) = (has(stage, block, "conv_pwl"), has(stage, block, "se.conv_reduce"));
        Some(Part { stage, block, part: words.next()?, before: earlier + block, expands, gates })
    }

    /// Which convolution or norm of its block this is: `(number, 0 or 1 for a norm)`, gates counted as units of their own; the narrowing one last.
    fn unit(&self) -> Option<(usize, usize)> {
        let first = usize::from(self.expands);
        let last = first + 1 + usize::from(self.gates);
        Some(match (self.part, self.expands) {
            ("conv_pw", true) => (0, 0),
            ("bn1", true) => (0, 1),
            ("conv_dw", _) => (first, 0),
            ("bn1", false) | ("bn2", true) => (first, 1),
            ("conv_pw", false) | ("conv_pwl", true) => (last, 0),
            ("bn2", false) | ("bn3", true) => (last, 1),
            _ => return None,
        })
    }

    /// The part in torchvision's words where a block is a list of units: `2.0`, `2.1`, and for a gate `1.fc1`.
    fn in_list(&self) -> Option<String> {
        let gate = usize::from(self.expands) + 1;
        Some(match self.part {
            "se.conv_reduce" => format!("{gate}.fc1"),
            "se.conv_expand" => format!("{gate}.fc2"),
            _ => self.unit().map(|(unit, norm)| format!("{unit}.{norm}"))?,
        })
    }
}

/// Names the module by `rename`, keeps the parameter's word.
fn by_module(p: &Parameter, rename: impl Fn(&str) -> Option<String>) -> Option<(String, Axes)> {
    let (module, field) = split(&p.name)?;
    Some((format!("{}.{field}", rename(module)?), Axes::Same))
}

/// MobileNet V2.
pub(super) fn mobilenet_v2(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    by_module(p, |module| {
        Some(match module {
            "conv_stem" => "features.0.0".into(),
            "bn1" => "features.0.1".into(),
            "conv_head" => "features.18.0".into(),
            "bn2" => "features.18.1".into(),
            "classifier" => "classifier.1".into(),
            _ => {
                let part = Part::of(module, names)?;
                // The last unit has no activation, and torchvision spreads it over two places.
                let (unit, norm) = part.unit()?;
                let place = if unit > usize::from(part.expands) { (unit + norm).to_string() } else { format!("{unit}.{norm}") };
                format!("features.{}.conv.{place}", part.before + 1)
            }
        })
    })
}

/// MobileNet V3, large and small.
pub(super) fn mobilenet_v3(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    let (name, _) = by_module(p, |module| {
        Some(match module {
            "conv_stem" => "features.0.0".into(),
            "bn1" => "features.0.1".into(),
            "conv_head" => "classifier.0".into(),
            "classifier" => "classifier.3".into(),
            _ => {
                let part = Part::of(module, names)?;
                let index = part.before + 1;
                match part.part {
                    // The last stage is a convolution alone, and its norm goes by the name of an expanding one.
                    "conv" => format!("features.{index}.0"),
                    "bn1" if names.contains(&format!("blocks.{}.{}.conv.weight", part.stage, part.block)) => format!("features.{index}.1"),
                    _ => format!("features.{index}.block.{}", part.in_list()?),
                }
            }
        })
    })?;
    let axes = if name == "classifier.0.weight" { Axes::KernelToMatrix } else { Axes::Same };
    Some((name, axes))
}

/// EfficientNet B0–B7.
pub(super) fn efficientnet(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    by_module(p, |module| {
        Some(match module {
            "conv_stem" => "features.0.0".into(),
            "bn1" => "features.0.1".into(),
            "conv_head" => "features.8.0".into(),
            "bn2" => "features.8.1".into(),
            "classifier" => "classifier.1".into(),
            _ => {
                let part = Part::of(module, names)?;
                format!("features.{}.{}.block.{}", part.stage + 1, part.block, part.in_list()?)
            }
        })
    })
}

/// EfficientNet-Lite.
pub(super) fn efficientnet_lite(p: &Parameter, names: &Names) -> Option<(String, Axes)> {
    by_module(p, |module| {
        Some(match module {
            "conv_stem" => "_conv_stem".into(),
            "bn1" => "_bn0".into(),
            "conv_head" => "_conv_head".into(),
            "bn2" => "_bn1".into(),
            "classifier" => "_fc".into(),
            _ => {
                let part = Part::of(module, names)?;
                let (unit, norm) = part.unit()?;
                // Norms are numbered as if every block expanded.
                let unit = unit + usize::from(!part.expands);
                let word = if norm == 1 {
                    format!("_bn{unit}")
                } else {
                    ["_expand_conv", "_depthwise_conv", "_project_conv"].get(unit)?.to_string()
                };
                format!("_blocks.{}.{word}", part.before)
            }
        })
    })
}

/// ConvNeXt.
pub(super) fn convnext(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
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

/// VGG: its fully connected layers are convolutions in timm.
pub(super) fn vgg(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    let (name, _) = by_module(p, |module| {
        Some(
            match module {
                "pre_logits.fc1" => "classifier.0",
                "pre_logits.fc2" => "classifier.3",
                "head.fc" => "classifier.6",
                _ => return None,
            }
            .into(),
        )
    })?;
    Some((name, Axes::KernelToMatrix))
}
