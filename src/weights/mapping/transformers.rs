//! Vision transformers as torchvision, Hugging Face's transformers and OpenAI (open_clip) name them, under the names of DINOv2 and timm.

use super::{Axes, Names};
use crate::graph::Parameter;

/// How a name begins, what it begins with in our graphs, and what becomes of the tensor.
type Start = (&'static str, &'static str, Axes);

/// How one library names a network.
struct Words {
    /// What may stand in front of any name.
    prefix: &'static str,
    /// What stands in front of a block's number.
    block: &'static str,
    /// Names inside a block, without its number.
    parts: &'static [Start],
    /// All other names.
    rest: &'static [Start],
}

impl Words {
    fn rename(&self, p: &Parameter) -> Option<(String, Axes)> {
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
const fn third(index: usize) -> Axes {
    Axes::Part { index, of: 3 }
}

const TORCHVISION: Words = Words {
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

const HUGGINGFACE_REST: &[Start] = &[
    ("embeddings.cls_token", "cls_token", Axes::Same),
    ("embeddings.position_embeddings", "pos_embed", Axes::Same),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj.", Axes::Same),
    ("embeddings.register_tokens", "register_tokens", Axes::Same),
    ("layernorm.", "norm.", Axes::Same),
    ("classifier.", "head.", Axes::Same),
];

const HUGGINGFACE_VIT: Words = Words {
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

const HUGGINGFACE_DINOV2: Words = Words {
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

const HUGGINGFACE_CLIP: Words = Words {
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

const OPENAI: Words = Words {
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

/// torchvision's ViT.
pub(super) fn torchvision_vit(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    TORCHVISION.rename(p)
}

/// Hugging Face's ViT.
pub(super) fn huggingface_vit(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    HUGGINGFACE_VIT.rename(p)
}

/// Hugging Face's DINOv2.
pub(super) fn huggingface_dinov2(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    HUGGINGFACE_DINOV2.rename(p)
}

/// Hugging Face's CLIP, with or without its text encoder.
pub(super) fn huggingface_clip(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    HUGGINGFACE_CLIP.rename(p)
}

/// OpenAI's and open_clip's CLIP, with or without its text encoder.
pub(super) fn openai_clip(p: &Parameter, _: &Names) -> Option<(String, Axes)> {
    OPENAI.rename(p)
}
