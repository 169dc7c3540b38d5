//! Both ways of training the head, timed.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::epoch_features::EpochFeatures;
use super::job::{Arm, ComparisonJob, Observer};
use super::record::{self, Agreement, CachedArm, Epoch, InLoopArm};
use crate::engine::{Batch, Engine};
use crate::extract::{self, ExtractionJob, Outcome, Seconds};
use crate::extraction::OfPipeline;
use crate::files::Scratch;
use crate::heads::{FeatureTable, Head, Matrix, Trained, Training, Watch, most_probable};
use crate::store::{Cache, LocalFiles, Memory, Objects, Status};
use crate::sweep::SingleTrial;
use crate::{Error, Result};

/// A comparison and the base, planned once for both arms.
pub(super) struct Arms<'a> {
    pub comparison: &'a ComparisonJob<'a>,
    pub engine: Option<Arc<dyn Engine>>,
}

/// A trained head and the epochs that it took.
struct TrainedHead {
    epochs: Vec<Epoch>,
    trained: Trained,
}

/// An engine that several extractions share.
struct Shared(Arc<dyn Engine>);

impl Engine for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn device(&self) -> String {
        self.0.device()
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        self.0.run(batch)
    }
}

impl Arms<'_> {
    /// The cached arm: the extraction, then all epochs on its features. An unfinished extraction is
    /// computed anew, so that all of it is timed.
    pub(super) fn cached(&self, observer: &mut dyn Observer) -> Result<CachedArm> {
        let folder = self.comparison.job.folder;
        record::remove(folder)?;
        let extraction = self.extract(folder, Box::new(LocalFiles::new(folder)), observer)?;
        let start = Instant::now();
        let single = self.comparison.opened()?;
        let features = single.prepare(single.values())?;
        let open = start.elapsed().as_secs_f64();
        let until = single.trial.spec.params().epochs;
        let TrainedHead { epochs, trained } = self.train(&single, &*features, until, &mut |epoch| {
            observer.epoch(Arm::Cached, epoch);
            Ok(None)
        })?;
        Ok(CachedArm { failed: extraction.failed.len(), extract: extraction.seconds, open, epochs, val: trained.val })
    }

    /// The arm with the base in the loop: in each epoch all images go through the base again.
    pub(super) fn in_loop(&self, single: &SingleTrial, until: usize, observer: &mut dyn Observer) -> Result<InLoopArm> {
        let cached = single.prepare(single.values())?;
        let per_epoch = EpochFeatures::like(&*cached);
        let TrainedHead { epochs, trained } = self.train(single, &per_epoch, until, &mut |epoch| {
            observer.epoch(Arm::InLoop, epoch);
            let (features, seconds) = self.base(single, observer)?;
            per_epoch.put(features);
            Ok(Some(seconds))
        })?;
        let other = self.train(single, &*cached, epochs.len(), &mut |_| Ok(None))?.trained;
        let rows = &single.partition.val;
        let answers = [trained.head.classify(&per_epoch, rows), other.head.classify(&*cached, rows)];
        Ok(InLoopArm { agreement: agreement(&answers, single.trial.spec.classes(), epochs.len()), epochs })
    }

    /// Runs the base over all images. Returns the features as the head sees them, and the seconds.
    fn base(&self, single: &SingleTrial, observer: &mut dyn Observer) -> Result<(Arc<dyn FeatureTable>, Seconds)> {
        let (job, out) = (self.comparison.job, self.comparison.out);
        let start = Instant::now();
        // Lives as long as an epoch.
        let folder = Scratch::new(out)?;
        let memory = Memory::default();
        let seconds = self.extract(folder.path(), Box::new(memory.clone()), observer)?.seconds;
        let (rows, values) = memory.features(&job.taps[0].name, 0)?;
        let cache = Cache::open(job.folder)?;
        if !cache.rows().iter().filter(|r| r.status == Status::Ok).map(|r| r.row).eq(rows) {
            return Err(changed(job));
        }
        let features = single.prepare(Arc::new(Matrix::new(job.taps[0].shape.iter().product(), values)?))?;
        Ok((features, Seconds { wall: start.elapsed().as_secs_f64(), ..seconds }))
    }

    /// Extracts features with the shared engine. Wall time includes the start and the end.
    fn extract(&self, folder: &Path, objects: Box<dyn Objects>, observer: &mut dyn Observer) -> Result<Outcome> {
        let start = Instant::now();
        let of_job = self.comparison.job;
        let engine = |taps: &[String], batch: usize| match &self.engine {
            Some(engine) if batch == of_job.batch => Ok(Box::new(Shared(engine.clone())) as Box<dyn Engine>),
            _ => (of_job.engine)(taps, batch),
        };
        let job = ExtractionJob { folder, engine: &engine, ..*of_job };
        let outcome = extract::run_in(&job, objects, &mut OfPipeline(observer))?;
        if outcome.left > 0 {
            return Err(Error::data(self.comparison.out, "the comparison was stopped", "start it again: finished arms are kept"));
        }
        let seconds = Seconds { wall: start.elapsed().as_secs_f64(), ..outcome.seconds };
        Ok(Outcome { seconds, ..outcome })
    }

    /// Trains the head for `until` epochs, or to its own end. `before` prepares each epoch.
    fn train(
        &self,
        single: &SingleTrial,
        features: &dyn FeatureTable,
        until: usize,
        before: &mut dyn FnMut(usize) -> Result<Option<Seconds>>,
    ) -> Result<TrainedHead> {
        let metric = &self.comparison.config.metric;
        let mut training = None;
        let mut epochs = vec![];
        while epochs.len() < until {
            let base = before(epochs.len() + 1)?;
            let start = Instant::now();
            let task = single.task(features);
            let training = match &mut training {
                Some(training) => training,
                none => none.insert(Training::begin(self.comparison.trainer, task, Head::initial(&single.trial.spec), *metric)?),
            };
            let mut val = None;
            training.advance(epochs.len() + 1, &mut |epoch| {
                val = Some(epoch.val);
                Watch::Continue
            })?;
            let [acc1, loss] = val.map_or([f64::NAN; 2], |val| [val.acc1, val.loss]);
            epochs.push(Epoch { base, head: start.elapsed().as_secs_f64(), acc1, loss });
            if training.ended() {
                break;
            }
        }
        match training.map(Training::finish).transpose()? {
            Some(trained) if trained.diverged => Err(Error::setting("the head's loss left the finite numbers", "use a smaller lr")),
            Some(trained) => Ok(TrainedHead { epochs, trained }),
            None => Err(Error::setting("no epoch was trained", "use `epochs: 1` or more")),
        }
    }
}

/// How the probabilities of two heads for the same images agree.
fn agreement([a, b]: &[Vec<f32>; 2], classes: usize, epochs: usize) -> Agreement {
    let pairs = || a.chunks_exact(classes).zip(b.chunks_exact(classes));
    Agreement {
        epochs,
        images: a.len() / classes,
        identical: a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
        largest_difference: a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max),
        same_class: pairs().filter(|(a, b)| most_probable(a) == most_probable(b)).count(),
    }
}

fn changed(job: &ExtractionJob<'_>) -> Error {
    Error::data(job.source.locate(""), "changed during the comparison", "leave the images unchanged, and start again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_counts_bits_classes_and_the_largest_difference() {
        let a = vec![0.75, 0.25, 0.5, 0.5];
        assert_eq!(
            agreement(&[a.clone(), a.clone()], 2, 3),
            Agreement { epochs: 3, images: 2, identical: true, largest_difference: 0.0, same_class: 2 }
        );
        let b = vec![0.75, 0.25, 0.25, 0.75];
        assert_eq!(agreement(&[a, b], 2, 3), Agreement { epochs: 3, images: 2, identical: false, largest_difference: 0.25, same_class: 1 });
    }
}
