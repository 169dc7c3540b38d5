//! What a sweep left, or a bundle holds: the head, and the bases that make its features.

use std::path::Path;

use crate::base::Base;
use crate::data::Orientation;
use crate::engine::DeviceChoice;
use crate::heads::{InputFeatures, Predictor};
use crate::store::Key;
use crate::weights::Fetching;
use crate::{Error, Result};

use super::bundle;

/// A head with all the bases that it needs.
pub struct TrainedModel {
    /// The head.
    pub predictor: Predictor,
    /// The bases, each once, in the order in which the head's inputs first name them.
    pub bases: Vec<UsedBase>,
}

/// One base and the head's inputs that it makes.
pub struct UsedBase {
    /// The base.
    pub base: Base,
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
        TrainedModel::join(predictor, |_, input, key| Base::of_key(key, &input.weights, device, tell))
    }

    /// Groups the head's inputs by the base that makes them and opens each base once: `open` gets its number, its first input and its key.
    pub(super) fn join(
        predictor: Predictor,
        mut open: impl FnMut(usize, &InputFeatures, &Key) -> Result<(Base, Orientation)>,
    ) -> Result<TrainedModel> {
        let mut bases: Vec<(&str, UsedBase)> = vec![];
        for (i, input) in predictor.inputs().iter().enumerate() {
            if let Some((_, used)) = bases.iter_mut().find(|(digest, _)| *digest == input.key_digest) {
                used.taps.push(input.tap.clone());
                used.inputs.push(i);
                continue;
            }
            let key = input.key.as_ref().ok_or_else(|| {
                Error::setting("this head was trained on features that came from no cache", "train it on a cache: `headstart sweep CACHE`")
            })?;
            let (base, orientation) = open(bases.len(), input, key)?;
            bases.push((
                &input.key_digest,
                UsedBase { base, orientation, key: key.clone(), taps: vec![input.tap.clone()], inputs: vec![i] },
            ));
        }
        let bases = bases.into_iter().map(|(_, used)| used).collect();
        Ok(TrainedModel { predictor, bases })
    }
}
