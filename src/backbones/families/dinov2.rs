//! DINOv2 (Oquab et al. 2023), ViT-S/14 and ViT-B/14 without registers, under torch hub's names.
//!
//! `gap` is the class token behind the final norm: the output of the hub's models, `pooler_output`
//! in Hugging Face's. `logits` are those of the linear classifiers that were published with them
//! (`dinov2-small-imagenet1k-1-layer`): over the class token and the mean of the patches. Files of
//! the bare network have no such `head`, and nothing but `logits` needs it.
//!
//! The positions were trained for 518×518. At other sizes they are interpolated as the hub's code
//! does it, bicubic with an offset of 0.1 in the scale, since that is how the published features
//! and accuracies were made; transformers asks for the size and gets slightly other positions.

use super::transformer::Shape;
use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::Net;
use crate::backbones::options::BuildOptions;
use crate::graph::Graph;
use crate::preprocess::{Interp, PreprocessSpec, Range};
use crate::weights::mapping::prefixes::{HUGGINGFACE_REST, Prefixes, third};
use crate::weights::mapping::{Axes, Dialect, Naming, prefixes};

pub(super) const ALL: [BackboneInfo; 2] = [info("dinov2_vits14", |o| build(o, 384, 6)), info("dinov2_vitb14", |o| build(o, 768, 12))];

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo {
        classifier: Some("head.weight"),
        entries: WEIGHTS,
        naming: NAMING,
        preprocess,
        ..BackboneInfo::new(name, "DINOv2", 224, build)
    }
}

fn build(options: &BuildOptions, width: usize, heads: usize) -> Graph {
    let (mut net, x) = Net::new(1e-6);
    let shape = Shape { width, heads, offset: 0.1, scales: true, ..Shape::base(14, 37) };
    let [class, mean] = shape.build(&mut net, x);
    let both = net.concat("cls-patch-mean", &[class, mean]);
    net.logits("head", both, options.classes);
    net.finish()
}

/// The accuracy is that of the linear classifier published with it.
const fn hub(name: &'static str, backbone: &'static str, repo: &'static str, acc1: f64) -> WeightsEntry {
    WeightsEntry::timm(name, backbone, repo, [256, 224], Interp::Bicubic, Some(acc1), APACHE)
}

/// 224 of 256 pixels, bicubic, ImageNet's mean and deviation.
fn preprocess(_: usize) -> (PreprocessSpec, f64) {
    (PreprocessSpec::new(256, 224, Interp::Bicubic, Range::Torch), 224.0 / 256.0)
}

const WEIGHTS: &[WeightsEntry] = &[
    hub("dinov2-small", "dinov2_vits14", "facebook/dinov2-small", 0.811),
    hub("dinov2-small-imagenet1k-1-layer", "dinov2_vits14", "facebook/dinov2-small-imagenet1k-1-layer", 0.811),
    hub("dinov2-base", "dinov2_vitb14", "facebook/dinov2-base", 0.845),
    hub("dinov2-base-imagenet1k-1-layer", "dinov2_vitb14", "facebook/dinov2-base-imagenet1k-1-layer", 0.845),
];

const NAMING: Naming =
    Naming { foreign: prefixes::REGISTERS, ..Naming::with(&[prefixes::map(Dialect::Native, |p, _| HUGGINGFACE.rename(p))]) };

const HUGGINGFACE: Prefixes = Prefixes {
    prefix: "dinov2.",
    block: "encoder.layer.",
    parts: &[
        ("norm1.", "norm1.", Axes::Same),
        ("attention.attention.query.", "attn.qkv.", third(0)),
        ("attention.attention.key.", "attn.qkv.", third(1)),
        ("attention.attention.value.", "attn.qkv.", third(2)),
        ("attention.output.dense.", "attn.proj.", Axes::Same),
        ("layer_scale1.lambda1", "ls1.gamma", Axes::Same),
        ("norm2.", "norm2.", Axes::Same),
        ("mlp.fc1.", "mlp.fc1.", Axes::Same),
        ("mlp.fc2.", "mlp.fc2.", Axes::Same),
        ("layer_scale2.lambda1", "ls2.gamma", Axes::Same),
    ],
    rest: HUGGINGFACE_REST,
};
