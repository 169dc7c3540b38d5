//! One file a family: its graphs, its published weights, its names in other libraries. A new family
//! is its file and its line in [`FAMILIES`].

mod alexnet;
mod clip;
mod convnext;
mod densenet;
mod dinov2;
mod efficientnet;
mod efficientnet_lite;
mod googlenet;
mod inception;
mod mobilenet_v2;
mod mobilenet_v3;
mod resnet;
mod shufflenet;
mod squeezenet;
mod transformer;
mod vgg;
mod vit;
mod xception;

use std::sync::OnceLock;

use super::entry::WeightsEntry;
use super::info::BackboneInfo;
use crate::{Error, Result, nearest, steps};

/// Members of every family.
const FAMILIES: [&[BackboneInfo]; 17] = [
    &alexnet::ALL,
    &vgg::ALL,
    &resnet::ALL,
    &squeezenet::ALL,
    &densenet::ALL,
    &inception::ALL,
    &xception::ALL,
    &googlenet::ALL,
    &shufflenet::ALL,
    &mobilenet_v2::ALL,
    &mobilenet_v3::ALL,
    &efficientnet::ALL,
    &efficientnet_lite::ALL,
    &convnext::ALL,
    &vit::ALL,
    &dinov2::ALL,
    &clip::ALL,
];

/// Every backbone, family by family.
pub fn all() -> &'static [BackboneInfo] {
    static ALL: OnceLock<Vec<BackboneInfo>> = OnceLock::new();
    ALL.get_or_init(|| FAMILIES.concat())
}

/// The backbone of this name.
///
/// # Errors
/// An unknown name: says the nearest.
///
/// ```
/// let vgg16 = headstart::backbones::find("vgg16")?;
/// assert_eq!((vgg16.family, vgg16.size), ("VGG", 224));
/// let mistyped = headstart::backbones::find("resnet5O").unwrap_err();
/// assert!(mistyped.to_string().contains("did you mean `resnet50`?"));
/// # Ok::<(), headstart::Error>(())
/// ```
pub fn find(name: &str) -> Result<&'static BackboneInfo> {
    all().iter().find(|b| b.name == name).ok_or_else(|| {
        let list = format!("{} names them all", steps::LIST_OF_BACKBONES);
        let hint = nearest(name, all().iter().map(|b| b.name)).map_or(list.clone(), |near| format!("did you mean `{near}`? {list}"));
        Error::setting(format!("no backbone `{name}`"), hint)
    })
}

/// The pretrained weights of one backbone, the default first.
pub fn entries(info: &BackboneInfo) -> impl Iterator<Item = &'static WeightsEntry> + use<> {
    info.entries()
}

/// Every entry of every backbone.
pub(super) fn known_entries() -> impl Iterator<Item = &'static WeightsEntry> {
    all().iter().flat_map(BackboneInfo::entries)
}

/// The entry of this name.
///
/// # Errors
/// An unknown name: says the nearest.
pub fn find_entry(name: &str) -> Result<&'static WeightsEntry> {
    known_entries().find(|e| e.name == name).ok_or_else(|| {
        let near = nearest(name, known_entries().map(|e| e.name));
        let list = || format!("{} names its entries", steps::DESCRIPTION_OF_BACKBONE);
        Error::setting(format!("no weights entry `{name}`"), near.map_or_else(list, |n| format!("did you mean `{n}`?")))
    })
}
