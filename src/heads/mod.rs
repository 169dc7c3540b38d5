//! Classifier heads on cached features: what they are ([`Params`], [`HeadSpec`]), how they are trained ([`Trainer`]), judged ([`Metrics`])
//! and used ([`Head`]). Knows features and labels as matrices; nothing of images or backbones.

mod ahead;
mod augment;
mod bench;
mod cached;
mod calibration;
mod candle;
mod check;
mod classifier;
mod fused;
mod groups;
mod head;
mod keys;
mod loss;
mod metrics;
mod model;
mod optimizer;
mod params;
mod random;
mod solvers;
mod table;
mod together;
mod train;
mod transform;
mod words;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use model::tests as tests_of_model;

pub(crate) use ahead::{in_parts, is_large};
pub use augment::Augmented;
pub use bench::Bench;
pub use calibration::{Answers, Calibration, calibrate, rescale};
pub use candle::{CandleTrainer, trainer};
pub use classifier::Classifier;
pub use fused::FusedTrainer;
pub use groups::{Groups, few, folds};
pub use head::{BatchNorm, Head, Layer};
pub(crate) use keys::whole_number;
pub use keys::{KEYS, Key, Kind, did_you_mean, plain};
pub use loss::{Objective, Targets};
pub use metrics::{ClassCount, METRICS, Metrics, confusion, counts, most_probable};
pub use model::{BEST_FOLDER, HEAD_FILE, InputFeatures, MODEL_FILE, MODEL_FORMAT, Model, Predictor, check_head_file};
pub use optimizer::{LearningRate, Optimizer, clip_factor};
pub use params::{Fit, HeadSpec, Params};
pub use random::{Dropout, order, window_rows};
pub use solvers::{Neighbours, Solver, fits};
pub use table::{FeatureTable, Joined, Labels, Matrix, Partition, Pooled};
pub use train::{Epoch, Pass, Session, Task, Trained, Trainer, Training, Watch, score, solve};
pub use transform::Transform;
pub use words::{Activation, ClassWeights, HeadKind, Init, Loss, LrScale, OptimizerKind, Preset, Schedule};
