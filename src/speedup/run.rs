//! The comparison, arm by arm.

use std::sync::Arc;
use std::time::Instant;

use super::arms::Arms;
use super::job::{Arm, ComparisonJob, Observer, SAMPLED_EPOCHS};
use super::outcome::Speedup;
use super::record::{self, InLoopArm, Record};
use crate::Result;
use crate::engine::Engine;
use crate::files::create_folder;
use crate::store::{Lock, MANIFEST, Wait};

/// Runs a comparison, or the rest of one that was interrupted, and writes its files.
///
/// # Errors
/// Settings that make more than one head; a folder that holds something else; images that changed
/// meanwhile; a failure of the engine, the trainer or the system. Finished arms are kept.
pub(crate) fn run(comparison: &ComparisonJob<'_>, observer: &mut dyn Observer) -> Result<Speedup> {
    let ComparisonJob { job, out, .. } = *comparison;
    let planned = comparison.planned()?;
    let epochs = planned.trial.spec.params().epochs;
    let wanted = if comparison.full { epochs } else { epochs.min(SAMPLED_EPOCHS) };
    create_folder(out)?;
    let _lock = Lock::take(out, Wait::Moment)?;
    let mut record = Record::open(out, &comparison.id(&planned), &comparison.title(epochs))?;
    record::remove_leftovers(out)?;
    if !job.folder.join(MANIFEST).is_file() {
        (record.cached, record.in_loop) = (None, None);
    }
    let is_short = |arm: &Option<InLoopArm>| arm.as_ref().is_none_or(|arm| arm.epochs.len() < wanted);
    let engine = match record.cached.is_none() || is_short(&record.in_loop) {
        true => {
            let start = Instant::now();
            let taps: Vec<String> = job.taps.iter().map(|tap| tap.name.clone()).collect();
            let engine: Arc<dyn Engine> = (job.engine)(&taps, job.batch)?.into();
            record.start = record.start.or(record::rounded(Some(comparison.prepared + start.elapsed().as_secs_f64()))?);
            Some(engine)
        }
        false => None,
    };
    let arms = Arms { comparison, engine };
    if record.cached.is_none() {
        observer.arm(Arm::Cached, epochs);
        record.cached = Some(record::rounded(arms.cached(observer)?)?);
        record.in_loop = None;
        record.save(out)?;
    } else {
        observer.reused(Arm::Cached);
    }
    let single = comparison.opened()?;
    if is_short(&record.in_loop) {
        observer.arm(Arm::InLoop, wanted);
        record.in_loop = Some(record::rounded(arms.in_loop(&single, wanted, observer)?)?);
        record.save(out)?;
    } else {
        observer.reused(Arm::InLoop);
    }
    let speedup = Speedup::new(comparison, &single, &record)?;
    speedup.write(out)?;
    #[cfg(feature = "report")]
    super::page::write(&speedup, out)?;
    Ok(speedup)
}
