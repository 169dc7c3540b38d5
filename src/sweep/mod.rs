//! Sweeps: many heads on cached features, and the directory that they leave.

mod config;
mod output;
mod plan;
mod record;
mod run;
mod source;
mod space;
mod yaml;

pub use config::{DEFAULT, Method, Metric, SweepConfig};
pub use plan::{Inputs, Plan, Trial, plan};
pub use record::{EpochRecord, FinalRecord, Record, Status, flat};
pub use run::{Job, Observer, SweepOutcome, TrialResult, run};
pub use source::{HELD_OUT, Source, TapFeatures, open_all};
pub use space::{Axis, Domain, INPUTS, Range};
pub use yaml::{Entry, Node, Origin, Yaml};
