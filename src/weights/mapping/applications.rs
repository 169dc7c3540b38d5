//! Files of Keras Applications for the graphs that carry Keras's layer names:
//! `block1_conv1/kernel:0` is `block1_conv1.weight`.

use std::collections::{BTreeMap, BTreeSet};

use super::keras::{Role, split, without_number};
use super::mapped::{Axes, Mapped};
use super::naming::{Adapted, Dialect};
use crate::graph::Parameter;
use crate::weights::TensorSource;

/// Classes whose layers Keras numbers where they were given no name, as Keras 2 and 3, and as Keras
/// 1 spelled them.
const NUMBERED: [(&str, &str); 4] = [
    ("conv2d", "conv2d"),
    ("batch_normalization", "batch_normalization"),
    ("convolution2d", "conv2d"),
    ("batchnormalization", "batch_normalization"),
];

/// The map that VGG's first dense layer reads; Keras flattens it row by row with channels last.
const VGG_MAP: [usize; 3] = [7, 7, 512];

/// Puts a Keras file under the names of a graph that needs these parameters.
///
/// # Errors
/// The source as it was, where it holds none of them by Keras's names, or one by the graph's own.
pub(super) fn adapt(needed: &[Parameter], source: Box<dyn TensorSource>) -> Result<Adapted, Box<dyn TensorSource>> {
    let entries = source.entries();
    let layers = Layers::new(needed, &entries);
    let is_there = |p: &Parameter| layers.needed.contains_key(p.name.as_str());
    if entries.iter().any(is_there) || !entries.iter().any(|p| layers.route(p).is_some()) {
        return Err(source);
    }
    let mapped = Mapped::new(source, |p| layers.route(p)).with_unit_scales();
    Ok(Adapted { source: Box::new(mapped), dialect: Dialect::Keras })
}

/// Parameters of the graph, and the numbering of layers in the file.
struct Layers<'a> {
    needed: BTreeMap<&'a str, &'a [usize]>,
    /// For each class the path above the network's layers and the numbers in use there, ascending:
    /// a session that has built other networks before does not start at nothing.
    numbers: BTreeMap<&'static str, (String, Vec<usize>)>,
}

