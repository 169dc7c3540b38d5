//! A base and a head joined: classifying photos, and the files in which both are taken away.
//!
//! | file | holds |
//! |---|---|
//! | `trained.rs` | [`TrainedModel`]: a sweep directory or a bundle, opened |
//! | `classifier.rs` | [`Classifier`]: photos in, class probabilities out |
//! | `layers.rs` | [`backbone_classifier`]: what `head: classifier` trains |
//! | `onnx/` | [`write_onnx`]: base and head as an ONNX model |
//! | `bundle.rs` | [`write_bundle`]: everything that prediction needs in one safetensors file |

mod bundle;
mod classifier;
mod layers;
mod onnx;
mod trained;

#[cfg(test)]
pub(crate) mod tests;

pub use bundle::{BUNDLE_FORMAT, Bundled, write_bundle};
pub use classifier::{Classifier, Views};
pub use layers::backbone_classifier;
pub use onnx::{Onnx, write_onnx};
pub use trained::{TrainedModel, UsedBackbone};
