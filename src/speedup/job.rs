//! A comparison to be run, and who watches it.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::epoch_features::EpochFeatures;
use crate::data::Split;
use crate::extract::ExtractionJob;
use crate::extraction;
use crate::heads::Trainer;
use crate::sweep::{SingleTrial, Source, SweepConfig, TapFeatures};
use crate::{Error, Result};

/// Number of epochs with the base in the loop that are run where not all are asked for.
pub(crate) const SAMPLED_EPOCHS: usize = 2;

/// The head of a comparison that names none: the fully connected one of many tutorials.
pub const DEFAULT: &str = "\
method: grid
metric: {name: val.acc1, goal: maximize}
parameters:
  head: {value: dense}
  hidden: {value: 256}
  dropout: {value: 0.5}
  init: {value: xavier}
  optimizer: {value: rmsprop}
  preset: {value: keras}
  lr: {value: 2.0e-5}
  batch_size: {value: 20}
  epochs: {value: 30}
";

/// A comparison to be run.
pub(crate) struct ComparisonJob<'a> {
    /// The extraction of one tap, of images of train and val. Its folder, below `out`, holds the
    /// cached features.
    pub job: &'a ExtractionJob<'a>,
    /// The head: a sweep of one trial.
    pub config: &'a SweepConfig,
    /// The trainer of the head.
    pub trainer: &'a dyn Trainer,
    /// The folder for the results.
    pub out: &'a Path,
    /// Whether all epochs are run with the base in the loop.
    pub full: bool,
    /// Seconds that it took to list and digest the images and to open the weights.
    pub prepared: f64,
}

/// An arm of the comparison: one of the two ways of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// On cached features.
    Cached,
    /// With the base in the loop.
    InLoop,
}

/// Watches a comparison: its extractions, and its epochs.
pub trait Observer: extraction::Observer {
    /// An arm of `epochs` epochs begins.
    fn arm(&mut self, _arm: Arm, _epochs: usize) {}

    /// An epoch, counted from 1, begins.
    fn epoch(&mut self, _arm: Arm, _epoch: usize) {}

    /// An arm is taken from an earlier run.
    fn reused(&mut self, _arm: Arm) {}
}

impl Observer for () {}

impl ComparisonJob<'_> {
    /// The head, planned before there are features: mistakes in its settings come first.
    pub(super) fn planned(&self) -> Result<SingleTrial> {
        let (dataset, taps) = (self.job.dataset, self.job.taps);
        let [tap] = taps else {
            return Err(Error::setting(format!("there are {} taps, and one is compared", taps.len()), "name one with option `tap`"));
        };
        let entries = &dataset.entries;
        let features = Arc::new(EpochFeatures::empty(entries.len(), tap.shape.iter().product()));
        let labels = entries.iter().map(|e| e.labels.iter().map(|&l| l as u32).collect()).collect();
        let splits: Vec<_> = entries.iter().map(|e| e.split.unwrap_or(Split::Train)).collect();
        let taps = vec![TapFeatures { name: tap.name.clone(), shape: tap.shape.clone(), features, views: vec![] }];
        let paths = entries.iter().map(|e| e.uri.clone()).collect();
        SingleTrial::new(self.config, Source::new(taps, dataset.classes.clone(), paths, labels, &splits)?, self.trainer.name())
    }

    /// The head on the cached features.
    pub(super) fn opened(&self) -> Result<SingleTrial> {
        SingleTrial::new(self.config, Source::open(self.job.folder)?, self.trainer.name())
    }

    pub(super) fn title(&self, epochs: usize) -> String {
        format!("{} on {}, tap {}, {epochs} epochs", self.job.key.backbone, self.job.name, self.job.taps[0].name)
    }

    /// Digest of everything that times and predictions depend on.
    pub(super) fn id(&self, planned: &SingleTrial) -> String {
        let digests: Vec<String> =
            self.job.digests.iter().map(|d| d.as_ref().map_or_else(ToString::to_string, ToString::to_string)).collect();
        let threads = rayon::current_num_threads();
        let all = serde_json::json!([self.job.key.digest(), planned.trial.id, self.job.batch, digests, threads, env!("CARGO_PKG_VERSION")]);
        Sha256::digest(all.to_string())[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}
