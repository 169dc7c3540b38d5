//! The fused CPU trainer: heads trained in as few passes over their weights as there are steps.
//!
//! A head is so small that frameworks spend their time on overhead and on passes over its weights: forward, gradient, and two to five for the
//! optimiser. Here a step passes once over the weights (see [`kernel`]); threads share it (see [`step`]) where trials are few, and take a trial
//! each where they are many (see [`group`]). Numbers do not depend on the number of threads: sums are made in an order that the head's shape alone decides.

mod aligned;
mod feed;
mod group;
mod kernel;
mod layer;
mod learner;
mod marks;
mod mask;
mod output;
mod pack;
mod rule;
mod sparse;
mod step;
mod tape;
mod team;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub(super) use output::exp;

use group::Group;

use super::features::prefetch::is_large;
use super::fitted::head::Head;
use super::settings::choices::Loss;
use super::settings::params::{HeadSpec, Params};
use super::training::lockstep::sessions;
use super::training::run::{MOST_TOGETHER, Session, Task, Trainer};
use crate::simd::Isa;
use crate::{Error, Result};

/// Operations of an epoch below which a second thread costs more than it does.
const WORTH_SHARING: f64 = 1e8;
/// Weights of a head from which it is trained by itself: they would leave the caches between two windows, and what it could share is little beside
/// them. Unless what it shares has to come from disk.
const LARGE: usize = 1 << 19;
/// Weights of all heads of one run (fold, repeat) that are begun together: 1 GiB with the states of Adam.
const MOST_WEIGHTS: usize = 90 << 20;

/// Trains heads on the CPU.
#[derive(Debug, Clone)]
pub struct FusedTrainer {
    isa: Isa,
    threads: usize,
    /// Groups of heads that share the threads.
    active: Arc<AtomicUsize>,
    /// Operations of an epoch below which a session keeps to one thread.
    worth_sharing: f64,
}

impl FusedTrainer {
    /// A trainer for up to `threads` threads, all sessions together.
    pub fn new(threads: usize) -> FusedTrainer {
        FusedTrainer { isa: Isa::best(), threads: threads.max(1), active: Arc::default(), worth_sharing: WORTH_SHARING }
    }

    /// A trainer whose sessions take all threads, however small the work.
    #[cfg(test)]
    pub(crate) fn eager(threads: usize) -> FusedTrainer {
        FusedTrainer { worth_sharing: 0.0, ..FusedTrainer::new(threads) }
    }

    #[cfg(test)]
    pub(crate) fn with_isa(isa: Isa, threads: usize) -> FusedTrainer {
        FusedTrainer { isa, ..FusedTrainer::new(threads) }
    }
}

impl Trainer for FusedTrainer {
    fn name(&self) -> &'static str {
        match self.isa {
            Isa::Portable => "fused-portable",
            Isa::Neon(_) => "fused-neon",
            Isa::Avx2(_) => "fused-avx2",
            Isa::Avx512(_) | Isa::Amx(_) => "fused-avx512",
        }
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
        let mut sessions = self.begin_together(task, vec![start])?;
        sessions.pop().ok_or_else(|| Error::engine("trainer", "training a head")("nothing was begun"))
    }

    /// All that decides what a batch is; and heads of like size, so that none waits long for the others of its window.
    fn in_common(&self, spec: &HeadSpec, rows: usize) -> Option<HeadSpec> {
        let p = spec.params();
        let params = Params {
            hidden: vec![1 << weights(spec).max(1).ilog2()],
            input_dropout: spec.dropouts()[0],
            batch_norm: spec.has_batch_norm(),
            batch_size: p.batch_size,
            views: p.views,
            brightness: p.brightness,
            mixup: p.mixup,
            seed: p.seed,
            ..Params::default()
        };
        let common = HeadSpec { params, outputs: spec.classes, loss: Loss::Auto, classifier_dropouts: vec![], ..spec.clone() };
        (self.at_once(spec, rows) > 1).then_some(common)
    }

    /// Few: what an interrupted sweep loses is what was begun and not ended.
    fn at_once(&self, spec: &HeadSpec, rows: usize) -> usize {
        let most = (4 * self.threads).clamp(8, MOST_TOGETHER);
        match weights(spec) {
            few if few < LARGE => most,
            many if is_large(rows, spec.dims()[0]) => (MOST_WEIGHTS / many).clamp(1, most),
            _ => 1,
        }
    }

    fn begin_together<'a>(&self, task: Task<'a>, starts: Vec<Head>) -> Result<Vec<Box<dyn Session + 'a>>> {
        let heads = starts.len();
        Ok(sessions(Group::new(self, task, starts), heads, task))
    }
}

/// Weights of all layers.
fn weights(spec: &HeadSpec) -> usize {
    spec.dims().windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
}
