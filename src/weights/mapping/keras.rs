//! Names that Keras and TensorFlow give, as torchvision's.
//!
//! A weight's path in a file ends in its layer and its role: `…/block1_conv1/kernel:0`,
//! `fire2/squeeze1x1/fire2/squeeze1x1_W:0` (Keras 1),
//! `keras_layer/MobilenetV2/Conv/BatchNorm/gamma:0` (TF-Slim).

use super::mapped::Axes;
use crate::graph::Parameter;

/// The role of a weight in its layer.
pub(super) struct Role {
    /// Keras's or TensorFlow's word for it.
    pub word: &'static str,
    /// PyTorch's.
    pub field: &'static str,
    pub axes: Axes,
}

/// Endings of names, the longer ones first where one contains the other. Keras 1 joins layer and
/// role by `_`, the others by `/`.
const ROLES: &[(&str, &str, Axes)] = &[
    ("depthwise_kernel", "weight", Axes::HwcmToC1hw),
    ("depthwise_weights", "weight", Axes::HwcmToC1hw),
    ("pointwise_kernel", "weight", Axes::HwioToOihw),
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
pub(super) fn split(name: &str) -> Option<(&str, Role)> {
    let name = name.split_once(':').map_or(name, |(before, _)| before);
    let by_role = |name: &str| {
        ROLES.iter().find_map(|&(word, field, axes)| {
            let length = name.strip_suffix(word)?.strip_suffix(['/', '_'])?.len();
            Some((length, Role { word, field, axes }))
        })
    };
    // TensorFlow numbered a name that was taken: `block1_conv1_W_1:0`.
    let (length, role) = by_role(name).or_else(|| by_role(without_number(name)?.0))?;
    Some((&name[..length], role))
}

/// `conv2d_12` → `conv2d`, 12.
pub(super) fn without_number(name: &str) -> Option<(&str, usize)> {
    let (before, number) = name.rsplit_once('_')?;
    Some((before, number.parse().ok()?))
}

/// Renames a weight by a table of layers. A layer's path may carry the names of models and layers
/// around it: the table is asked for ever longer endings of the path.
pub(crate) fn by_layer(weight: &Parameter, module: impl Fn(&str) -> Option<String>) -> Option<(String, Axes)> {
    let (path, role) = split(&weight.name)?;
    let endings = path.rmatch_indices('/').map(|(at, _)| &path[at + 1..]).chain([path]);
    let module = endings.into_iter().find_map(module)?;
    // Matrices of dense layers are stored as [in, out].
    let axes = if role.axes == Axes::HwioToOihw && weight.shape.len() == 2 { Axes::IoToOi } else { role.axes };
    Some((format!("{module}.{}", role.field), axes))
}
