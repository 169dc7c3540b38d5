//! Sweeps: many heads on cached features, and the directory that they leave.

mod cohort;
mod conclude;
mod config;
mod domain;
mod features;
mod fields;
mod folder;
mod halving;
mod measure;
mod misfits;
mod names;
mod notes;
mod output;
mod plan;
mod record;
mod result;
mod run;
mod single;
mod source;
mod space;
mod splits;
mod tpe;
mod unusable;
mod yaml;

#[cfg(test)]
mod tests;

pub use config::{DEFAULT, EarlyTerminate, Method, Metric, Protocol, SweepConfig};
pub use output::NOTES_FILE;
pub use plan::{Inputs, Search, Trial};
pub use record::{EpochRecord, FinalRecord, Past, Record, Status, flat, read_trials};
pub use result::TrialResult;
pub use run::{BestOf, Job, Observer, SweepOutcome, run};
pub use single::Single;
pub use source::{HELD_OUT, Source, TapFeatures, open_all};
pub use space::{Axis, Domain, INPUTS, Range};
pub use yaml::{Entry, Node, Origin, Yaml};
