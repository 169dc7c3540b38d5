//! Heads: classifiers on cached features. A head is specified ([`Params`], [`HeadSpec`]), trained
//! ([`Trainer`]) or solved for ([`Solver`]), judged ([`Metrics`]) and applied ([`Head`]). Features
//! and labels are matrices here; images and backbones are unknown.
//!
//! | place | what for |
//! |---|---|
//! | `settings/` | the specification of a head: settings, their table, their check |
//! | `features/` | the input of heads: feature tables, labels, partitions, transforms |
//! | `fitted/` | fitted heads: layers or neighbours, applied to rows |
//! | `evaluation/` | metrics, calibration |
//! | `training/` | losses, epochs, early stopping, heads in lockstep |
//! | `fused/`, `candle/` | the trainers: on a CPU, and on any device of candle's |
//! | `solvers/` | heads without a learning rate |
//! | `saved/` | the files of a head |
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

#[allow(unreachable_pub, reason = "re-exported further up")]
pub use candle::CandleTrainer;
pub(crate) use evaluation::calibration::{Answers, Calibration, calibrate, rescale};
pub(crate) use evaluation::metric::{METRICS, Metric};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use evaluation::metrics::Metrics;
pub(crate) use evaluation::metrics::{ClassCount, confusion, counts, most_probable};
pub(crate) use features::augment::Augmented;
pub(crate) use features::combined::{Joined, Pooled};
pub(crate) use features::groups::{GroupCount, Groups, few_shot, folds};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use features::labels::Labels;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use features::matrix::Matrix;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use features::partition::Partition;
pub(crate) use features::prefetch::{in_parts, is_large};
pub(crate) use features::table::FeatureTable;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use features::task::Task;
pub(crate) use features::transform::Transform;
pub(crate) use fitted::batch_norm::BatchNorm;
#[cfg(test)]
pub(crate) use fitted::head::FittedHead;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use fitted::head::Head;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use fitted::layer::Layer;
#[cfg(test)]
pub(crate) use fitted::neighbours::Neighbours;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use fitted::pretrained::PretrainedLayers;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use fused::FusedTrainer;
pub(crate) use saved::folder::check_head_file;
pub(crate) use saved::model::{BEST_FOLDER, HEAD_FILE, InputFeatures, MODEL_FILE, MODEL_FORMAT, Model};
pub(crate) use saved::predictor::HeadFiles;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use saved::predictor::Predictor;
pub(crate) use select::trainer;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use settings::choices::HeadKind;
pub(crate) use settings::choices::{Activation, Loss, OptimizerKind};
#[cfg(test)]
pub(crate) use settings::choices::{ClassWeights, Init, Schedule};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use settings::keys::KEYS;
pub(crate) use settings::keys::whole_number;
pub(crate) use settings::keys::{Kind, SettingSpec, did_you_mean, plain};
pub(crate) use settings::learning_rate::LearningRate;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use settings::params::Params;
pub(crate) use settings::spec::HeadSpec;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use settings::spec::{Fit, HiddenLayers};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use solvers::Solver;
pub(crate) use solvers::fits;
#[cfg(test)]
pub(crate) use training::objective::Objective;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use training::run::Epoch;
pub(crate) use training::run::{Trained, Training, Watch, solve};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use training::trainer::{Session, Trainer};
