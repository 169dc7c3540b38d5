//! The words that a sweep file may contain: keys of its top level and names of parameters.

use crate::heads::{KEYS, Kind, SettingSpec};

/// Keys of the top level.
pub(super) const TOP_LEVEL: &[&str] = &[
    "method",
    "metric",
    "parameters",
    "run_cap",
    "time_cap",
    "time_budget",
    "seed",
    "folds",
    "repeats",
    "refit",
    "early_terminate",
    "report_best_by",
    "name",
    "description",
    "program",
    "project",
];

/// Keys of the top level that `KEY=VALUE` can set too. (`seed` is a parameter there.)
pub(super) const SETTABLE: &[&str] =
    &["method", "metric", "run_cap", "time_cap", "time_budget", "folds", "repeats", "refit", "early_terminate", "report_best_by"];

/// Parameters that choose the training data of a head rather than its training.
pub(crate) const INPUTS: &[&str] = &["cache", "tap", "shots"];

/// Names of all parameters.
pub(super) fn parameters() -> impl Iterator<Item = &'static str> + Clone {
    INPUTS.iter().copied().chain(KEYS.iter().map(|key| key.name))
}

/// Settings of a head and of its training that a sweep may vary: the name of each, and its meaning in one line.
///
/// ```
/// let (_, meaning) = headstart::sweep::head_settings().find(|(name, _)| *name == "dropout").unwrap();
/// assert!(!meaning.is_empty());
/// ```
pub fn head_settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().map(|key| (key.name, key.about))
}

/// Whether a parameter takes whole numbers only.
pub(super) fn is_whole(key: &str) -> bool {
    key == "shots" || SettingSpec::find(key).is_ok_and(|key| matches!(key.kind, Kind::Count(_) | Kind::Counts))
}
