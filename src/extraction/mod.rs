//! Features of a whole data set, computed once and cached: data listed, digested and split,
//! settings checked, what the cache lacks computed.
//!
//! | file | what for |
//! |---|---|
//! | `options.rs` | [`ExtractionOptions`]: all that may be set beside data and backbone |
//! | `observe.rs` | [`Observer`] and [`Event`]: what an extraction tells while it runs |
//! | `listing.rs` | [`Data`]: which images there are |
//! | `settle.rs` | what follows from the images' digests: splits, groups, copies |
//! | `recheck.rs` | [`recheck`]: some images of a cache computed again and compared |
//!
//! The pipeline below is `extract`; it knows nothing of folders, rules and copies.
//!
//! ```
//! use headstart::data::{LabelledImages, Pixels};
//! use headstart::extraction::Data;
//! use headstart::{Backbone, BackboneSettings, Extraction};
//!
//! let settings = BackboneSettings { weights: Some("random:1".into()), size: Some(33), ..BackboneSettings::from("squeezenet1_1") };
//! let backbone = Backbone::open(settings)?;
//! let mut images = LabelledImages::default();
//! for i in 0..6 {
//!     images.add(format!("{i}"), ["dark", "light"][i % 2], None, Pixels::new(8, 8, vec![(i * 40) as u8; 8 * 8 * 3])?)?;
//! }
//! let folder = tempfile::tempdir().unwrap();
//! let extraction = Extraction::builder(Data::images(&images), &backbone).cache(folder.path()).name("shades").prepare(&mut ())?;
//! let outcome = extraction.run(&mut ())?;
//! assert_eq!((outcome.images, outcome.computed), (6, 6));
//! assert_eq!(extraction.run(&mut ())?.reused, 6);
//! # Ok::<(), headstart::Error>(())
//! ```

mod listing;
mod observe;
mod options;
mod recheck;
mod settle;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::backbone::Backbone;
use crate::data::{self, Dataset, Entry, ImageSource, Orientation};
use crate::extract::{self, ExtractionJob, JobTap};
use crate::store::{self, Cache, CacheKey, Deferred, Wait};
use crate::{Error, Result};

pub use crate::data::Image;
pub use crate::extract::{Basis, Estimate, Lanes, Outcome, Part, Progress, Recheck, Rechecked, Seconds};
pub use listing::Data;
pub(crate) use observe::OfPipeline;
pub(crate) use observe::events_of_split;
pub use observe::{Event, Level, Observer};
pub use options::ExtractionOptions;
pub use recheck::recheck;

use listing::{Listed, Source};
use settle::Digests;

/// An [`Extraction`] in the making.
pub struct ExtractionBuilder<'a> {
    data: Data<'a>,
    backbone: &'a Backbone,
    options: ExtractionOptions,
}

impl<'a> ExtractionBuilder<'a> {
    /// All options at once.
    #[must_use]
    pub fn options(self, options: ExtractionOptions) -> Self {
        ExtractionBuilder { options, ..self }
    }

    /// [`ExtractionOptions::cache`]
    #[must_use]
    pub fn cache(mut self, root: impl Into<PathBuf>) -> Self {
        self.options.cache = root.into();
        self
    }

    /// [`ExtractionOptions::name`]
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// [`ExtractionOptions::taps`]
    #[must_use]
    pub fn taps<T: Into<String>>(mut self, taps: impl IntoIterator<Item = T>) -> Self {
        self.options.taps = taps.into_iter().map(Into::into).collect();
        self
    }

    /// [`ExtractionOptions::views`]
    #[must_use]
    pub fn views(mut self, views: u32) -> Self {
        self.options.views = views;
        self
    }

    /// The name of the data set, given or that of its folder or file.
    ///
    /// # Errors
    /// Data that has neither.
    pub(crate) fn data_name(&self) -> Result<String> {
        listing::name(&self.data, &self.options)
    }

