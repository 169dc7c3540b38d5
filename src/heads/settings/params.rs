//! The settings of one trial as people write them, unchecked.

use serde::{Deserialize, Serialize};

use crate::heads::settings::choices::{Activation, ClassWeights, HeadKind, Init, Loss, LrScale, OptimizerKind, Preset, Schedule};

/// All settings of a trial as a sweep file names them, unchecked. Settings that a head does not use
/// are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is described once, in `heads::KEYS`")]
pub struct Params {
    pub head: HeadKind,
    #[serde(deserialize_with = "one_or_many")]
    pub hidden: Vec<usize>,
    pub activation: Activation,
    pub dropout: f32,
    pub input_dropout: f32,
    pub batch_norm: bool,
    pub init: Init,
    pub loss: Loss,
    pub label_smoothing: f32,
    pub class_weights: ClassWeights,
    pub optimizer: OptimizerKind,
    pub preset: Preset,
    pub lr: f64,
    pub lr_scale: LrScale,
    pub schedule: Schedule,
    pub step_size: usize,
    pub gamma: f64,
    pub warmup: usize,
    pub weight_decay: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub nesterov: bool,
    pub rho: Option<f64>,
    pub centered: bool,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: Option<f64>,
    pub amsgrad: bool,
    pub clip_norm: Option<f64>,
    pub batch_size: usize,
    pub epochs: usize,
    pub patience: usize,
    pub alpha: f64,
    #[serde(rename = "C")]
    pub c: f64,
    pub tol: f64,
    pub k: usize,
    pub temperature: f64,
    pub views: usize,
    pub brightness: f32,
    pub mixup: f64,
    pub standardise: bool,
    pub l2: bool,
    pub seed: u64,
}

/// `256` stands for `[256]`.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Counts {
        One(usize),
        Many(Vec<usize>),
    }
    Ok(match Counts::deserialize(deserializer)? {
        Counts::One(n) => vec![n],
        Counts::Many(all) => all,
    })
}

impl Default for Params {
    fn default() -> Params {
        Params {
            head: HeadKind::Linear,
            hidden: vec![256],
            activation: Activation::Relu,
            dropout: 0.0,
            input_dropout: 0.0,
            batch_norm: false,
            init: Init::Torch,
            loss: Loss::Auto,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            optimizer: OptimizerKind::Adam,
            preset: Preset::Torch,
            lr: 1e-3,
            lr_scale: LrScale::None,
            schedule: Schedule::Constant,
            step_size: 10,
            gamma: 0.1,
            warmup: 0,
            weight_decay: 0.0,
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
            rho: None,
            centered: false,
            beta1: 0.9,
            beta2: 0.999,
            eps: None,
            amsgrad: false,
            clip_norm: None,
            batch_size: 64,
            epochs: 30,
            patience: 0,
            alpha: 1.0,
            c: 1.0,
            tol: 1e-4,
            k: 20,
            temperature: 0.07,
            views: 1,
            brightness: 0.0,
            mixup: 0.0,
            standardise: false,
            l2: false,
            seed: 0,
        }
    }
}

impl Params {
    /// Defaults of a kind of head. A classifier starts from the backbone's weights and drops half
    /// of its units, as in its own training.
    pub fn of(head: HeadKind) -> Params {
        match head {
            HeadKind::Classifier => Params { head, init: Init::Pretrained, dropout: 0.5, ..Params::default() },
            HeadKind::Linear
            | HeadKind::Dense
            | HeadKind::Gap
            | HeadKind::GapDropout
            | HeadKind::Ridge
            | HeadKind::Logreg
            | HeadKind::Knn
            | HeadKind::NearestMean => Params { head, ..Params::default() },
        }
    }

    /// One setting as JSON, by its key.
    pub fn setting(&self, key: &str) -> serde_json::Value {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(mut all)) => all.remove(key).unwrap_or(serde_json::Value::Null),
            _ => serde_json::Value::Null,
        }
    }
}
