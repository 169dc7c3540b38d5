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
    /// The trial's number.
    pub trial: usize,
    /// Its metrics on val and, where there is a test split, on test.
    pub metrics: Map<String, Value>,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepOutcome {
    /// The directory that it left.
    pub folder: PathBuf,
    /// All trials, the best first.
    pub leaderboard: Vec<TrialResult>,
    /// What they were compared by, `val.acc1`.
    pub metric: String,
    /// Metrics of the best trial on test, where there is a test split.
    pub test: Option<Metrics>,
    /// Of several repeats of the best trial the mean on test, with the deviation as `test.acc1.std` beside `test.acc1`.
    pub test_of_repeats: Map<String, Value>,
    /// Where `report_best_by` names a parameter: the best trial of each of its values.
    pub best_by: Vec<BestOf>,
    /// Trials that an earlier run had finished.
    pub reused: usize,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Wall time of this run.
    pub seconds: f64,
}
