//! One verb a file.

pub(super) mod backbones;
pub(super) mod bench;
mod changes;
pub(super) mod demo;
pub(super) mod export;
pub(super) mod features;
pub(super) mod gc;
mod images;
pub(super) mod inspect;
pub(super) mod merge;
pub(super) mod predict;
#[cfg(feature = "report")]
pub(super) mod report;
pub(super) mod speedup;
pub(super) mod sweep;
pub(super) mod verify;
pub(super) mod weights;

use crate::Result;
use crate::backbone::{BackboneSettings, EngineKind};
use crate::engine::{self, Compute, DeviceChoice};

use super::args::{Backbone, Dtype, EngineName};
use super::screen::Screen;

impl Backbone {
    /// The arguments as the library takes them.
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

/// The device that was asked for; where `auto` looked for a GPU and found none that works, that is
/// said.
fn device(text: &str, screen: &Screen) -> Result<DeviceChoice> {
    let (choice, note) = engine::resolve(text.parse()?);
    note.iter().for_each(|note| screen.note(note));
    Ok(choice)
}
