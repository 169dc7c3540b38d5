//! Older names of torchvision's own, which its published files still carry.

use super::{Axes, Names};
use crate::graph::Parameter;

/// DenseNet: `denselayer1.norm.1` became `denselayer1.norm1` when module names could no longer hold dots.
pub(super) fn densenet(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    let parts = ["norm.1.", "norm.2.", "conv.1.", "conv.2."];
    let old = parts.into_iter().find(|part| p.name.contains("denselayer") && p.name.contains(&format!(".{part}")));
    let name = old.map_or(p.name.clone(), |part| p.name.replacen(&format!(".{part}"), &format!(".{}", part.replacen('.', "", 1)), 1));
    Some((name, Axes::Same))
}
