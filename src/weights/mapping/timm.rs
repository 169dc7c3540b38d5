//! timm's names as torchvision's (for EfficientNet-Lite, as its PyTorch port's).
//!
//! timm builds the MobileNets and EfficientNets from one kit: `conv_stem`, `bn1`,
//! `blocks.STAGE.BLOCK.PART`, `conv_head`, `bn2`, `classifier`. How many blocks a stage has and
//! whether a block expands or gates is read off the names in the file.

use super::mapped::Axes;
use super::naming::Names;
use crate::graph::Parameter;

/// A module and its parameter: `blocks.0.0.conv_dw`, `weight`.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.')
}

/// A part of a block of the kit.
pub(crate) struct Part<'a> {
    pub stage: usize,
    pub block: usize,
    pub part: &'a str,
    /// Blocks of the stages before, and of this one before this block.
    pub before: usize,
    /// Whether the block starts with a 1×1 convolution that widens.
    pub expands: bool,
    /// Whether it has squeeze and excitation.
    pub gates: bool,
}

impl<'a> Part<'a> {
    /// The part that a module is: `blocks.0.0.conv_dw`.
    pub(crate) fn of(module: &'a str, names: &Names) -> Option<Part<'a>> {
        let mut words = module.strip_prefix("blocks.")?.splitn(3, '.');
        let (stage, block) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let has = |stage: usize, block: usize, part: &str| names.contains(&format!("blocks.{stage}.{block}.{part}.weight"));
        let there = |stage, block| has(stage, block, "bn1");
        let earlier: usize = (0..stage).map(|s| (0..).take_while(|&b| there(s, b)).count()).sum();
        let (expands, gates) = (has(stage, block, "conv_pwl"), has(stage, block, "se.conv_reduce"));
        Some(Part { stage, block, part: words.next()?, before: earlier + block, expands, gates })
    }

    /// Which convolution or norm of its block this is: `(number, 0 or 1 for a norm)`, gates counted
    /// as units of their own; the narrowing one last.
    pub(crate) fn unit(&self) -> Option<(usize, usize)> {
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

    /// The part in torchvision's words where a block is a list of units: `2.0`, `2.1`, and for a
    /// gate `1.fc1`.
    pub(crate) fn in_list(&self) -> Option<String> {
        let gate = usize::from(self.expands) + 1;
        Some(match self.part {
            "se.conv_reduce" => format!("{gate}.fc1"),
            "se.conv_expand" => format!("{gate}.fc2"),
            _ => self.unit().map(|(unit, norm)| format!("{unit}.{norm}"))?,
        })
    }
}

/// Names the module by `rename`, keeps the parameter's word.
pub(crate) fn by_module(p: &Parameter, rename: impl Fn(&str) -> Option<String>) -> Option<(String, Axes)> {
    let (module, field) = split(&p.name)?;
    Some((format!("{}.{field}", rename(module)?), Axes::Same))
}