impl<'a> Layers<'a> {
    fn new(needed: &'a [Parameter], entries: &[Parameter]) -> Layers<'a> {
        // By class and place: a head behind the network may have numbered layers of its own.
        let mut found: BTreeMap<(&'static str, &str), BTreeSet<usize>> = BTreeMap::new();
        for (path, _) in entries.iter().filter_map(|p| split(&p.name)) {
            if let Some((at, class, number)) = components(path).find_map(|(at, layer)| numbered(layer).map(|(c, n)| (at, c, n))) {
                found.entry((class, &path[..at])).or_default().insert(number);
            }
        }
        let mut numbers: BTreeMap<&'static str, (String, Vec<usize>)> = BTreeMap::new();
        for ((class, place), here) in found {
            if here.len() > numbers.get(class).map_or(0, |(_, most)| most.len()) {
                numbers.insert(class, (place.into(), here.into_iter().collect()));
            }
        }
        Layers { needed: needed.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect(), numbers }
    }

    /// The parameter that a stored tensor is. Its layer is the outermost part of its path that the
    /// graph knows: further in, TensorFlow may have numbered names that were taken.
    fn route(&self, stored: &Parameter) -> Option<(String, Axes)> {
        let (path, role) = split(&stored.name)?;
        components(path).find_map(|(at, layer)| {
            let names = match numbered(layer) {
                Some((class, number)) => [self.renumbered(&path[..at], class, number), None],
                None => [Some(layer.to_string()), renamed(layer)],
            };
            names.into_iter().flatten().find_map(|layer| self.parameter(&layer, &role, &stored.shape))
        })
    }

    fn parameter(&self, layer: &str, role: &Role, stored: &[usize]) -> Option<(String, Axes)> {
        let part = role.word.strip_suffix("_kernel").map(|part| format!("{layer}.{part}.weight"));
        let name = part.into_iter().chain([format!("{layer}.{}", role.field)]).find(|name| self.needed.contains_key(name.as_str()))?;
        let wanted = self.needed[name.as_str()];
        let axes = match (role.axes, wanted, stored) {
            // Keras 3 calls a depthwise kernel a kernel.
            (Axes::HwioToOihw, &[channels, 1, ..], &[_, _, stored, 1]) if channels == stored && channels > 1 => Axes::HwcmToC1hw,
            (Axes::HwioToOihw, _, &[rows, _]) if layer == "fc1" && rows == VGG_MAP.iter().product::<usize>() => Axes::HwcRowsToChw(VGG_MAP),
            (Axes::HwioToOihw, _, &[_, _]) => Axes::IoToOi,
            (axes, ..) => axes,
        };
        Some((name, axes))
    }

    /// The name that a numbered layer has in a session that has built nothing before.
    fn renumbered(&self, above: &str, class: &str, number: usize) -> Option<String> {
        let (_, numbers) = self.numbers.get(class).filter(|(place, _)| place == above)?;
        match numbers.binary_search(&number).ok()? {
            0 => Some(class.into()),
            rank => Some(format!("{class}_{rank}")),
        }
    }
}

/// The parts of a path with the places where they start, the outermost first.
fn components(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = [0].into_iter().chain(path.match_indices('/').map(|(at, _)| at + 1));
    starts.map(|at| (at, path[at..].split('/').next().unwrap_or_default()))
}

/// Class and number of a layer that was given no name.
fn numbered(layer: &str) -> Option<(&'static str, usize)> {
    let (class, number) = without_number(layer).unwrap_or((layer, 0));
    NUMBERED.iter().find(|(spelled, _)| *spelled == class).map(|&(_, class)| (class, number))
}

/// Names of layers in the first releases of ResNet-50 (`res2a_branch2b`, `bn2a_branch1`) and
/// MobileNet V2.
fn renamed(layer: &str) -> Option<String> {
    match layer {
        "conv1" => return Some("conv1_conv".into()),
        "bn_conv1" => return Some("conv1_bn".into()),
        "fc1000" | "Logits" => return Some("predictions".into()),
        _ => {}
    }
    let (class, place) = layer.strip_prefix("res").map(|p| ("conv", p)).or_else(|| layer.strip_prefix("bn").map(|p| ("bn", p)))?;
    let (block, branch) = place.split_once("_branch")?;
    let branch = ["1", "2a", "2b", "2c"].iter().position(|&b| b == branch)?;
    let (stage, letter) = block.split_at_checked(1)?;
    let letter = letter.bytes().next().filter(|l| l.is_ascii_lowercase() && letter.len() == 1)?;
    Some(format!("conv{stage}_block{}_{branch}_{class}", letter - b'a' + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resnets_first_names_become_the_later_ones() {
        let cases = [
            ("res2a_branch1", Some("conv2_block1_0_conv")),
            ("bn2a_branch2a", Some("conv2_block1_1_bn")),
            ("res4f_branch2c", Some("conv4_block6_3_conv")),
            ("conv1", Some("conv1_conv")),
            ("fc1000", Some("predictions")),
            ("res", None),
            ("bn_branch1", None),
            ("res2_branch2d", None),
        ];
        for (old, new) in cases {
            assert_eq!(renamed(old).as_deref(), new, "{old}");
        }
    }

    #[test]
    fn layers_without_names_are_told_apart_by_their_numbers() {
        assert_eq!(numbered("conv2d"), Some(("conv2d", 0)));
        assert_eq!(numbered("batchnormalization_12"), Some(("batch_normalization", 12)));
        assert_eq!(numbered("conv2_block1_out"), None);
        let needed = ["conv2d.weight", "conv2d_1.weight"].map(|name| Parameter { name: name.into(), shape: vec![8, 3, 1, 1] });
        let stored = ["m/conv2d_9/kernel", "m/conv2d_10/kernel", "conv2d_1/kernel"]
            .map(|name| Parameter { name: name.into(), shape: vec![1, 1, 3, 8] });
        let layers = Layers::new(&needed, &stored);
        let names: Vec<_> = stored.iter().map(|p| layers.route(p).map(|(name, _)| name)).collect();
        assert_eq!(names, [Some("conv2d.weight".into()), Some("conv2d_1.weight".into()), None]);
    }
}
