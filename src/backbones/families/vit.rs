//! ViT-B/16 (Dosovitskiy et al. 2021), torchvision's `vit_b_16`, timm's `vit_base_patch16_224`.
//!
//! `gap` is the class token behind the final norm, which the classifier reads: `logits`.
//! torchvision takes 224×224 only; at other sizes positions are interpolated as transformers does
//! (`interpolate_pos_encoding=True`).

use super::transformer::Shape;
use crate::backbones::entry::{APACHE, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::Net;
use crate::backbones::options::BuildOptions;
use crate::graph::Graph;
use crate::preprocess::{Interp, PreprocessSpec};
use crate::weights::mapping::prefixes::{HUGGINGFACE_REST, Prefixes, third};
use crate::weights::mapping::{Axes, Dialect, Naming, prefixes};

pub(super) const ALL: [BackboneInfo; 1] = [BackboneInfo {
    classifier: Some("head.weight"),
    entries: WEIGHTS,
    naming: NAMING,
    ..BackboneInfo::new("vit_b_16", "ViT", 224, build)
}];

fn build(options: &BuildOptions) -> Graph {
    let (mut net, x) = Net::new(1e-6);
    let [class, _] = Shape::base(16, 14).build(&mut net, x);
    net.logits("head", class, options.classes);
    net.finish()
}

/// timm's: the model card's `mean` and `std` of 0.5.
const fn augreg(name: &'static str, repo: &'static str, acc1: f64) -> WeightsEntry {
    let entry = WeightsEntry::timm(name, "vit_b_16", repo, [248, 224], Interp::Bicubic, Some(acc1), APACHE);
    WeightsEntry { preprocess: PreprocessSpec { mean: [0.5; 3], std: [0.5; 3], ..entry.preprocess }, ..entry }
}

const WEIGHTS: &[WeightsEntry] = &[
    augreg("vit_base_patch16_224.augreg2_in21k_ft_in1k", "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", 0.85096),
    augreg("vit_base_patch16_224.augreg_in21k_ft_in1k", "timm/vit_base_patch16_224.augreg_in21k_ft_in1k", 0.84532),
    WeightsEntry::torchvision("vit_b_16.IMAGENET1K_V1", "vit_b_16", "vit_b_16-c867db91.pth", [256, 224], Interp::Bilinear, 0.81072),
    WeightsEntry::torchvision(
        "vit_b_16.IMAGENET1K_SWAG_LINEAR_V1",
        "vit_b_16",
        "vit_b_16_lc_swag-4e70ced5.pth",
        [224, 224],
        Interp::Bicubic,
        0.81886,
    ),
];

/// The graph itself has timm's names.
const NAMING: Naming = Naming {
    own: Dialect::Timm,
    keras_layers: false,
    foreign: prefixes::REGISTERS,
    maps: &[prefixes::map(Dialect::Native, |p, _| TORCHVISION.rename(p)), prefixes::map(Dialect::Timm, |p, _| HUGGINGFACE.rename(p))],
};

const TORCHVISION: Prefixes = Prefixes {
    prefix: "",
    block: "encoder.layers.encoder_layer_",
    parts: &[
        ("ln_1.", "norm1.", Axes::Same),
        ("self_attention.in_proj_", "attn.qkv.", Axes::Same),
        ("self_attention.out_proj.", "attn.proj.", Axes::Same),
        ("ln_2.", "norm2.", Axes::Same),
        ("mlp.0.", "mlp.fc1.", Axes::Same),
        ("mlp.3.", "mlp.fc2.", Axes::Same),
        // The published files are older than torchvision's present names.
        ("mlp.linear_1.", "mlp.fc1.", Axes::Same),
        ("mlp.linear_2.", "mlp.fc2.", Axes::Same),
    ],
    rest: &[
        ("class_token", "cls_token", Axes::Same),
        ("conv_proj.", "patch_embed.proj.", Axes::Same),
        ("encoder.pos_embedding", "pos_embed", Axes::Same),
        ("encoder.ln.", "norm.", Axes::Same),
        ("heads.head.", "head.", Axes::Same),
    ],
};

const HUGGINGFACE: Prefixes = Prefixes {
    prefix: "vit.",
    block: "encoder.layer.",
    parts: &[
        ("layernorm_before.", "norm1.", Axes::Same),
        ("attention.attention.query.", "attn.qkv.", third(0)),
        ("attention.attention.key.", "attn.qkv.", third(1)),
        ("attention.attention.value.", "attn.qkv.", third(2)),
        ("attention.output.dense.", "attn.proj.", Axes::Same),
        ("layernorm_after.", "norm2.", Axes::Same),
        ("intermediate.dense.", "mlp.fc1.", Axes::Same),
        ("output.dense.", "mlp.fc2.", Axes::Same),
    ],
    rest: HUGGINGFACE_REST,
};
