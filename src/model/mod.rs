//! A backbone and a head joined: classifying images, and the files in which both are taken away.
//!
//! | file | holds |
//! |---|---|
//! | `trained.rs` | [`TrainedModel`]: a head and the backbones that make its features |
//! | `open.rs` | opening it from a sweep directory or a bundle |
//! | `classifier.rs` | [`Classifier`]: images in, class probabilities out |
//! | `layers.rs` | what `head: classifier` trains |
//! | `onnx/` | [`write_onnx`]: backbone and head as an ONNX model |
//! | `bundle.rs` | [`write_bundle`]: everything that prediction needs in one safetensors file |

mod bundle;
mod classifier;
mod layers;
mod onnx;
mod open;
mod trained;

#[cfg(test)]
pub(crate) mod tests;

pub use bundle::{Bundled, write_bundle};
#[cfg(test)]
pub(crate) use classifier::Views;
pub use classifier::{Classifier, ClassifierBuilder, Prediction};
pub(crate) use layers::backbone_classifier;
pub use onnx::{Onnx, write_onnx};
pub use trained::TrainedModel;
#[cfg(test)]
pub(crate) use trained::UsedBackbone;
