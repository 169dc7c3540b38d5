//! The candle trainer as a [`Trainer`].

use candle_core::Device;

use super::error::failed;
use super::group::Group;

use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::choices::{Init, LrScale, Schedule};
use crate::heads::settings::params::Params;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::lockstep::sessions;
use crate::heads::training::trainer::{Session, Trainer};
use crate::{Error, Result};

/// Trains heads with candle.
#[derive(Debug, Clone)]
pub struct CandleTrainer {
    /// The device.
    pub device: Device,
}

impl Trainer for CandleTrainer {
    fn name(&self) -> &'static str {
        "candle"
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
        let mut sessions = self.begin_lockstep(task, vec![start])?;
        sessions.pop().ok_or_else(|| Error::engine("candle", "training a head")("nothing was begun"))
    }

    /// Everything but the settings that act on each head by itself: its start, its rates over the
    /// epochs, and its end.
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
        Some(spec.with(params))
    }

    fn begin_lockstep<'a>(&self, task: Task<'a>, mut starts: Vec<Head>) -> Result<Vec<Box<dyn Session + 'a>>> {
        let group = loop {
            match Group::new(&self.device, task, &starts).map_err(failed("copying weights")) {
                Err(e) if e.is_out_of_memory() && starts.len() > 1 => starts.truncate(starts.len().div_ceil(2)),
                made => break made?,
            }
        };
        Ok(sessions(group, starts.len(), task))
    }
}
