//! What `features` and `verify --sample` have in common: everything that an extraction needs, put together.

use std::path::PathBuf;

use crate::Result;
use crate::backbone::Backbone;
use crate::data::{Dataset, Digest, ImageSource, Orientation};
use crate::extract::{Job, JobTap, Part};
use crate::preprocess::Policy;
use crate::store::{Deferred, Key, Wait};

/// The parts of a [`Job`], owned.
pub struct Extraction {
    pub base: Backbone,
    pub source: Box<dyn ImageSource>,
    pub dataset: Dataset,
    pub digests: Vec<Result<Digest>>,
    /// Entries that were not read, by place; empty where all were.
    pub unread: Vec<bool>,
    pub partial: bool,
    pub name: String,
    pub key: Key,
    pub folder: PathBuf,
    pub orientation: Orientation,
    pub input: [usize; 2],
    pub policy: Policy,
    pub views: u32,
    pub taps: Vec<String>,
    pub batch: usize,
    pub part: Option<Part>,
    /// What a part leaves to `merge`.
    pub deferred: Deferred,
}

impl Extraction {
    /// Hands the job to `act`.
    pub fn with_job<R>(&self, act: impl FnOnce(&Job<'_>) -> Result<R>) -> Result<R> {
        let shapes = self.base.tap_shapes(&self.taps, self.input)?;
        let taps: Vec<JobTap> = self.taps.iter().zip(shapes).map(|(name, shape)| JobTap { name: name.clone(), shape }).collect();
        act(&Job {
            folder: &self.folder,
            name: &self.name,
            key: &self.key,
            weights: self.base.weights_name(),
            source: self.source.as_ref(),
            dataset: &self.dataset,
            digests: &self.digests,
            unread: &self.unread,
            partial: self.partial,
            orientation: self.orientation,
            preprocess: self.base.preprocess(),
            input: self.input,
            policy: &self.policy,
            views: self.views,
            taps: &taps,
            batch: self.batch,
            flops: self.base.flops(&self.taps, self.input)?,
            engine: &|taps, batch| self.base.engine(taps, batch, self.input),
            wait: Wait::Moment,
            part: self.part,
            deferred: self.deferred,
        })
    }
}
