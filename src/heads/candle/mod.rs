//! The candle trainer: heads as autograd variables on any candle device. On a CPU it is the plain reference of the fused trainer.
//!
//! Heads of one shape that see the same batches train side by side: their weights lie behind each other, each batch of features goes to the
//! device once, and each layer of all heads is one batched product. What a head computes does not depend on the others: on a CPU bit by bit, on
//! a GPU but for the last bits, as its library may choose another kernel for another number of heads.

mod group;
mod stack;
mod update;

use candle_core::Device;

use super::settings::choices::{Init, LrScale, Schedule};
use super::training::lockstep::sessions;
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::params::Params;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::trainer::Session;
use crate::heads::training::trainer::Trainer;
use crate::{Error, Result};
use group::Group;

#[cfg(test)]
pub(super) use stack::memory;

/// Trains heads with candle.
#[derive(Debug, Clone)]
pub struct CandleTrainer {
    /// Where.
    pub device: Device,
}

impl Trainer for CandleTrainer {
    fn name(&self) -> &'static str {
        "candle"
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
        let mut sessions = self.begin_together(task, vec![start])?;
        sessions.pop().ok_or_else(|| Error::engine("candle", "training a head")("nothing was begun"))
    }

    /// All but what acts on each head by itself: where it starts, its rates over the epochs, and when it ends.
    fn in_common(&self, spec: &HeadSpec, _: usize) -> Option<HeadSpec> {
        let params = Params {
            init: Init::Torch,
            dropout: 0.0,
            input_dropout: 0.0,
            lr: 0.0,
            lr_scale: LrScale::None,
            schedule: Schedule::Constant,
            step_size: 0,
            gamma: 0.0,
            warmup: 0,
            weight_decay: 0.0,
            epochs: 0,
            patience: 0,
            ..spec.params().clone()
        };
        Some(HeadSpec { params, ..spec.clone() })
    }

    fn begin_together<'a>(&self, task: Task<'a>, mut starts: Vec<Head>) -> Result<Vec<Box<dyn Session + 'a>>> {
        let group = loop {
            match Group::new(&self.device, task, &starts).map_err(failed("copying weights")) {
                Err(e) if e.is_out_of_memory() && starts.len() > 1 => starts.truncate(starts.len().div_ceil(2)),
                made => break made?,
            }
        };
        Ok(sessions(group, starts.len(), task))
    }
}

fn failed(doing: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |e| Error::engine("candle", doing)(e)
}
