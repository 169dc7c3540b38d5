//! One verb a file.

pub mod backbones;
pub mod bench;
mod changes;
pub mod demo;
pub mod export;
pub mod features;
pub mod gc;
mod images;
pub mod inspect;
pub mod merge;
pub mod predict;
#[cfg(feature = "report")]
pub mod report;
pub mod speedup;
pub mod sweep;
pub mod verify;
pub mod weights;

use crate::Result;
use crate::backbone::{BackboneSettings, EngineKind};
use crate::engine::{self, Compute, DeviceChoice};

use super::args::{Backbone, Dtype, EngineName};
use super::screen::Screen;

impl Backbone {
    /// What was typed, as the library takes it.
    fn settings(&self, device: DeviceChoice) -> Result<BackboneSettings> {
        Ok(BackboneSettings {
            backbone: self.backbone.clone(),
            weights: self.weights.clone(),
            size: self.size,
            preprocess: self.preprocess.clone(),
            compute: match self.dtype {
                Dtype::F32 => Compute::F32,
                Dtype::Bf16 => Compute::Bf16,
                Dtype::F16 => Compute::F16,
            },
            engine: self.engine.map(|e| match e {
                EngineName::Native => EngineKind::Native,
                EngineName::Candle => EngineKind::Candle,
                EngineName::Cuda => EngineKind::Cuda,
            }),
            device,
        })
    }
}

/// The device that was asked for; where `auto` looked for a GPU and found none that works, that is said.
fn device(text: &str, screen: &Screen) -> Result<DeviceChoice> {
    let (choice, note) = engine::resolve(text.parse()?);
    note.iter().for_each(|note| screen.note(note));
    Ok(choice)
}
