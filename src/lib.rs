//! Freeze a pretrained convolutional base, run it once over every image, cache its pooled features, then train only small heads.
//!
//! ```text
//! data → preprocess → backbone (graph → plan → engine) → extract → store ─┐
//!                                                                        └→ heads → sweep → report
//! ```
#![warn(missing_docs)]

pub mod backbone;
pub mod backbones;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod engine;
mod error;
pub mod experiment;
pub mod extract;
pub mod extraction;
mod files;
pub mod graph;
pub mod heads;
mod map;
pub mod model;
pub mod plan;
pub mod preprocess;
#[cfg(feature = "report")]
pub mod report;
pub mod rng;
mod simd;
pub mod speedup;
pub mod store;
pub mod sweep;
mod text;
mod unfinished;
pub mod weights;

pub use backbone::{Backbone, BackboneSettings};
pub use error::{Error, Result, nearest, steps};
pub use experiment::Sweep;
pub use extraction::Extraction;
pub use model::Classifier;
pub use store::Cache;
pub use text::{visible, visible_lines};
pub use unfinished::abandon;
