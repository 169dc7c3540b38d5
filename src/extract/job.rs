//! Everything that an extraction needs to know.

use std::path::Path;

use crate::Result;
use crate::data::{Dataset, Digest, ImageSource, Orientation};
use crate::engine::Engine;
use crate::preprocess::{Policy, PreprocessSpec};
use crate::store::{CacheKey, Deferred, Wait};

/// A tap and the shape of one image's features there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobTap {
    /// The tap's name.
    pub name: String,
    /// `[D]`, or `[C, H, W]` for a map.
    pub shape: Vec<usize>,
}

/// One part of an extraction that several processes share; each has a cache of its own, which
/// `merge` joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which part, from 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

/// Builds an engine for a list of taps and a number of images a batch.
pub(crate) type EngineFactory<'a> = dyn Fn(&[String], usize) -> Result<Box<dyn Engine>> + 'a;

/// Everything that an extraction needs to know.
pub(crate) struct ExtractionJob<'a> {
    /// The cache's folder: [`CacheKey::folder`].
    pub folder: &'a Path,
    /// The data set's name.
    pub name: &'a str,
    /// Everything that decides the values.
    pub key: &'a CacheKey,
    /// The words that get the weights again, for readers of the cache.
    pub weights: &'a str,
    /// Where images are read.
    pub source: &'a dyn ImageSource,
    /// What the source lists, or the part of it that is wanted.
    pub dataset: &'a Dataset,
    /// Digest of each entry, or why its file cannot be read.
    pub digests: &'a [Result<Digest>],
    /// Entries whose file was not read yet, so that `digests` says nothing of them: they are
    /// digested when they are read to be computed, and those that other parts compute not at all.
    /// Empty where all were read.
    pub unread: &'a [bool],
    /// Whether `dataset` is only a part (`--limit`): rows that are not in it stay as they are.
    pub partial: bool,
    /// Whether images are turned as their EXIF data says.
    pub orientation: Orientation,
    /// From decoded pixels to the network's input.
    pub preprocess: &'a PreprocessSpec,
    /// Height and width that the network is planned for.
    pub input: [usize; 2],
    /// How views other than the plain one are drawn; the seed is the key's.
    pub policy: &'a Policy,
    /// Views: `0 .. views`.
    pub views: u32,
    /// Taps that are wanted.
    pub taps: &'a [JobTap],
    /// Images a batch.
    pub batch: usize,
    /// Floating-point operations an image (two for a multiply-add): decides the size of shards and
    /// the estimate, never a value.
    pub flops: u64,
    /// Builds the engine; called only if there is something to compute, and again for half the
    /// batch where memory runs out.
    pub engine: &'a EngineFactory<'a>,
    /// What to do while another process writes the cache.
    pub wait: Wait,
    /// Which part of the work to do; `None` for all of it.
    pub part: Option<Part>,
    /// What a part leaves to [`merge`](crate::store::merge), which knows the digests of all images:
    /// entries without a split stay without one.
    pub deferred: Deferred,
}
