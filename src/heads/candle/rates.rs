//! Values that differ from head to head: learning rates, weight decays, dropout.

use candle_core::{DType, Result, Tensor};

use super::batch::Batch;
use super::common::Common;
use super::member::Member;

/// Values that differ from head to head, each `[heads, 1, 1]`.
pub(super) struct Rates {
    pub lr: Tensor,
    /// Weight decays, or if these are decoupled from the gradient the factors that a step applies
    /// to the weights; `None` if no head has any.
    pub decay: Option<Tensor>,
    /// Of each layer's input: thresholds of the random bits, and the factor of what survives; of
    /// one head where all heads agree.
    dropouts: Vec<Option<[Tensor; 2]>>,
}

impl Rates {
    pub(super) fn new(common: &Common, members: &[&Member], lrs: &[f64]) -> Result<Rates> {
        let apart = common.optimizer.decays_apart();
        let decay = |(m, lr): (&&Member, &f64)| if apart { 1.0 - lr * m.weight_decay() } else { m.weight_decay() };
        let decays = || members.iter().zip(lrs).map(|of| decay(of) as f32).collect();
        let has_decay = members.iter().any(|m| m.weight_decay() > 0.0);
        let dropout = |layer: usize| -> Result<Option<[Tensor; 2]>> {
            let mut of: Vec<_> = members.iter().map(|m| m.dropouts[layer]).collect();
            of.dedup();
            if of.iter().all(|mask| mask.is_none()) {
                return Ok(None);
            }
            let of = if of.len() == 1 { of } else { members.iter().map(|m| m.dropouts[layer]).collect() };
            let thresholds = common.by_head(of.iter().map(|mask| mask.threshold() as f32).collect())?;
            Ok(Some([thresholds, common.by_head(of.iter().map(|mask| mask.scale).collect())?]))
        };
        Ok(Rates {
            lr: common.by_head(lrs.iter().map(|&lr| lr as f32).collect())?,
            decay: if has_decay { Some(common.by_head(decays())?) } else { None },
            dropouts: (0..common.spec.dims().len() - 1).map(dropout).collect::<Result<_>>()?,
        })
    }

    /// The input of a layer with dropout.
    pub(super) fn drop(&self, x: Tensor, batch: &Batch, layer: usize) -> Result<Tensor> {
        match (&self.dropouts[layer], &batch.bits[layer]) {
            (Some([thresholds, scales]), Some(bits)) => {
                x.broadcast_mul(&bits.broadcast_ge(thresholds)?.to_dtype(DType::F32)?.broadcast_mul(scales)?)
            }
            _ => Ok(x),
        }
    }
}
