//! ViT-B/16 (Dosovitskiy et al. 2021), torchvision's `vit_b_16`, timm's `vit_base_patch16_224`.
//!
//! `gap` is the class token behind the final norm, which the classifier reads: `logits`. torchvision takes 224×224 only; at other sizes positions
//! are interpolated as transformers does (`interpolate_pos_encoding=True`).

use super::build::Net;
use super::transformer::Shape;
use super::{BackboneInfo, Options};
use crate::graph::Graph;

pub(super) const ALL: [BackboneInfo; 1] =
    [BackboneInfo { name: "vit_b_16", family: "ViT", size: 224, classifier: Some("head.weight"), build }];

fn build(options: &Options) -> Graph {
    let (mut net, x) = Net::new(1e-6);
    let [class, _] = Shape::base(16, 14).build(&mut net, x);
    net.logits("head", class, options.classes);
    net.finish()
}
