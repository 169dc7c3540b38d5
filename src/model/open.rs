//! Opening what a sweep left, or a bundle.

use std::path::{Path, PathBuf};

use super::bundle;
use super::trained::TrainedModel;
use crate::backbone::Backbone;
use crate::engine::DeviceChoice;
use crate::heads::{BEST_FOLDER, MODEL_FILE, Predictor};
use crate::weights::Fetching;
use crate::{Error, Result};

impl TrainedModel {
    /// Opens a sweep directory (its weights are found by name, fetched if need be, which `tell`
    /// hears of) or a bundle, which needs nothing else.
    ///
    /// # Errors
    /// A folder without a trained head, a damaged file, weights that cannot be had or are not those
    /// that the head was trained with.
    pub fn open(path: &Path, device: DeviceChoice, tell: &dyn Fn(Fetching)) -> Result<TrainedModel> {
        if path.is_file() {
            return bundle::open(path, device);
        }
        if !path.exists() {
            return Err(Error::data(path, "is not there", "name a sweep's directory, or a bundle"));
        }
        let predictor = Predictor::load(path)?;
        TrainedModel::join(&described_by(path), predictor, |_, input, key| Backbone::of_key(key, &input.weights, device, tell))
    }
}

/// The file in a sweep's directory that says what its head reads.
fn described_by(folder: &Path) -> PathBuf {
    let best = folder.join(BEST_FOLDER).join(MODEL_FILE);
    if best.is_file() { best } else { folder.join(MODEL_FILE) }
}
