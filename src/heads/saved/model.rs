//! `model.json`, which says all that is needed to use a fitted head.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::heads::settings::spec::HeadSpec;
use crate::store::CacheKey;

/// Version of `model.json`.
pub(crate) const MODEL_FORMAT: u32 = 2;
/// The description's file name.
pub(crate) const MODEL_FILE: &str = "model.json";
/// The folder of a sweep that holds the best trial's head.
pub(crate) const BEST_FOLDER: &str = "best";
/// The weights' file name.
pub(crate) const HEAD_FILE: &str = "head.safetensors";

/// One feature vector that a head reads: which tap of which backbone, made how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputFeatures {
    /// The cache's folder when the head was trained.
    pub cache: String,
    /// The data set's name.
    pub dataset: String,
    /// The tap.
    pub tap: String,
    /// Shape of one image's features there.
    pub shape: Vec<usize>,
    /// The argument that identifies the backbone's weights: an entry's name, a path, `random:SEED`.
    pub weights: String,
    /// Backbone, weights and preprocess: everything that decides the features. `None` for features
    /// that did not come from a cache.
    pub key: Option<CacheKey>,
    /// Digest of the key.
    pub key_digest: String,
}

/// `model.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// [`MODEL_FORMAT`]
    pub format: u32,
    /// The head, with its settings.
    pub head: HeadSpec,
    /// Class names, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Its inputs; several are joined in this order.
    pub inputs: Vec<InputFeatures>,
    /// Whether rows are divided by their norm first.
    pub l2: bool,
    /// Whether columns are standardised with `transform.mean` and `transform.scale`.
    pub standardise: bool,
    /// The divisor of the logits that calibrates the probabilities; fitted on val, see
    /// [`calibrate`](crate::heads::calibrate).
    #[serde(default = "unscaled")]
    pub temperature: f64,
    /// Number of the trial.
    pub trial: usize,
    /// The trial's values of the settings that the sweep varied.
    pub settings: Map<String, Value>,
    /// Its metrics, `val.acc1` and so on.
    pub metrics: Map<String, Value>,
    /// Version of headstart that trained it.
    pub headstart: String,
}

/// The temperature of a head that was never calibrated.
fn unscaled() -> f64 {
    1.0
}
