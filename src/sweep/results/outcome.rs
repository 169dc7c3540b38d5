//! The outcome of a sweep.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::result::TrialResult;
use crate::heads::Metrics;

/// The best trial of one value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct BestOf {
    /// The parameter's value.
    pub value: Value,
    /// Number of the trial.
    pub trial: usize,
    /// Its metrics on val and, where there is a test split, on test.
    pub metrics: Map<String, Value>,
}

/// The outcome of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepOutcome {
    /// The directory of its files.
    pub folder: PathBuf,
    /// All trials, the best first.
    pub leaderboard: Vec<TrialResult>,
    /// The metric that they were compared by: `val.acc1`.
    pub metric: String,
    /// Metrics of the best trial on test, where there is a test split.
    pub test: Option<Metrics>,
    /// Means on test over the repeats of the best trial, where there are several, with the
    /// deviation as `test.acc1.std` beside `test.acc1`.
    pub test_of_repeats: Map<String, Value>,
    /// The best trial of each value of the parameter that `report_best_by` names.
    pub best_by: Vec<BestOf>,
    /// Number of trials that an earlier run had finished.
    pub reused: usize,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Wall time of this run.
    pub seconds: f64,
}
