//! Heads: classifiers on cached features. A head is specified ([`Params`], [`HeadSpec`]), trained
//! ([`Trainer`]) or solved for ([`Solver`]), judged ([`Metrics`]) and applied ([`Head`]). Features
//! and labels are matrices here; images and backbones are unknown.
//!
//! ```
//! use headstart::heads::{Fit, HeadKind, Labels, Matrix, Params, Partition, Solver, Task};
//!
//! let features = Matrix::new(2, vec![0.0, 1.0, 0.2, 0.9, 1.0, 0.0, 0.8, 0.1])?;
//! let labels = Labels::One(vec![0, 0, 1, 1]);
//! let partition = Partition { train: vec![0, 1, 2, 3], ..Partition::default() };
//! let task = Task { features: &features, labels: &labels, partition: &partition };
//! let fit = Fit { tap: "gap", shape: &[2], classes: 2, many: false };
//! let spec = Params::of(HeadKind::Ridge).check(fit)?;
//! let head = Solver::default().solve(task, &spec)?;
//! let probabilities = head.classify(&features, &[0, 2]); // [rows, classes]
//! assert!(probabilities[0] > 0.5 && probabilities[3] > 0.5);
//! # Ok::<(), headstart::Error>(())
//! ```
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
