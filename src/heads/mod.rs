//! Classifier heads on cached features: what they are ([`Params`], [`HeadSpec`]), how they are
//! trained ([`Trainer`]), judged ([`Metrics`]) and used ([`Head`]). Knows features and labels as
//! matrices; nothing of images or backbones.
//!
//! | place | what for |
//! |---|---|
//! | `settings/` | what a head is to be: settings, their table, their check |
//! | `features/` | what it is fed: tables of features, labels, partitions, transforms |
//! | `fitted/` | what it is once fitted: layers or neighbours, applied to rows |
//! | `evaluation/` | how it is judged: metrics, calibration |
//! | `training/` | how it is trained: losses, epochs, early stopping, heads side by side |
//! | `fused/`, `candle/` | the trainers: on a CPU, and on any device of candle's |
//! | `solvers/` | heads without a learning rate, solved for |
//! | `saved/` | its files |
//! | `select` | the trainer for a device |
//! | `streams`, `math` | streams of random numbers; functions that several rooms need |

mod candle;
mod evaluation;
mod features;
mod fitted;
mod fused;
mod math;
mod saved;
mod select;
mod settings;
mod solvers;
mod streams;
mod training;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use saved::predictor::tests as tests_of_model;

pub use candle::CandleTrainer;
pub use evaluation::calibration::{Answers, Calibration, calibrate, rescale};
pub use evaluation::metric::{METRICS, Metric};
pub use evaluation::metrics::{ClassCount, Metrics, confusion, counts, most_probable};
pub use features::augment::Augmented;
pub use features::combined::{Joined, Pooled};
pub use features::groups::{GroupCount, Groups, few_shot, folds};
pub use features::labels::Labels;
pub use features::matrix::Matrix;
pub use features::order::{order, window_rows};
pub use features::partition::Partition;
pub(crate) use features::prefetch::{in_parts, is_large};
pub use features::table::{FeatureTable, Mix};
pub use features::task::Task;
pub use features::transform::Transform;
pub use fitted::batch_norm::BatchNorm;
pub use fitted::head::{FittedHead, Head};
pub use fitted::layer::Layer;
pub use fitted::neighbours::Neighbours;
pub use fitted::pretrained::PretrainedLayers;
pub use fused::FusedTrainer;
pub use saved::folder::check_head_file;
pub use saved::model::{BEST_FOLDER, HEAD_FILE, InputFeatures, MODEL_FILE, MODEL_FORMAT, Model};
pub use saved::predictor::{HeadFiles, Predictor};
pub use select::trainer;
pub use settings::choices::{Activation, ClassWeights, HeadKind, Init, Loss, LrScale, OptimizerKind, Preset, Schedule};
pub use settings::config::HeadConfig;
pub(crate) use settings::keys::whole_number;
pub use settings::keys::{KEYS, Kind, SettingSpec, did_you_mean, plain};
pub use settings::learning_rate::LearningRate;
pub use settings::optimizer::{Adam, Optimizer, Rmsprop, Sgd};
pub use settings::params::Params;
pub use settings::spec::{Fit, HeadSpec, HiddenLayers};
pub use solvers::{Solver, fits};
pub use training::clipping::clip_factor;
pub use training::dropout::Dropout;
pub use training::objective::{Objective, Targets};
pub use training::run::{Epoch, Trained, Training, Watch, solve};
pub use training::trainer::{Pass, Session, Trainer};
