//! Some images of a cache computed again, with everything as its key has it.

use std::path::Path;

use super::listing::Listed;
use super::{Extraction, ExtractionOptions, Rechecked, input};
use crate::Result;
use crate::backbone::Backbone;
use crate::data::{self, ListOptions};
use crate::engine::DeviceChoice;
use crate::extract;
use crate::store::{Cache, Deferred};
use crate::weights::Fetching;

/// Computes `sample` images of a cache again, spread evenly over it, and compares. `data` is where
/// they are; `tell` hears of weights that are fetched. Writes nothing.
///
/// # Errors
/// A damaged cache, data that cannot be listed, weights that cannot be had or are not those of the
/// key, the engine's own failure.
pub fn recheck(folder: &Path, data: &Path, sample: usize, device: DeviceChoice, tell: &dyn Fn(Fetching)) -> Result<Rechecked> {
    let cache = Cache::open(folder)?;
    let manifest = cache.manifest();
    let key = &manifest.key;
    let (backbone, orientation) = Backbone::of_key(key, &manifest.weights, device, tell)?;
    let taps: Vec<String> = manifest.taps.keys().cloned().collect();
    let options = ExtractionOptions {
        name: Some(manifest.dataset.clone()),
        list: ListOptions { lenient: true, ..ListOptions::default() },
        views: taps.iter().map(|t| manifest.views(t).len()).min().unwrap_or(1) as u32,
        taps,
        augment: key.augment.parse()?,
        seed: key.seed,
        store: key.store,
        orientation,
        ..ExtractionOptions::default()
    };
    let Listed { source, dataset, name, place } = Listed::list(&data.into(), &options, &mut ())?;
    let digests = data::digests(source.get(), &dataset.entries, None, &|| ())?.each;
    let input = input(&backbone, source.get(), &dataset, orientation)?;
    let extraction = Extraction {
        backbone: &backbone,
        options,
        part: None,
        source,
        dataset,
        digests,
        unread: vec![],
        name,
        place,
        key: key.clone(),
        folder: folder.into(),
        input,
        deferred: Deferred::default(),
    };
    extraction.with_job(|job| extract::recheck(job, sample))
}
