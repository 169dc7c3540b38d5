//! A head, and the backbones that make its features.

use std::path::Path;

use crate::backbone::Backbone;
use crate::backbones;
use crate::data::Orientation;
use crate::engine::Compute;
use crate::heads::{InputFeatures, Predictor};
use crate::preprocess::{Policy, PreprocessSpec};
use crate::store::CacheKey;
use crate::{Error, Result};

/// A head with all the backbones that it needs.
pub struct TrainedModel {
    /// The head.
    pub(crate) predictor: Predictor,
    /// The backbones, each once, in the order in which the head's inputs first name them.
    pub(crate) backbones: Vec<UsedBackbone>,
}

/// One backbone and the head's inputs that it makes.
pub(crate) struct UsedBackbone {
    /// The backbone.
    pub backbone: Backbone,
    /// How its images are turned.
    pub orientation: Orientation,
    /// The key of the cache that the head was trained on.
    pub key: CacheKey,
    /// The taps to take.
    pub taps: Vec<String>,
    /// Which of the head's inputs each tap is.
    pub inputs: Vec<usize>,
}

impl TrainedModel {
    /// Class names, in the order of the head's outputs.
    pub fn classes(&self) -> &[String] {
        self.predictor.classes()
    }

    /// Names of the backbones, in the order in which the head's inputs first name them.
    pub fn backbone_names(&self) -> Vec<&'static str> {
        self.backbones.iter().map(|used| used.backbone.info().name).collect()
    }

    /// Groups the head's inputs by the backbone that makes them and opens each backbone once:
    /// `open` gets its number, its first input and its key. `origin` is the file that says what the
    /// head reads.
    pub(super) fn join(
        origin: &Path,
        predictor: Predictor,
        mut open: impl FnMut(usize, &InputFeatures, &CacheKey) -> Result<(Backbone, Orientation)>,
    ) -> Result<TrainedModel> {
        let mut backbones: Vec<(&str, UsedBackbone)> = vec![];
        for (i, input) in predictor.inputs().iter().enumerate() {
            if let Some((_, used)) = backbones.iter_mut().find(|(digest, _)| *digest == input.key_digest) {
                used.taps.push(input.tap.clone());
                used.inputs.push(i);
                continue;
            }
            let key = input.key.as_ref().ok_or_else(|| {
                Error::data(origin, "describes a head for features that came from no cache", format!("{} on a cache", crate::steps::TRAIN))
            })?;
            check_key(key).map_err(|e| named(origin, e))?;
            let (backbone, orientation) = open(backbones.len(), input, key)?;
            backbones.push((
                &input.key_digest,
                UsedBackbone { backbone, orientation, key: key.clone(), taps: vec![input.tap.clone()], inputs: vec![i] },
            ));
        }
        let backbones: Vec<UsedBackbone> = backbones.into_iter().map(|(_, used)| used).collect();
        backbones.iter().try_for_each(|used| used.check(predictor.inputs())).map_err(|e| named(origin, e))?;
        Ok(TrainedModel { predictor, backbones })
    }
}

impl UsedBackbone {
    /// Whether the backbone has the taps that the head reads, in the shapes that it was trained on.
    /// (Where images are used at the size that they come in, that shows with the first one.)
    fn check(&self, inputs: &[InputFeatures]) -> Result<()> {
        let Some(size) = self.backbone.fixed_input() else { return self.backbone.graph().prune(&self.taps).map(drop) };
        let shapes = self.backbone.tap_shapes(&self.taps, size)?;
        match self.inputs.iter().zip(&shapes).find(|(input, shape)| inputs[**input].shape != **shape) {
            Some((&input, shape)) => {
                let InputFeatures { tap, shape: trained, .. } = &inputs[input];
                let problem = format!("tap `{tap}` of {} has the shape {shape:?}, not {trained:?}", self.backbone.info().name);
                Err(Error::setting(problem, AGAIN))
            }
            None => Ok(()),
        }
    }
}

const AGAIN: &str = crate::steps::TRAIN_AGAIN;

/// Whether a key can be understood, before anything is opened by it.
fn check_key(key: &CacheKey) -> Result<()> {
    backbones::find(&key.backbone)?;
    key.compute.parse::<Compute>()?;
    key.augment.parse::<Policy>()?;
    PreprocessSpec::parse(&key.preprocess, &PreprocessSpec::default()).map(drop)
}

/// A mistake that stands in a file, with the file's name.
fn named(file: &Path, error: Error) -> Error {
    match error {
        Error::Setting { problem, hint, .. } => Error::data(file, format!("does not fit this headstart, or is damaged: {problem}"), hint),
        Error::Graph { .. } => Error::data(file, format!("does not fit its backbone: {error}"), AGAIN),
        other => other,
    }
}
