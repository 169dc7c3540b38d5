//! Vision transformers, which libraries name each in their own way by the beginnings of names; our
//! graphs have the names of DINOv2 and timm.

use super::mapped::Axes;
use super::naming::{Dialect, NameMap, Rename};
use crate::graph::Parameter;

/// Beginning of a name, its counterpart in our graphs, and the turning of the axes.
pub(crate) type Start = (&'static str, &'static str, Axes);

/// How one library names a network.
pub(crate) struct Prefixes {
    /// Optional prefix of every name.
    pub prefix: &'static str,
    /// Prefix of a block's number.
    pub block: &'static str,
    /// Names inside a block, without its number.
    pub parts: &'static [Start],
    /// All other names.
    pub rest: &'static [Start],
}

impl Prefixes {
    /// The graph's name for a tensor.
    pub(crate) fn rename(&self, p: &Parameter) -> Option<(String, Axes)> {
        let name = p.name.strip_prefix(self.prefix).unwrap_or(&p.name);
        let Some(inside) = name.strip_prefix(self.block) else {
            return replace(name, self.rest);
        };
        let (number, part) = inside.split_once('.')?;
        let (part, axes) = replace(part, self.parts)?;
        Some((format!("blocks.{}.{part}", number.parse::<usize>().ok()?), axes))
    }
}

fn replace(name: &str, starts: &[Start]) -> Option<(String, Axes)> {
    starts.iter().find_map(|&(start, ours, axes)| Some((format!("{ours}{}", name.strip_prefix(start)?), axes)))
}

/// Query, key and value are one matrix in our graphs.
pub(crate) const fn third(index: usize) -> Axes {
    Axes::Part { index, of: 3 }
}

/// A network with registers is another one; its file fits but for these.
pub(crate) const REGISTERS: &[&str] = &["register_tokens"];

/// A map of a transformer's names.
pub(crate) const fn map(dialect: Dialect, rename: Rename) -> NameMap {
    NameMap { dialect, witness: "patch_embed.proj.weight", rename }
}

/// Hugging Face's names outside the blocks.
pub(crate) const HUGGINGFACE_REST: &[Start] = &[
    ("embeddings.cls_token", "cls_token", Axes::Same),
    ("embeddings.position_embeddings", "pos_embed", Axes::Same),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj.", Axes::Same),
    ("embeddings.register_tokens", "register_tokens", Axes::Same),
    ("layernorm.", "norm.", Axes::Same),
    ("classifier.", "head.", Axes::Same),
];
