//! One extraction from start to end: listing against cache, passes one after the other, the account
//! of it.

use std::time::Instant;

use super::job::ExtractionJob;
use super::matched::{Matched, Tally};
use super::observe::{Observer, Watch};
use super::outcome::Outcome;
use super::{log, pass, pipeline};
use crate::data::patiently;
use crate::engine::Fitting;
use crate::store::{LocalFiles, Objects, Writer};
use crate::text::{counted, visible};
use crate::{Error, Result};

/// Computes what the cache lacks: images, taps, views.
///
/// # Errors
/// Another process writes the cache; a feature that cannot be stored; the engine's or the system's
/// own failure. What was finished before stays, and the next run goes on from there.
pub(crate) fn run(job: &ExtractionJob<'_>, observer: &mut dyn Observer) -> Result<Outcome> {
    run_in(job, Box::new(LocalFiles::new(job.folder)), observer)
}

/// As [`run`], with shards going to `objects`.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_in(job: &ExtractionJob<'_>, objects: Box<dyn Objects>, observer: &mut dyn Observer) -> Result<Outcome> {
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
    let empty = pass::groups_if_empty(job, &matched.listed()).map(about_empty);
    empty.iter().for_each(|text| watch.message(text));
    let mut tally = Tally::default();
    watch.started(work.rows().len(), reused);
    for pass in &work.passes {
        let taps = pass.tap_names();
        let engine = Fitting::build(job.batch, |batch| (job.engine)(&taps, batch))?;
        let written = watch.progress.seconds.write;
        let done = pipeline::run(job, pass, &matched.images, &engine, &mut writer, &mut watch)?;
        // The sink goes on after the last event that was received.
        watch.progress.seconds.write = written + done.write_seconds;
        let stopped = done.stopped;
        tally.add(done);
        if stopped {
            break;
        }
    }
    let mut outcome = tally.outcome(&work.needed, job, &matched, writer.manifest());
    outcome.seconds = watch.seconds();
    outcome.warnings = [writer.warnings(), empty.as_slice()].concat();
    let reported = outcome.warnings.len();
    outcome.warnings.extend(about_records(&outcome.misrecorded));
    outcome.warnings[reported..].iter().for_each(|w| watch.message(w));
    if outcome.computed > 0 {
        outcome.bottleneck = Some(watch.bottleneck());
        log::append(job, &outcome)?;
    }
    Ok(outcome)
}

fn about_empty(groups: usize) -> String {
    let groups = counted(groups, "group", "groups");
    format!("this part is empty: parts are whole groups of rows, and these images make {groups}; fewer parts share the work evenly")
}

fn about_records(misrecorded: &[String]) -> Option<String> {
    let first = visible(misrecorded.first()?);
    let count = misrecorded.len();
    Some(format!("{count} images are not those that their size and date stood for, {first} the first: what is in the files now counts"))
}
