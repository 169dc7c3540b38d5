//! DINOv2 (Oquab et al. 2023), ViT-S/14 and ViT-B/14 without registers, under torch hub's names.
//!
//! `gap` is the class token behind the final norm: what the hub's models return and Hugging Face calls `pooler_output`. `logits` are those of the
//! linear classifiers that were published with them (`dinov2-small-imagenet1k-1-layer`): over the class token and the mean of the patches. Files
//! of the bare network have no such `head`, and nothing but `logits` needs it.
//!
//! The positions were trained for 518×518. At other sizes they are interpolated as the hub's code does it, bicubic with an offset of 0.1 in the
//! scale, since that is how the published features and accuracies were made; transformers asks for the size and gets slightly other positions.

use super::build::Net;
use super::transformer::Shape;
use super::{BackboneInfo, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 2] = [info("dinov2_vits14", |o| build(o, 384, 6)), info("dinov2_vitb14", |o| build(o, 768, 12))];

const fn info(name: &'static str, build: fn(&Options) -> Graph) -> BackboneInfo {
    BackboneInfo { name, family: "DINOv2", size: 224, classifier: Some("head.weight"), build }
}

fn build(options: &Options, width: usize, heads: usize) -> Graph {
    let (mut net, x) = Net::new(1e-6);
    let shape = Shape { width, heads, offset: 0.1, scales: true, ..Shape::base(14, 37) };
    let [class, mean] = shape.build(&mut net, x);
    let both = net.concat("cls-patch-mean", &[class, mean]);
    net.logits("head", both, options.classes);
    net.finish()
}
