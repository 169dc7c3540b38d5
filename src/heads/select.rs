//! The trainer for a device.

use std::sync::Arc;

use candle_core::Device;

use super::candle::CandleTrainer;
use super::fused::FusedTrainer;
use super::training::trainer::Trainer;

/// The trainer for a device: the fused one on a CPU, candle elsewhere.
pub(crate) fn trainer(device: &Device) -> Arc<dyn Trainer> {
    match device {
        Device::Cpu => Arc::new(FusedTrainer::new(rayon::current_num_threads())),
        other => Arc::new(CandleTrainer { device: other.clone() }),
    }
}
