//! The same head trained with the frozen base in the loop of every epoch, and on features that were cached once: the same predictions, and
//! the time of each.
//!
//! | file | holds |
//! |---|---|
//! | `comparison.rs` | [`Comparison`]: data, backbone and head put together |
//! | `legs.rs` | both ways of training, timed |
//! | `swapped.rs` | a table of features that changes from epoch to epoch |
//! | `record.rs` | what was measured, kept leg by leg |
//! | `line.rs` | time over epochs and trials, break-even |
//! | `outcome.rs` | [`Speedup`]: everything that is told, as plain data; its table and its files |
//! | `page.rs` | its HTML page |
//!
//! Both legs see train and val, read the same files with the same decoder, run the same engine in the same batches and train the same head
//! from the same seed. In the loop every epoch decodes every image and runs the base over it, as `fit` does on a model whose base is frozen;
//! its features are kept in memory for that epoch and thrown away.

mod comparison;
mod legs;
mod line;
mod outcome;
#[cfg(feature = "report")]
mod page;
mod record;
mod swapped;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::data::Split;
use crate::engine::Engine;
use crate::extract::Job;
use crate::extraction;
use crate::files::create_folder;
use crate::heads::Trainer;
use crate::store::{Lock, Wait};
use crate::sweep::{Single, Source, SweepConfig, TapFeatures};
use crate::{Error, Result};

pub use comparison::{Comparison, ComparisonBuilder};
use legs::Legs;
pub use line::{Line, break_even, trials};
pub use outcome::{About, Images, LegTime, PAGE_FILE, RESULT_FILE, Speedup, TABLE_FILE, Trials};
pub use record::{Agreement, CachedLeg, Epoch, InLoopLeg, Record};
use swapped::Swapped;

/// Epochs of the leg with the base in the loop that are run where not all are asked for.
pub const SAMPLED_EPOCHS: usize = 2;

/// The head where nothing is said: the tutorials' fully connected one.
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

/// What is compared.
pub(crate) struct ComparisonJob<'a> {
    /// The extraction of one tap, of images of train and val. Its folder is where the features are cached: below `out`.
    pub job: &'a Job<'a>,
    /// The head: a sweep of one trial.
    pub config: &'a SweepConfig,
    /// What trains it.
    pub trainer: &'a dyn Trainer,
    /// The folder that the comparison leaves.
    pub out: &'a Path,
    /// Whether all epochs are run with the base in the loop.
    pub full: bool,
    /// Seconds that it took to list and digest the images and to open the weights.
    pub prepared: f64,
}

/// Which way of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On cached features.
    Cached,
    /// With the base in the loop.
    InLoop,
}

/// Watches a comparison: its extractions, and its epochs.
pub trait Observer: extraction::Observer {
    /// A leg of so many epochs begins.
    fn leg(&mut self, _way: Way, _epochs: usize) {}

    /// An epoch, counted from 1, begins.
    fn epoch(&mut self, _way: Way, _epoch: usize) {}

    /// A leg is taken from an earlier run.
    fn reused(&mut self, _way: Way) {}
}

impl Observer for () {}

/// Runs what is left of a comparison and writes its files.
///
/// # Errors
/// Settings that make more than one head; a folder that holds something else; images that changed meanwhile; an engine's, a trainer's or the
/// system's own failure. Legs that were finished are kept.
pub(crate) fn run(comparison: &ComparisonJob<'_>, observer: &mut dyn Observer) -> Result<Speedup> {
    let ComparisonJob { job, out, .. } = *comparison;
    let planned = comparison.planned()?;
    let epochs = planned.trial.spec.params().epochs;
    let wanted = if comparison.full { epochs } else { epochs.min(SAMPLED_EPOCHS) };
    create_folder(out)?;
    let _lock = Lock::take(out, Wait::Moment)?;
    let mut record = Record::open(out, &comparison.id(&planned), &comparison.title(epochs))?;
    record::remove_leftovers(out)?;
    if !job.folder.join("manifest.json").is_file() {
        (record.cached, record.in_loop) = (None, None);
    }
    let lacks = |leg: &Option<InLoopLeg>| leg.as_ref().is_none_or(|leg| leg.epochs.len() < wanted);
    let engine = match record.cached.is_none() || lacks(&record.in_loop) {
        true => {
            let start = Instant::now();
            let taps: Vec<String> = job.taps.iter().map(|tap| tap.name.clone()).collect();
            let engine: Arc<dyn Engine> = (job.engine)(&taps, job.batch)?.into();
            record.start = record.start.or(record::rounded(Some(comparison.prepared + start.elapsed().as_secs_f64()))?);
            Some(engine)
        }
        false => None,
    };
    let legs = Legs { comparison, engine };
    if record.cached.is_none() {
        observer.leg(Way::Cached, epochs);
        record.cached = Some(record::rounded(legs.cached(observer)?)?);
        record.in_loop = None;
        record.save(out)?;
    } else {
        observer.reused(Way::Cached);
    }
    let single = comparison.opened()?;
    if lacks(&record.in_loop) {
        observer.leg(Way::InLoop, wanted);
        record.in_loop = Some(record::rounded(legs.in_loop(&single, wanted, observer)?)?);
        record.save(out)?;
    } else {
        observer.reused(Way::InLoop);
    }
    let speedup = Speedup::new(comparison, &single, &record)?;
    speedup.write(out)?;
    Ok(speedup)
}

impl ComparisonJob<'_> {
    /// The head, planned before there are features: mistakes in its settings come first.
    fn planned(&self) -> Result<Single> {
        let (dataset, taps) = (self.job.dataset, self.job.taps);
        let [tap] = taps else {
            return Err(Error::setting(format!("{} taps, and one is compared", taps.len()), "name one with --tap"));
        };
        let entries = &dataset.entries;
        let features = Arc::new(Swapped::empty(entries.len(), tap.shape.iter().product()));
        let labels = entries.iter().map(|e| e.labels.iter().map(|&l| l as u32).collect()).collect();
        let splits: Vec<_> = entries.iter().map(|e| e.split.unwrap_or(Split::Train)).collect();
        let taps = vec![TapFeatures { name: tap.name.clone(), shape: tap.shape.clone(), features, views: vec![] }];
        let paths = entries.iter().map(|e| e.uri.clone()).collect();
        Single::new(self.config, Source::new(taps, dataset.classes.clone(), paths, labels, &splits)?, self.trainer.name())
    }

    /// The head on the cached features.
    fn opened(&self) -> Result<Single> {
        Single::new(self.config, Source::open(self.job.folder)?, self.trainer.name())
    }

    fn title(&self, epochs: usize) -> String {
        format!("{} on {}, tap {}, {epochs} epochs", self.job.key.backbone, self.job.name, self.job.taps[0].name)
    }

    /// Digest of what the times and the predictions depend on.
    fn id(&self, planned: &Single) -> String {
        let digests: Vec<String> =
            self.job.digests.iter().map(|d| d.as_ref().map_or_else(ToString::to_string, ToString::to_string)).collect();
        let threads = rayon::current_num_threads();
        let all = serde_json::json!([self.job.key.digest(), planned.trial.id, self.job.batch, digests, threads, env!("CARGO_PKG_VERSION")]);
        Sha256::digest(all.to_string())[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
