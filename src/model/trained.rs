//! What a sweep left, or a bundle holds: the head, and the bases that make its features.

use std::path::{Path, PathBuf};

use crate::backbone::Backbone;
use crate::backbones;
use crate::data::Orientation;
use crate::engine::{Compute, DeviceChoice};
use crate::heads::{BEST_FOLDER, InputFeatures, MODEL_FILE, Predictor};
use crate::preprocess::{Policy, PreprocessSpec};
use crate::store::Key;
use crate::weights::Fetching;
use crate::{Error, Result};

use super::bundle;

/// A head with all the bases that it needs.
pub struct TrainedModel {
    /// The head.
    pub predictor: Predictor,
    /// The bases, each once, in the order in which the head's inputs first name them.
    pub bases: Vec<UsedBackbone>,
}

/// One base and the head's inputs that it makes.
pub struct UsedBackbone {
    /// The base.
    pub base: Backbone,
    /// How its images are turned.
    pub orientation: Orientation,
    /// The key of the cache that the head was trained on.
    pub key: Key,
    /// The taps to take.
    pub taps: Vec<String>,
    /// Which of the head's inputs each tap is.
    pub inputs: Vec<usize>,
}

impl TrainedModel {
    /// Opens a sweep directory (its weights are found by name, fetched if need be, which `tell` hears of) or a bundle, which needs nothing else.
    ///
    /// # Errors
    /// A folder without a trained head, a damaged file, weights that cannot be had or are not those that the head was trained with.
    pub fn open(path: &Path, device: DeviceChoice, tell: &dyn Fn(Fetching)) -> Result<TrainedModel> {
        if path.is_file() {
            return bundle::open(path, device);
        }
        if !path.exists() {
            return Err(Error::data(path, "is not there", "name a sweep's directory, or a bundle that `headstart export` wrote"));
        }
        let predictor = Predictor::load(path)?;
        TrainedModel::join(&described_by(path), predictor, |_, input, key| Backbone::of_key(key, &input.weights, device, tell))
    }

    /// Groups the head's inputs by the base that makes them and opens each base once: `open` gets its number, its first input and its key. `origin`
    /// is the file that says what the head reads.
    pub(super) fn join(
        origin: &Path,
        predictor: Predictor,
        mut open: impl FnMut(usize, &InputFeatures, &Key) -> Result<(Backbone, Orientation)>,
    ) -> Result<TrainedModel> {
        let mut bases: Vec<(&str, UsedBackbone)> = vec![];
        for (i, input) in predictor.inputs().iter().enumerate() {
            if let Some((_, used)) = bases.iter_mut().find(|(digest, _)| *digest == input.key_digest) {
                used.taps.push(input.tap.clone());
                used.inputs.push(i);
                continue;
            }
            let key = input.key.as_ref().ok_or_else(|| {
                Error::data(origin, "describes a head for features that came from no cache", "train it on a cache: `headstart sweep CACHE`")
            })?;
            check_key(key).map_err(|e| named(origin, e))?;
            let (base, orientation) = open(bases.len(), input, key)?;
            bases.push((
                &input.key_digest,
                UsedBackbone { base, orientation, key: key.clone(), taps: vec![input.tap.clone()], inputs: vec![i] },
            ));
        }
        let bases: Vec<UsedBackbone> = bases.into_iter().map(|(_, used)| used).collect();
        bases.iter().try_for_each(|used| used.check(predictor.inputs())).map_err(|e| named(origin, e))?;
        Ok(TrainedModel { predictor, bases })
    }
}

impl UsedBackbone {
    /// Whether the base has the taps that the head reads, in the shapes that it was trained on. (Where images are used at the size that they come
    /// in, that shows with the first one.)
    fn check(&self, inputs: &[InputFeatures]) -> Result<()> {
        let Some(size) = self.base.fixed_input() else { return self.base.graph().prune(&self.taps).map(drop) };
        let shapes = self.base.tap_shapes(&self.taps, size)?;
        match self.inputs.iter().zip(&shapes).find(|(input, shape)| inputs[**input].shape != **shape) {
            Some((&input, shape)) => {
                let InputFeatures { tap, shape: trained, .. } = &inputs[input];
                let problem = format!("tap `{tap}` of {} has the shape {shape:?}, not {trained:?}", self.base.info().name);
                Err(Error::setting(problem, AGAIN))
            }
            None => Ok(()),
        }
    }
}

const AGAIN: &str = "train the head again with `headstart sweep`";

/// The file in a sweep's directory that says what its head reads.
fn described_by(folder: &Path) -> PathBuf {
    let best = folder.join(BEST_FOLDER).join(MODEL_FILE);
    if best.is_file() { best } else { folder.join(MODEL_FILE) }
}

/// Whether a key can be understood, before anything is opened by it.
fn check_key(key: &Key) -> Result<()> {
    backbones::find(&key.backbone)?;
    key.compute.parse::<Compute>()?;
    key.augment.parse::<Policy>()?;
    let spec = key.preprocess.split(';').next().unwrap_or_default();
    PreprocessSpec::parse(spec, &PreprocessSpec::default()).map(drop)
}

/// A mistake that stands in a file, with the file's name.
fn named(file: &Path, error: Error) -> Error {
    match error {
        Error::Setting { problem, hint, .. } => Error::data(file, format!("does not fit this headstart, or is damaged: {problem}"), hint),
        Error::Graph { .. } => Error::data(file, format!("does not fit its backbone: {error}"), AGAIN),
        other => other,
    }
}
