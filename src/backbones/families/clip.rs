//! The image encoder of CLIP (Radford et al. 2021), ViT-B/32 and ViT-B/16.
//!
//! Chosen beside DINOv2 and ViT because its embeddings are the most wanted features to cache:
//! clip-retrieval and most nearest-neighbour and zero-shot tools store them.
//!
//! `gap` is the class token behind the final norm (Hugging Face's `pooler_output`), on which the
//! paper's linear probes were trained; `embed` is its projection into the space shared with texts
//! (`image_embeds`, `encode_image`). There are no `logits`: CLIP has no classifier of its own.

use super::transformer::Shape;
use crate::backbones::entry::{MIT, Source, WeightsEntry};
use crate::backbones::info::BackboneInfo;
use crate::backbones::net::Net;
use crate::backbones::options::BuildOptions;
use crate::graph::{Act, Graph};
use crate::preprocess::{Interp, PreprocessSpec, Range};
use crate::weights::hub::HubFile;
use crate::weights::mapping::prefixes::{Prefixes, third};
use crate::weights::mapping::{Axes, Dialect, Naming, prefixes};

pub(super) const ALL: [BackboneInfo; 2] = [info("clip_vit_b_32", |_| build(32, 7)), info("clip_vit_b_16", |_| build(16, 14))];

/// Width of the space that images and texts share.
const SHARED: usize = 512;

const fn info(name: &'static str, build: fn(&BuildOptions) -> Graph) -> BackboneInfo {
    BackboneInfo { entries: WEIGHTS, naming: NAMING, preprocess, ..BackboneInfo::new(name, "CLIP", 224, build) }
}

fn build(patch: usize, grid: usize) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let shape = Shape { bias: false, act: Act::QuickGelu, ..Shape::base(patch, grid) };
    let [class, _] = shape.build(&mut net, x);
    let embed = net.project("head", class, SHARED);
    net.tap("embed", embed);
    net.finish()
}

/// Mean and deviation of the images that CLIP was trained on.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// The whole shorter side, bicubic.
const PREPROCESS: PreprocessSpec = PreprocessSpec { mean: MEAN, std: STD, ..PreprocessSpec::new(224, 224, Interp::Bicubic, Range::Torch) };

fn preprocess(_: usize) -> (PreprocessSpec, f64) {
    (PREPROCESS, 1.0)
}

/// A file of PyTorch's, text encoder included. The licence is that of OpenAI's repository; the
/// hub's page states none.
const fn hub(name: &'static str, backbone: &'static str, repo: &'static str) -> WeightsEntry {
    let entry = WeightsEntry::timm(name, backbone, repo, [224, 224], Interp::Bicubic, None, MIT);
    let file = HubFile { file: "pytorch_model.bin", ..HubFile::safetensors(repo) };
    WeightsEntry { source: Source::Hub { file, licence: MIT }, preprocess: PREPROCESS, ..entry }
}

const WEIGHTS: &[WeightsEntry] = &[
    hub("clip-vit-base-patch32", "clip_vit_b_32", "openai/clip-vit-base-patch32"),
    hub("clip-vit-base-patch16", "clip_vit_b_16", "openai/clip-vit-base-patch16"),
];

/// Both with or without the text encoder.
const NAMING: Naming = Naming {
    foreign: prefixes::REGISTERS,
    ..Naming::with(&[prefixes::map(Dialect::Native, |p, _| HUGGINGFACE.rename(p)), prefixes::map(Dialect::Native, |p, _| OPENAI.rename(p))])
};

const HUGGINGFACE: Prefixes = Prefixes {
    prefix: "",
    block: "vision_model.encoder.layers.",
    parts: &[
        ("layer_norm1.", "norm1.", Axes::Same),
        ("self_attn.q_proj.", "attn.qkv.", third(0)),
        ("self_attn.k_proj.", "attn.qkv.", third(1)),
        ("self_attn.v_proj.", "attn.qkv.", third(2)),
        ("self_attn.out_proj.", "attn.proj.", Axes::Same),
        ("layer_norm2.", "norm2.", Axes::Same),
        ("mlp.fc1.", "mlp.fc1.", Axes::Same),
        ("mlp.fc2.", "mlp.fc2.", Axes::Same),
    ],
    rest: &[
        ("vision_model.embeddings.class_embedding", "cls_token", Axes::ToTokens),
        ("vision_model.embeddings.position_embedding.weight", "pos_embed", Axes::ToTokens),
        ("vision_model.embeddings.patch_embedding.", "patch_embed.proj.", Axes::Same),
        // Sic.
        ("vision_model.pre_layrnorm.", "norm_pre.", Axes::Same),
        ("vision_model.post_layernorm.", "norm.", Axes::Same),
        ("visual_projection.", "head.", Axes::Same),
    ],
};

/// OpenAI's and open_clip's.
const OPENAI: Prefixes = Prefixes {
    prefix: "",
    block: "visual.transformer.resblocks.",
    parts: &[
        ("ln_1.", "norm1.", Axes::Same),
        ("attn.in_proj_", "attn.qkv.", Axes::Same),
        ("attn.out_proj.", "attn.proj.", Axes::Same),
        ("ln_2.", "norm2.", Axes::Same),
        ("mlp.c_fc.", "mlp.fc1.", Axes::Same),
        ("mlp.c_proj.", "mlp.fc2.", Axes::Same),
    ],
    rest: &[
        ("visual.class_embedding", "cls_token", Axes::ToTokens),
        ("visual.positional_embedding", "pos_embed", Axes::ToTokens),
        ("visual.conv1.", "patch_embed.proj.", Axes::Same),
        ("visual.ln_pre.", "norm_pre.", Axes::Same),
        ("visual.ln_post.", "norm.", Axes::Same),
        ("visual.proj", "head.weight", Axes::IoToOi),
    ],
};
