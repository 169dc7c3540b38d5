//! A training batch on the device.

use candle_core::{Result, Tensor};

use super::common::Common;
use super::member::Member;
use crate::heads::training::objective::Targets;

/// A training batch on the device, the same for all heads.
pub(super) struct Batch {
    /// `[1, rows, dim]`.
    pub x: Tensor,
    /// Random bits of each layer's input, `[1, rows, units]`, as numbers below 2¹⁶: a unit is
    /// dropped where they lie below its head's threshold.
    pub bits: Vec<Option<Tensor>>,
    /// Targets `[1, rows, outputs]`, each row's mass `[1, rows, 1]`, and the factor of their sum.
    pub q: Tensor,
    pub mass: Tensor,
    pub scale: f64,
}

impl Batch {
    /// `rows` of an epoch with their features.
    pub(super) fn new(
        common: &Common,
        members: &[&Member],
        (epoch, rows): (usize, &[usize]),
        x: Vec<f32>,
        targets: &Targets,
    ) -> Result<Batch> {
        let (dims, device) = (common.spec.dims(), &common.device);
        let on_device = |values: &[f32], columns: usize| Tensor::from_slice(values, (1, rows.len(), columns), device);
        let bits = |layer: usize| -> Result<Option<Tensor>> {
            let Some(mask) = members.iter().map(|m| &m.dropouts[layer]).find(|mask| !mask.is_none()) else { return Ok(None) };
            let mut bits = vec![0.0; rows.len() * dims[layer]];
            bits.chunks_exact_mut(dims[layer]).zip(rows).for_each(|(out, &row)| mask.bits(epoch, row, out));
            on_device(&bits, dims[layer]).map(Some)
        };
        Ok(Batch {
            bits: (0..dims.len() - 1).map(bits).collect::<Result<_>>()?,
            x: on_device(&x, dims[0])?,
            q: on_device(&targets.q, dims[dims.len() - 1])?,
            mass: on_device(&targets.mass, 1)?,
            scale: f64::from(targets.scale),
        })
    }
}