    pub(crate) fn backbone(&self) -> &'a Backbone {
        self.backbone
    }

    /// Lists, digests and splits the images. Nothing is computed yet, and nothing written but the
    /// digests of the files.
    ///
    /// # Errors
    /// Options that cannot be; data that cannot be listed, or that is not what the caches of this
    /// name are made from; a tap that does not exist.
    pub fn prepare(self, observer: &mut dyn Observer) -> Result<Extraction<'a>> {
        let mut draft = self.draft(true, observer)?;
        let mut deferred = Deferred::default();
        let (dataset, dedupe) = (&mut draft.listed.dataset, self.options.dedupe);
        if self.part().is_some() {
            let split = (!dataset.own_splits).then(|| self.options.split.unwrap_or_default());
            deferred = Deferred { split, dedupe };
            observer.event(&Event::Deferred(deferred));
        } else {
            draft.digests = settle::settle_copies(dedupe, dataset, draft.digests, observer);
        }
        self.finish(draft, deferred)
    }

    /// As [`ExtractionBuilder::prepare`], of train and val alone, every file read.
    pub(crate) fn prepare_comparison(self, observer: &mut dyn Observer) -> Result<Extraction<'a>> {
        let mut draft = self.draft(false, observer)?;
        draft.digests = settle::leave_out_test(&mut draft.listed.dataset, draft.digests, observer);
        self.finish(draft, Deferred::default())
    }

    /// Prepares and computes: [`ExtractionBuilder::prepare`] and [`Extraction::run`].
    ///
    /// # Errors
    /// As these two.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Outcome> {
        self.prepare(observer)?.run(observer)
    }

    /// The part to compute, where it is not all.
    fn part(&self) -> Option<Part> {
        self.options.part.filter(|part| part.of > 1)
    }

    /// Images with their digests and splits; `is_kept`: whether digests are kept from run to run.
    fn draft(&self, is_kept: bool, observer: &mut dyn Observer) -> Result<Draft<'a>> {
        let options = &self.options;
        options.check()?;
        let mut listed = Listed::list(&self.data, options, observer)?;
        let key = self.backbone.key(options.store, options.orientation, &options.augment, options.seed);
        let folder = key.folder(&options.cache, &listed.name);
        let unread = if self.part().is_some() { left_unread(&folder, &listed.dataset) } else { vec![] };
        let records = is_kept.then(|| records(&options.cache, &listed.name));
        let digests = digest(&listed, records.as_deref(), &unread, observer)?;
        settle::settle(&mut listed, &digests, &folder, options, observer)?;
        Ok(Draft { listed, digests, unread, key, folder })
    }

    fn finish(self, draft: Draft<'a>, deferred: Deferred) -> Result<Extraction<'a>> {
        let part = self.part();
        let Draft { listed: Listed { source, dataset, name, place }, digests, unread, key, folder } = draft;
        let ExtractionBuilder { backbone, mut options, .. } = self;
        let mut seen = HashSet::new();
        options.taps.retain(|tap| seen.insert(tap.clone()));
        let input = input(backbone, source.get(), &dataset, options.orientation)?;
        Ok(Extraction { backbone, options, part, source, dataset, digests, unread, name, place, key, folder, input, deferred })
    }
}

/// Images with all that is known of them before something is computed.
struct Draft<'a> {
    listed: Listed<'a>,
    digests: Digests,
    /// Entries that were not read, by place; empty where all were.
    unread: Vec<bool>,
    key: CacheKey,
    folder: PathBuf,
}

/// A data set, listed and split, and the backbone that is to run over it.
pub struct Extraction<'a> {
    backbone: &'a Backbone,
    options: ExtractionOptions,
    part: Option<Part>,
    source: Source<'a>,
    dataset: Dataset,
    digests: Digests,
    unread: Vec<bool>,
    name: String,
    place: Option<PathBuf>,
    key: CacheKey,
    folder: PathBuf,
    input: [usize; 2],
    deferred: Deferred,
}

