//! Run a frozen pretrained network once over every image, cache its features, and train hundreds of
//! classifier heads on the cache.
//!
//! Two stages, one direction: an [`Extraction`] turns images into features, once; a [`Sweep`]
//! trains heads on features and never sees an image. A [`Classifier`] joins both for new images.
//!
//! ```no_run
//! use headstart::{Backbone, Classifier, Extraction, Sweep};
//!
//! // A network with pretrained weights, which are fetched once.
//! let backbone = Backbone::open("efficientnet_lite0")?;
//! // photos/cats/…, photos/dogs/…: what the cache has not yet is computed.
//! let extraction = Extraction::builder("photos", &backbone).prepare(&mut ())?;
//! extraction.run(&mut ())?;
//! // A grid of heads, compared on validation data.
//! let sweep = Sweep::builder([extraction.folder()]).out("sweeps/photos").run(&())?;
//! // The best of them on a new photo: a path, encoded bytes or decoded pixels.
//! let mut classifier = Classifier::open(sweep.folder)?;
//! for prediction in classifier.predict(["new-photo.jpg"])? {
//!     println!("{:?}", prediction?.top(3));
//! }
//! # Ok::<(), headstart::Error>(())
//! ```
//!
//! [`experiment`] holds the same on random weights and on images made on the spot. The library
//! never prints: what it has to say goes to an [`extraction::Observer`] or a [`sweep::Observer`];
//! `()` hears nothing. Every operation that can fail for a reason outside the program returns
//! [`Error`], whose message names the file and the way out.
//!
//! | module | what for |
//! |---|---|
//! | [`backbone`], [`backbones`], [`weights`] | a network ready to run; the zoo; weight files of every format |
//! | [`data`], [`preprocess`] | images in, labels, splits, digests; from pixels to the network's input |
//! | [`extraction`], [`store`] | features computed and cached; caches inspected, verified, merged, exported |
//! | [`experiment`], [`sweep`] | heads trained and compared; what a sweep file says |
//! | [`model`] | a trained head with its backbone: predictions, bundles, ONNX |
//! | `report`, [`speedup`] | pages for people |
//! | `cli` | the command `headstart` |
//!
//! # Features
//!
//! All are on by default but the last two.
//!
//! | feature | what for |
//! |---|---|
//! | `cli` | the module `cli` and the program `headstart` |
//! | `hub` | weights fetched by name |
//! | `parquet` | features exported as Parquet |
//! | `report` | the pages of sweeps and comparisons, TensorBoard's event files |
//! | `cuda`, `metal` | backbones and heads on a GPU |
#![warn(missing_docs)]
#![cfg_attr(
    not(all(feature = "cli", feature = "hub", feature = "parquet", feature = "report")),
    allow(dead_code, unused_imports, reason = "which parts are used depends on the features")
)]

pub mod backbone;
pub mod backbones;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod engine;
mod error;
pub mod experiment;
mod extract;
pub mod extraction;
mod files;
mod graph;
mod heads;
mod map;
pub mod model;
mod plan;
pub mod preprocess;
#[cfg(feature = "report")]
pub mod report;
mod rng;
mod simd;
pub mod speedup;
pub mod store;
pub mod sweep;
mod text;
mod unfinished;
pub mod weights;

pub use backbone::{Backbone, BackboneSettings};
pub(crate) use error::nearest;
pub use error::{Error, Result, steps};
pub use experiment::Sweep;
pub use extraction::Extraction;
pub use model::Classifier;
/// Arrays in which [`Cache`] returns features.
pub use ndarray;
pub use store::Cache;
pub(crate) use text::{visible, visible_lines};
pub use unfinished::abandon;

/// Insides for the integration tests, fuzz targets and examples of this repository, which hold
/// parts against each other that no program combines: engines against the reference, trainers
/// against each other, damaged files against their readers. Nothing here is part of the interface,
/// nor are the items that other modules hide from the documentation for the same reason.
#[doc(hidden)]
pub mod internals {
    pub mod graph {
        pub use crate::graph::Graph;
    }
    pub mod heads {
        pub use crate::heads::{
            CandleTrainer, Fit, FusedTrainer, Head, HeadKind, HiddenLayers, KEYS, Labels, Layer, Matrix, Metrics, Params, Partition,
            Predictor, PretrainedLayers, Session, Solver, Task, Trainer,
        };
    }
    pub mod plan {
        pub use crate::plan::Plan;
    }
    pub mod rng {
        pub use crate::rng::Philox;
    }
}
