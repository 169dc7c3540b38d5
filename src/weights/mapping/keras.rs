//! Names that Keras and TensorFlow give, as torchvision's.
//!
//! A weight's path in a file ends in its layer and its role: `…/block1_conv1/kernel:0`, `fire2/squeeze1x1/fire2/squeeze1x1_W:0` (Keras 1),
//! `keras_layer/MobilenetV2/Conv/BatchNorm/gamma:0` (TF-Slim).

use super::{Axes, Names};
use crate::graph::Parameter;

/// What a weight is to its layer.
struct Role {
    /// PyTorch's word for it.
    field: &'static str,
    axes: Axes,
}

/// Endings of names, the longer ones first where one contains the other. Keras 1 joins layer and role by `_`, the others by `/`.
const ROLES: &[(&str, &str, Axes)] = &[
    ("depthwise_kernel", "weight", Axes::HwcmToC1hw),
    ("depthwise_weights", "weight", Axes::HwcmToC1hw),
    ("kernel", "weight", Axes::HwioToOihw),
    ("weights", "weight", Axes::HwioToOihw),
    ("W", "weight", Axes::HwioToOihw),
    ("bias", "bias", Axes::Same),
    ("biases", "bias", Axes::Same),
    ("b", "bias", Axes::Same),
    ("gamma", "weight", Axes::Same),
    ("beta", "bias", Axes::Same),
    ("moving_mean", "running_mean", Axes::Same),
    ("running_mean", "running_mean", Axes::Same),
    ("moving_variance", "running_var", Axes::Same),
    // Keras 1 called the variance so.
    ("running_std", "running_var", Axes::Same),
];

/// Splits a weight's path into the path of its layer and its role.
fn split(name: &str) -> Option<(&str, Role)> {
    let name = name.split_once(':').map_or(name, |(before, _)| before);
    ROLES.iter().find_map(|&(ending, field, axes)| {
        let layer = name.strip_suffix(ending)?.strip_suffix(['/', '_'])?;
        Some((layer, Role { field, axes }))
    })
}

/// Renames a weight by a table of layers. A layer's path may carry the names of models and layers around it: the table is asked for ever longer
/// endings of the path.
fn by_layer(weight: &Parameter, module: impl Fn(&str) -> Option<String>) -> Option<(String, Axes)> {
    let (path, role) = split(&weight.name)?;
    let endings = path.rmatch_indices('/').map(|(at, _)| &path[at + 1..]).chain([path]);
    let module = endings.into_iter().find_map(module)?;
    // Matrices of dense layers are stored as [in, out].
    let axes = if role.axes == Axes::HwioToOihw && weight.shape.len() == 2 { Axes::IoToOi } else { role.axes };
    Some((format!("{module}.{}", role.field), axes))
}

/// SqueezeNet 1.1: `conv1`, `fire2/squeeze1x1`, …, `conv10`.
pub(super) fn squeezenet(weight: &Parameter, _: &Names) -> Option<(String, Axes)> {
    by_layer(weight, |layer| match layer {
        "conv1" => Some("features.0".into()),
        "conv10" => Some("classifier.1".into()),
        _ => {
            let (fire, part) = layer.strip_prefix("fire")?.split_once('/')?;
            // Pools stand at 2, 5 and 8.
            let index = [3, 4, 6, 7, 9, 10, 11, 12].get(fire.parse::<usize>().ok()?.checked_sub(2)?)?;
            let part = match part {
                "squeeze1x1" => "squeeze",
                "expand1x1" | "expand3x3" => part,
                _ => return None,
            };
            Some(format!("features.{index}.{part}"))
        }
    })
}

/// MobileNet V2 in TF-Slim: `Conv`, `expanded_conv`, `expanded_conv_1/expand`, …, `Conv_1`, `Logits`, norms below them as `BatchNorm`.
pub(super) fn mobilenet_v2(weight: &Parameter, _: &Names) -> Option<(String, Axes)> {
    by_layer(weight, |layer| {
        let (layer, norm) = layer.strip_suffix("/BatchNorm").map_or((layer, false), |layer| (layer, true));
        let (block, part) = match layer {
            "Conv" => return Some(format!("features.0.{}", usize::from(norm))),
            "Conv_1" => return Some(format!("features.18.{}", usize::from(norm))),
            _ => layer.strip_prefix("expanded_conv")?.split_once('/')?,
        };
        let index: usize = if block.is_empty() { 0 } else { block.strip_prefix('_')?.parse().ok()? };
        // torchvision numbers the parts of a block; the first block does not expand.
        let first = usize::from(index > 0);
        let module = match (part, norm) {
            ("expand", _) if index > 0 => format!("0.{}", usize::from(norm)),
            ("depthwise", _) => format!("{first}.{}", usize::from(norm)),
            ("project", false) => (first + 1).to_string(),
            ("project", true) => (first + 2).to_string(),
            _ => return None,
        };
        Some(format!("features.{}.conv.{module}", index + 1))
    })
}
