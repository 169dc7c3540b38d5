//! One verb a file.

pub mod backbones;
pub mod bench;
mod changes;
pub mod demo;
pub mod export;
mod extraction;
pub mod features;
pub mod gc;
mod images;
pub mod inspect;
pub mod merge;
pub mod predict;
pub mod report;
pub mod speedup;
pub mod sweep;
pub mod verify;
pub mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use crate::backbone::{BackboneSettings, EngineKind};
use crate::engine::{self, Compute, DeviceChoice};
use crate::{Error, Result};

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

/// The cache that `path` names: itself, or the only one below it.
fn cache_folder(path: &Path) -> Result<PathBuf> {
    if path.join("manifest.json").is_file() {
        return Ok(path.to_path_buf());
    }
    if !path.is_dir() {
        let problem = if path.exists() { "is a file, not a cache" } else { "is not there" };
        return Err(Error::data(path, problem, "name the folder that `headstart features` printed"));
    }
    let mut found = vec![];
    let folders = |dir: &Path| -> Result<Vec<PathBuf>> {
        let listed = fs::read_dir(dir).map_err(Error::io("list", dir))?;
        Ok(listed.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect())
    };
    for below in folders(path)? {
        if below.join("manifest.json").is_file() {
            found.push(below);
        } else {
            found.extend(folders(&below)?.into_iter().filter(|p| p.join("manifest.json").is_file()));
        }
    }
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::data(path, "holds no cache", "make one with `headstart features`")),
        several => {
            let names: Vec<String> = several.iter().map(|p| p.display().to_string()).collect();
            Err(Error::data(path, format!("holds {} caches", several.len()), format!("name one of {}", names.join(", "))))
        }
    }
}
