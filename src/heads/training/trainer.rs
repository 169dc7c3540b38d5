//! The interface of a trainer.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::spec::HeadSpec;

/// Largest number of heads in lockstep: more hardly keep a GPU busier.
pub(crate) const MOST_IN_LOCKSTEP: usize = 64;

/// A trainer of heads: candle on any device, or the fused CPU trainer.
pub trait Trainer: Send + Sync {
    /// `candle` or `fused`, with everything else that its last bits depend on.
    fn name(&self) -> &'static str;

    /// A session for a head that starts from the weights of `start`.
    ///
    /// # Errors
    /// A failure of the device.
    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>>;

    /// The settings that heads on the same task of `rows` rows must share with this one to be
    /// trained in lockstep; `None` if each is better trained by itself. Never called for heads that
    /// are solved for: they may have no layer.
    fn in_common(&self, _spec: &HeadSpec, _rows: usize) -> Option<HeadSpec> {
        None
    }

    /// Largest number of heads like this one, on so many rows, that are worth training in lockstep.
    fn at_once(&self, _spec: &HeadSpec, _rows: usize) -> usize {
        MOST_IN_LOCKSTEP
    }

    /// Sessions for heads that will be trained in lockstep, all with the same
    /// [`Trainer::in_common`]: the first ones, as many as the device's memory holds. No session may
    /// begin an epoch before all others have completed the previous one or have finished.
    ///
    /// # Errors
    /// A failure of the device.
    fn begin_lockstep<'a>(&self, task: Task<'a>, starts: Vec<Head>) -> Result<Vec<Box<dyn Session + 'a>>> {
        starts.into_iter().map(|start| self.begin(task, start)).collect()
    }
}

/// A head in training.
pub trait Session: Send {
    /// One pass over the training rows.
    ///
    /// # Errors
    /// A failure of the device.
    fn epoch(&mut self, epoch: usize, lr: f64) -> Result<Pass>;

    /// Ends the training of this head; heads in lockstep with it continue without it.
    ///
    /// # Errors
    /// A failure of the device.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// The head in its present state.
    ///
    /// # Errors
    /// A failure of the device.
    fn head(&self) -> Result<Head>;

    /// Class probabilities of rows of the task, `[rows, classes]`.
    ///
    /// # Errors
    /// A failure of the device.
    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>>;
}

/// Statistics of a pass over the training rows as its steps saw them: with dropout, and while the
/// weights changed (as Keras reports them).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Mean loss of its steps, weighted by rows.
    pub loss: f64,
    /// Share of the rows whose most probable class was (among) theirs.
    pub acc1: f64,
}

impl Pass {
    /// Statistics from sums over `rows` training rows.
    pub fn new(loss: f64, right: f64, rows: usize) -> Pass {
        let rows = rows.max(1) as f64;
        Pass { loss: loss / rows, acc1: right / rows }
    }
}
