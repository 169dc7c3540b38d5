//! Heads that see the same batches: each batch is packed once for all of them.
//!
//! All threads pack a window of batches; then each head goes through the window on one thread, so
//! that its weights stay in a core's cache for that many steps. A single head, or one of a few
//! large ones, has all threads to itself instead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::batches::PackedBatches;
use super::learner::Learner;
use super::pool::Pool;
use super::step::{Scratch, Tally};
use super::team::{Member, Team};
use crate::Result;
use crate::heads::features::order::{order, window_rows};
use crate::heads::features::prefetch::{Prefetch, is_large};
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::training::lockstep::{self, Members};
use crate::heads::training::trainer::Pass;

/// Bytes of the batches of a window: they are to stay in the cache that cores share.
const WINDOW: usize = 4 << 20;
/// Fewest and most batches of a window.
const BATCHES: [usize; 2] = [4, 32];

/// Counts the groups that share a trainer's threads.
struct Sharing(Arc<AtomicUsize>);

impl Sharing {
    fn new(active: &Arc<AtomicUsize>) -> Sharing {
        active.fetch_add(1, Ordering::Relaxed);
        Sharing(active.clone())
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Heads that share the settings of [`FusedTrainer`](super::FusedTrainer)'s `in_common`.
pub(super) struct Group<'a> {
    pool: Pool,
    task: Task<'a>,
    batches: PackedBatches<'a>,
    members: Members<Learner>,
    /// Batches of a window.
    window: usize,
    sharing: Sharing,
}

impl<'a> Group<'a> {
    /// Heads before their first step.
    pub(super) fn new(pool: &Pool, task: Task<'a>, starts: Vec<Head>) -> Group<'a> {
        let specs: Vec<_> = starts.iter().map(|head| head.spec.clone()).collect();
        let learners: Vec<Learner> = starts.into_iter().map(|head| Learner::new(head, task)).collect();
        let (spec, dropout) = (&specs[0], learners[0].dropouts[0]);
        let bytes = spec.dims()[0] * spec.params().batch_size.min(task.partition.train.len()) * size_of::<f32>();
        let window = if specs.len() == 1 { 1 } else { (WINDOW / bytes.max(1)).clamp(BATCHES[0], BATCHES[1]) };
        // The batch behind a window is needed by the end of its last step.
        let batches = PackedBatches::new(pool.isa, task, spec, dropout, window + 1);
        let sharing = Sharing::new(&pool.active);
        Group { pool: pool.clone(), task, batches, members: Members::new(specs.iter().zip(learners)), window, sharing }
    }

    /// Number of threads for one head's pass over so many rows. It affects nothing but the time.
    fn threads(&self, learner: &Learner, rows: usize) -> usize {
        if learner.operations(rows) < self.pool.worth_sharing {
            return 1;
        }
        // Groups on tables that memory may not hold go one after the other.
        let groups = if self.is_large() { 1 } else { self.sharing.0.load(Ordering::Relaxed) };
        (self.pool.threads / groups.max(1)).max(1)
    }

    fn is_large(&self) -> bool {
        is_large(self.task.features.rows(), self.task.features.dim())
    }

    fn epoch(&mut self, epoch: usize, lrs: &[f64]) -> Vec<Pass> {
        let Some(first) = self.members.values().next() else { return vec![] };
        let (params, features, train) = (first.spec.params(), self.task.features, &self.task.partition.train);
        let order = order(params.seed, epoch, train, features.block_rows(), window_rows(features.dim()));
        let batches: Vec<&[usize]> = order.chunks(params.batch_size).collect();
        let threads = self.members.values().map(|learner| self.threads(learner, train.len())).max().unwrap_or(1);
        let tallies: Vec<Tally> = lrs.iter().map(|_| Tally::new(train.len())).collect();
        // Running statistics follow each batch once, for all heads; what comes from disk is read
        // once for all of them.
        if self.members.len() > 1 && (self.members.len() >= threads || self.batches.has_norm() || self.is_large()) {
            self.side_by_side((epoch, threads), lrs, &batches, &tallies);
        } else {
            for ((learner, &lr), tally) in self.members.values().zip(lrs).zip(&tallies) {
                let run = learner.run(self.pool.isa, self.task, &self.batches, (epoch, lr));
                let mut prefetch = self.prefetch(epoch);
                let stretch = (prefetch.stride() / params.batch_size).max(1);
                for first in (0..batches.len()).step_by(stretch) {
                    let end = (first + stretch).min(batches.len());
                    // The batch behind is packed with the last step.
                    prefetch.before((end + 1) * batches[0].len());
                    Team::run(threads, |member| run.steps(member, &batches, first..end, true, tally, &mut Scratch::default()));
                }
            }
        }
        self.members.values_mut().for_each(|learner| learner.steps += batches.len() as i32);
        tallies.into_iter().map(Tally::pass).collect()
    }

    fn prefetch(&self, epoch: usize) -> Prefetch<'a> {
        let seed = self.members.values().next().map_or(0, |first| first.spec.params().seed);
        Prefetch::new(self.task.features, &self.task.partition.train, (seed, epoch))
    }

    /// Trains all heads through one window of batches after the other.
    fn side_by_side(&mut self, (epoch, threads): (usize, usize), lrs: &[f64], batches: &[&[usize]], tallies: &[Tally]) {
        let scratches = Mutex::new(vec![]);
        let pool = || scratches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut packed = 0;
        let mut prefetch = self.prefetch(epoch);
        for first in (0..batches.len()).step_by(self.window) {
            let end = (first + self.window).min(batches.len());
            let behind = (end + 1).min(batches.len());
            prefetch.before(behind * batches[0].len());
            self.batches.pack_all(epoch, batches, packed..behind);
            packed = behind;
            let heads: Vec<_> = self.members.values().zip(lrs).zip(tallies).collect();
            let each = threads / heads.len();
            heads.into_par_iter().with_max_len(1).for_each(|((learner, &lr), tally)| {
                let run = learner.run(self.pool.isa, self.task, &self.batches, (epoch, lr));
                let steps = |member: &Member<'_>| {
                    let mut scratch = pool().pop().unwrap_or_default();
                    run.steps(member, batches, first..end, false, tally, &mut scratch);
                    pool().push(scratch);
                };
                if each > 1 { Team::run(each, steps) } else { Team::alone(steps) }
            });
        }
    }
}

impl lockstep::Group for Group<'_> {
    fn pass(&mut self, id: usize, epoch: usize, lr: f64) -> Result<Pass> {
        if let Some(pass) = self.members.take_pass(id, epoch)? {
            return Ok(pass);
        }
        self.members.remove_left();
        let lrs = self.members.rates(id, epoch, lr)?;
        let passes = self.epoch(epoch, &lrs);
        self.members.distribute(id, epoch, passes)
    }

    fn leave(&mut self, id: usize) {
        self.members.leave(id);
    }

    fn head(&self, id: usize) -> Result<Head> {
        Ok(self.members.value(id)?.head(self.batches.norm()))
    }

    fn classify(&self, id: usize, rows: &[usize]) -> Result<Vec<f32>> {
        let learner = self.members.value(id)?;
        let threads = self.threads(learner, rows.len()) / self.members.len().max(1);
        Ok(learner.classify(self.pool.isa, self.task.features, self.batches.norm().as_ref(), rows, threads.max(1)))
    }
}
