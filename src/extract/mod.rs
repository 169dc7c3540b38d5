//! The pipeline from images to a cache: read → decode → infer → write, bounded, timed by phase, resumable.
//!
//! [`run`] computes what a cache lacks and nothing else; [`estimate`] says beforehand what that would be.

mod estimate;
mod log;
mod matched;
mod observe;
mod pass;
mod pipeline;
mod prepare;
mod recheck;
mod sink;

use std::path::Path;
use std::time::Instant;

use crate::data::{Dataset, Digest, ImageSource, Orientation, patiently};
use crate::engine::{Engine, Fitting};
use crate::preprocess::{Policy, PreprocessSpec};
use crate::store::{Changes, Deferred, Failure, Key, LocalFiles, Objects, Wait, Writer};
use crate::{Error, Result};

pub use estimate::{Basis, Estimate, estimate};
use matched::{Images, Matched, Tally};
use observe::Watch;
pub use observe::{Lanes, Observer, Progress, Seconds, Silent};
pub use recheck::{Recheck, Rechecked, recheck};

/// A tap and the shape of one image's features there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTap {
    /// The tap's name.
    pub name: String,
    /// `[D]`, or `[C, H, W]` for a map.
    pub shape: Vec<usize>,
}

/// One part of an extraction that several processes share; each has a cache of its own, which `merge` joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which part, from 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

/// Builds an engine for a list of taps and batches of so many images.
pub type EngineFactory<'a> = dyn Fn(&[String], usize) -> Result<Box<dyn Engine>> + 'a;

/// Everything that an extraction needs to know.
pub struct Job<'a> {
    /// The cache's folder: [`Key::folder`].
    pub folder: &'a Path,
    /// The data set's name.
    pub name: &'a str,
    /// Everything that decides the values.
    pub key: &'a Key,
    /// The words that get the weights again, for whoever reads the cache.
    pub weights: &'a str,
    /// Where images are read.
    pub source: &'a dyn ImageSource,
    /// What the source lists, or the part of it that is wanted.
    pub dataset: &'a Dataset,
    /// Digest of each entry, or why its file cannot be read.
    pub digests: &'a [Result<Digest>],
    /// Entries whose file nobody has read yet, so that `digests` says nothing of them: they are digested when they are read to be computed, and those
    /// that other parts compute not at all. Empty where all were read.
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
    /// Floating-point operations an image (two for a multiply-add): decides the size of shards and the estimate, never a value.
    pub flops: u64,
    /// Builds the engine; called only if there is something to compute, and again for half the batch where memory runs out.
    pub engine: &'a EngineFactory<'a>,
    /// What to do while another process writes the cache.
    pub wait: Wait,
    /// Which part of the work to do; `None` for all of it.
    pub part: Option<Part>,
    /// What a part leaves to [`merge`](crate::store::merge), which knows the digests of all images: entries without a split stay without one.
    pub deferred: Deferred,
}

/// What an extraction did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Images in the data set.
    pub images: usize,
    /// Images for which something was computed now.
    pub computed: usize,
    /// Images for which everything was there.
    pub reused: usize,
    /// Images left to other parts, or not reached because the observer said stop.
    pub left: usize,
    /// Images of those computed that ask to be turned and were read as stored.
    pub unturned: usize,
    /// Images of those computed that are gray of more than eight bits, cut off at 255.
    pub cut_off: usize,
    /// What the listing changed among the rows.
    pub changes: Changes,
    /// Images that cannot be used, now or since an earlier run.
    pub failed: Vec<Failure>,
    /// Images whose file was another one than the digest that was handed in: a wrong record, or a change that left size and date as they were.
    /// Whoever keeps such records forgets these.
    pub misrecorded: Vec<String>,
    /// Time spent, by phase.
    pub seconds: Seconds,
    /// The phase that the others waited for, where something was computed.
    pub bottleneck: Option<&'static str>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Computes what the cache lacks: images, taps, views.
///
/// # Errors
/// Another process writes the cache; a feature that cannot be stored; the engine's or the system's own failure. What was finished
/// before stays, and the next run goes on from there.
pub fn run(job: &Job<'_>, observer: &mut dyn Observer) -> Result<Outcome> {
    run_in(job, Box::new(LocalFiles::new(job.folder)), observer)
}

/// As [`run`], with shards going to `objects`.
///
/// # Errors
/// As [`run`].
pub fn run_in(job: &Job<'_>, objects: Box<dyn Objects>, observer: &mut dyn Observer) -> Result<Outcome> {
    if rayon::current_thread_index().is_some() {
        return Err(Error::setting("an extraction cannot run inside a pool that it needs itself", "call it from a plain thread"));
    }
    let mut watch = Watch::new(Instant::now(), observer);
    let mut writer = Writer::open_in(job.folder, job.key, job.name, job.wait, objects)?;
    writer.set_weights(job.weights)?;
    let is_wanted = |tap: &str, view| view < job.views && job.taps.iter().any(|t| t.name == tap);
    writer.drop_damaged(is_wanted)?;
    writer.try_again(is_wanted, |row| patiently(|| job.source.read(&row.path)).is_ok())?;
    let matched = Matched::new(job, writer.rows(), writer.manifest());
    let deferred = matched.deferred(job, writer.manifest());
    if !deferred.is_nothing() {
        writer.defer(deferred)?;
    }
    writer.set_rows(matched.rows.clone(), job.dataset.classes.clone(), matched.next_row, matched.unreadable.clone())?;
    writer.defer(deferred)?;
    writer.warnings().iter().for_each(|w| watch.message(w));
    let work = pass::plan(job, writer.manifest(), writer.rows(), &matched.listed());
    let reused = matched.usable() - work.needed.len();
    let mut tally = Tally::default();
    watch.started(work.rows().len(), reused);
    for pass in &work.passes {
        let taps = pass.tap_names();
        let engine = Fitting::build(job.batch, |batch| (job.engine)(&taps, batch))?;
        let written = watch.progress.seconds.write;
        let done = pipeline::run(job, pass, &matched.images, &engine, &mut writer, &mut watch)?;
        // The sink goes on after the last event that anybody heard.
        watch.progress.seconds.write = written + done.write_seconds;
        let stopped = done.stopped;
        tally.add(done);
        if stopped {
            break;
        }
    }
    let mut outcome = tally.outcome(&work.needed, job, &matched, writer.manifest());
    outcome.seconds = watch.seconds();
    let told = writer.warnings().len();
    outcome.warnings = writer.warnings().to_vec();
    outcome.warnings.extend(about_records(&outcome.misrecorded));
    outcome.warnings[told..].iter().for_each(|w| watch.message(w));
    if outcome.computed > 0 {
        outcome.bottleneck = Some(watch.bottleneck());
        log::append(job, &outcome)?;
    }
    Ok(outcome)
}

fn about_records(misrecorded: &[String]) -> Option<String> {
    let first = misrecorded.first()?;
    let count = misrecorded.len();
    Some(format!("{count} images are not those that their size and date stood for, {first} the first: what is in the files now counts"))
}

#[cfg(test)]
mod tests;
