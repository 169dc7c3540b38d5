//! The image encoder of CLIP (Radford et al. 2021), ViT-B/32 and ViT-B/16.
//!
//! Chosen beside DINOv2 and ViT because it is what people who cache features ask for most: its embeddings are what clip-retrieval and most
//! nearest-neighbour and zero-shot tools store.
//!
//! `gap` is the class token behind the final norm (Hugging Face's `pooler_output`), on which the paper's linear probes were trained; `embed` is its
//! projection into the space shared with texts (`image_embeds`, `encode_image`). There are no `logits`: CLIP has no classifier of its own.

use super::build::Net;
use super::transformer::Shape;
use super::{BackboneInfo, Options};
use crate::graph::{Act, Graph};

pub(super) const ALL: [BackboneInfo; 2] = [info("clip_vit_b_32", |_| build(32, 7)), info("clip_vit_b_16", |_| build(16, 14))];

/// Width of the space that images and texts share.
const SHARED: usize = 512;

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "CLIP", size: 224, classifier: None, build }
}

fn build(patch: usize, grid: usize) -> Graph {
    let (mut net, x) = Net::new(1e-5);
    let shape = Shape { bias: false, act: Act::QuickGelu, ..Shape::base(patch, grid) };
    let [class, _] = shape.build(&mut net, x);
    let embed = net.project("head", class, SHARED);
    net.tap("embed", embed);
    net.finish()
}
