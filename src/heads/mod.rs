//! Classifier heads on cached features: what they are ([`Params`], [`HeadSpec`]), how they are trained ([`Trainer`]), judged ([`Metrics`])
//! and used ([`Head`]). Knows features and labels as matrices; nothing of images or backbones.
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
//! | `random` | all that is random about a trial |

mod candle;
mod evaluation;
mod features;
mod fitted;
mod fused;
mod random;
mod saved;
mod select;
mod settings;
mod solvers;
mod training;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use saved::model::tests as tests_of_model;

pub use candle::CandleTrainer;
pub use evaluation::calibration::{Answers, Calibration, calibrate, rescale};
pub use evaluation::metrics::{ClassCount, METRICS, Metrics, confusion, counts, most_probable};
pub use features::augment::Augmented;
pub use features::groups::{Groups, few, folds};
pub(crate) use features::prefetch::{in_parts, is_large};
pub use features::table::{FeatureTable, Joined, Labels, Matrix, Partition, Pooled};
pub use features::transform::Transform;
pub use fitted::head::{BatchNorm, Head, Layer};
pub use fitted::pretrained::Classifier;
pub use fused::FusedTrainer;
pub use random::{Dropout, order, window_rows};
pub use saved::model::{BEST_FOLDER, HEAD_FILE, InputFeatures, MODEL_FILE, MODEL_FORMAT, Model, Predictor, check_head_file};
pub use select::trainer;
pub use settings::choices::{Activation, ClassWeights, HeadKind, Init, Loss, LrScale, OptimizerKind, Preset, Schedule};
pub(crate) use settings::keys::whole_number;
pub use settings::keys::{KEYS, Key, Kind, did_you_mean, plain};
pub use settings::optimizer::{LearningRate, Optimizer, clip_factor};
pub use settings::params::{Fit, HeadSpec, Params};
pub use solvers::{Neighbours, Solver, fits};
pub use training::loss::{Objective, Targets};
pub use training::run::{Epoch, Pass, Session, Task, Trained, Trainer, Training, Watch, score, solve};
