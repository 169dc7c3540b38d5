//! The fused trainer as a [`Trainer`].

use std::sync::Arc;

use super::group::Group;
use super::pool::Pool;
use crate::heads::features::prefetch::is_large;
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::choices::Loss;
use crate::heads::settings::params::Params;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::lockstep::sessions;
use crate::heads::training::trainer::{MOST_IN_LOCKSTEP, Session, Trainer};
use crate::simd::Isa;
use crate::{Error, Result};

/// Operations of an epoch below which a second thread costs more than it does.
const WORTH_SHARING: f64 = 1e8;
/// Number of weights from which a head is trained by itself: they would leave the caches between
/// two windows, and the shared work is small beside them. (Unless the shared features have to come
/// from disk.)
const LARGE: usize = 1 << 19;
/// Weights of all heads of one run (fold, repeat) that are begun together: 1 GiB with the states of
/// Adam.
const MOST_WEIGHTS: usize = 90 << 20;

/// Trains heads on the CPU.
#[derive(Debug, Clone)]
pub struct FusedTrainer(Pool);

impl FusedTrainer {
    /// A trainer for up to `threads` threads, all sessions together.
    pub fn new(threads: usize) -> FusedTrainer {
        FusedTrainer(Pool { isa: Isa::best(), threads: threads.max(1), active: Arc::default(), worth_sharing: WORTH_SHARING })
    }

    /// A trainer whose sessions take all threads, however small the work.
    #[cfg(test)]
    pub(crate) fn eager(threads: usize) -> FusedTrainer {
        FusedTrainer(Pool { worth_sharing: 0.0, ..FusedTrainer::new(threads).0 })
    }

    #[cfg(test)]
    pub(crate) fn with_isa(isa: Isa, threads: usize) -> FusedTrainer {
        FusedTrainer(Pool { isa, ..FusedTrainer::new(threads).0 })
    }
}

impl Trainer for FusedTrainer {
    fn name(&self) -> &'static str {
        match self.0.isa {
            Isa::Portable => "fused-portable",
            Isa::Neon(_) => "fused-neon",
            Isa::Avx2(_) => "fused-avx2",
            Isa::Avx512(_) | Isa::Amx(_) => "fused-avx512",
        }
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
        let mut sessions = self.begin_lockstep(task, vec![start])?;
        sessions.pop().ok_or_else(|| Error::engine("trainer", "training a head")("nothing was begun"))
    }

    /// Everything that decides the contents of a batch, and a similar size, so that no head waits
    /// long for the others of its window.
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
        let mut common = spec.with(params);
        (common.outputs, common.loss) = (spec.classes, Loss::Auto);
        (self.at_once(spec, rows) > 1).then_some(common)
    }

    /// Few, because an interrupted sweep loses the heads that have begun and not ended.
    fn at_once(&self, spec: &HeadSpec, rows: usize) -> usize {
        let most = (4 * self.0.threads).clamp(8, MOST_IN_LOCKSTEP);
        match weights(spec) {
            few if few < LARGE => most,
            many if is_large(rows, spec.dims()[0]) => (MOST_WEIGHTS / many).clamp(1, most),
            _ => 1,
        }
    }

    fn begin_lockstep<'a>(&self, task: Task<'a>, starts: Vec<Head>) -> Result<Vec<Box<dyn Session + 'a>>> {
        let heads = starts.len();
        Ok(sessions(Group::new(&self.0, task, starts), heads, task))
    }
}

/// Weights of all layers.
fn weights(spec: &HeadSpec) -> usize {
    spec.dims().windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
}
