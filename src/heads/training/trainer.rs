//! The seam between a trainer and whoever has heads trained.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::spec::HeadSpec;

/// Most heads that any trainer begins together: more of them hardly keep a GPU busier.
pub(crate) const MOST_IN_LOCKSTEP: usize = 64;

/// Something that trains heads: candle on any device, or the fused CPU trainer.
pub trait Trainer: Send + Sync {
    /// `candle` or `fused`, with whatever else its last bits depend on.
    fn name(&self) -> &'static str;

    /// A head before its first step, which starts from the weights of `start`.
    ///
    /// # Errors
    /// The device's own failure.
    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>>;

    /// What heads on the same task, of so many rows, must have in common to be trained side by side, for those of this setting; `None` where each is better trained by
    /// itself. Never asked of heads that are solved for: they may have no layer.
    fn in_common(&self, _spec: &HeadSpec, _rows: usize) -> Option<HeadSpec> {
        None
    }

    /// Most heads like this one, on so many rows, that are worth beginning together.
    fn at_once(&self, _spec: &HeadSpec, _rows: usize) -> usize {
        MOST_IN_LOCKSTEP
    }

    /// Heads before their first step that will be trained side by side, all with the same [`Trainer::in_common`]: the first ones, as many as the
    /// device's memory holds. Their sessions go on epoch by epoch: none begins one before all others had the one before, or are settled.
    ///
    /// # Errors
    /// The device's own failure.
    fn begin_lockstep<'a>(&self, task: Task<'a>, starts: Vec<Head>) -> Result<Vec<Box<dyn Session + 'a>>> {
        starts.into_iter().map(|start| self.begin(task, start)).collect()
    }
}

/// A head in training.
pub trait Session: Send {
    /// One pass over the training rows.
    ///
    /// # Errors
    /// The device's own failure.
    fn epoch(&mut self, epoch: usize, lr: f64) -> Result<Pass>;

    /// The head will not be trained further: those that it was trained with go on without it.
    ///
    /// # Errors
    /// The device's own failure.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// The head as it is now.
    ///
    /// # Errors
    /// The device's own failure.
    fn head(&self) -> Result<Head>;

    /// Class probabilities of rows of the task, `[rows, classes]`.
    ///
    /// # Errors
    /// The device's own failure.
    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>>;
}

/// How a pass over the training rows went, as its steps met them: with dropout, and while the weights changed (what Keras reports, too).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Mean loss of its steps, weighted by rows.
    pub loss: f64,
    /// Share of the rows whose most probable class was (among) theirs.
    pub acc1: f64,
}

impl Pass {
    /// Of sums over `rows` training rows.
    pub fn new(loss: f64, right: f64, rows: usize) -> Pass {
        let rows = rows.max(1) as f64;
        Pass { loss: loss / rows, acc1: right / rows }
    }
}