impl<'a> Extraction<'a> {
    /// An extraction of data by a backbone, with more to say.
    pub fn builder(data: impl Into<Data<'a>>, backbone: &'a Backbone) -> ExtractionBuilder<'a> {
        ExtractionBuilder { data: data.into(), backbone, options: ExtractionOptions::default() }
    }

    /// The folder of the cache: `CACHE/NAME/BACKBONE@KEY`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The backbone that computes the features.
    pub fn backbone(&self) -> &'a Backbone {
        self.backbone
    }

    /// Name of the data set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of images that are wanted.
    pub fn images(&self) -> usize {
        self.dataset.entries.len()
    }

    /// What [`Extraction::run`] would compute, how large it is and how long it takes. Writes
    /// nothing.
    ///
    /// # Errors
    /// A cache that is damaged.
    pub fn estimate(&self) -> Result<Estimate> {
        self.with_job(extract::estimate)
    }

    /// Computes what the cache lacks. A new cache for which not one image can be used goes again,
    /// so that no later command takes it for one.
    ///
    /// # Errors
    /// Another process writes the cache; a feature that cannot be stored; the engine's or the
    /// system's own failure. What was finished before stays, and the next run goes on from there.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Outcome> {
        self.remember_place()?;
        let is_new = !self.folder.join("manifest.json").exists();
        let outcome = self.with_job(|job| extract::run(job, &mut OfPipeline(observer)))?;
        let misrecorded = outcome.misrecorded.iter().map(String::as_str);
        data::forget(self.source.get(), misrecorded, &records(&self.options.cache, &self.name))?;
        let is_for_nothing = is_new && outcome.failed.len() == outcome.images;
        if is_for_nothing && Cache::open(&self.folder).is_ok_and(|cache| cache.manifest().shards.is_empty()) {
            std::fs::remove_dir_all(&self.folder).map_err(Error::io("remove", &self.folder))?;
        }
        Ok(outcome)
    }

    /// Writes down where the data of the caches of this name is.
    pub(crate) fn remember_place(&self) -> Result<()> {
        self.place.as_ref().map_or(Ok(()), |place| store::remember_origin(&self.folder, place))
    }

    /// Hands the pipeline's job to `act`.
    pub(crate) fn with_job<R>(&self, act: impl FnOnce(&ExtractionJob<'_>) -> Result<R>) -> Result<R> {
        let (backbone, options) = (self.backbone, &self.options);
        let shapes = backbone.tap_shapes(&options.taps, self.input)?;
        let taps: Vec<JobTap> = options.taps.iter().zip(shapes).map(|(name, shape)| JobTap { name: name.clone(), shape }).collect();
        act(&ExtractionJob {
            folder: &self.folder,
            name: &self.name,
            key: &self.key,
            weights: backbone.weights_name(),
            source: self.source.get(),
            dataset: &self.dataset,
            digests: &self.digests,
            unread: &self.unread,
            partial: options.limit.is_some(),
            orientation: options.orientation,
            preprocess: backbone.preprocess(),
            input: self.input,
            policy: &options.augment,
            views: options.views,
            taps: &taps,
            batch: options.batch,
            flops: backbone.flops(&options.taps, self.input)?,
            engine: &|taps, batch| backbone.engine(taps, batch, self.input),
            wait: Wait::Moment,
            part: self.part,
            deferred: self.deferred,
        })
    }
}

/// The file that keeps the digests of a data set's files.
fn records(root: &Path, name: &str) -> PathBuf {
    root.join(store::folder_name(name)).join("files.csv")
}

/// A part leaves the files alone that it has not computed: it digests each as it reads it, and
/// other parts digest theirs.
fn left_unread(folder: &Path, dataset: &Dataset) -> Vec<bool> {
    let rows = Cache::open(folder).map_or_else(|_| vec![], |cache| cache.rows().to_vec());
    let read: HashSet<&str> = rows.iter().filter(|r| r.digest.is_some()).map(|r| r.path.as_str()).collect();
    dataset.entries.iter().map(|entry| !read.contains(entry.uri.as_str())).collect()
}

fn digest(listed: &Listed<'_>, known: Option<&Path>, unread: &[bool], observer: &mut dyn Observer) -> Result<Digests> {
    let all = &listed.dataset.entries;
    let is_read = |i: &usize| !unread.get(*i).copied().unwrap_or(false);
    let wanted: Vec<usize> = (0..all.len()).filter(is_read).collect();
    let entries: Vec<Entry> = wanted.iter().map(|&i| all[i].clone()).collect();
    let tick = observer.digesting(entries.len());
    let digests = data::digests(listed.source.get(), &entries, known, &tick);
    drop(tick);
    observer.digested(digests.as_ref().map_or(0, |digests| digests.read));
    let not_read = |entry: &Entry| Err(Error::Image { path: entry.uri.clone(), reason: "was not read".into() });
    let mut found: Digests = all.iter().map(not_read).collect();
    wanted.into_iter().zip(digests?.each).for_each(|(i, digest)| found[i] = digest);
    Ok(found)
}

/// Height and width of the network's input: fixed by the preprocess, or that of the first image
/// that can be read.
fn input(backbone: &Backbone, source: &dyn ImageSource, dataset: &Dataset, orientation: Orientation) -> Result<[usize; 2]> {
    if let Some(fixed) = backbone.fixed_input() {
        return Ok(fixed);
    }
    let size = |uri: &str| -> Result<[usize; 2]> {
        let image = data::decode(&source.read(uri)?, &source.locate(uri), orientation)?;
        Ok(backbone.preprocess().output_size([image.height, image.width]))
    };
    dataset.entries.iter().find_map(|e| size(&e.uri).ok()).ok_or_else(|| {
        Error::setting("none of the images can be read, so their size is not known", "check the files, or set a size with option `size`")
    })
}
