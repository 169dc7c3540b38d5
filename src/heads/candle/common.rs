//! The settings and constants that the heads of a group share.

use candle_core::{Device, Result, Tensor};

use crate::heads::features::task::Task;
use crate::heads::settings::optimizer::Optimizer;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::objective::Objective;

/// The settings and constants that the heads of a group share.
pub(super) struct Common {
    pub device: Device,
    /// The specification of one head; all agree in the fields that are read here.
    pub spec: HeadSpec,
    pub objective: Objective,
    pub optimizer: Optimizer,
}

impl Common {
    pub(super) fn new(device: &Device, spec: &HeadSpec, task: Task<'_>) -> Common {
        let objective = Objective::new(spec, task.labels, &task.partition.train);
        Common { device: device.clone(), spec: spec.clone(), objective, optimizer: *spec.optimizer() }
    }

    /// One number per head: `[heads, 1, 1]`.
    pub(super) fn by_head(&self, values: Vec<f32>) -> Result<Tensor> {
        let heads = values.len();
        Tensor::from_vec(values, (heads, 1, 1), &self.device)
    }
}
