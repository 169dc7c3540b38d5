//! Settings that do not go together: left out with a note where another trial of the sweep can use
//! them, refused with their line where none can.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::trial::Trial;
use crate::heads::OptimizerKind;
use crate::sweep::settings::axis::Axis;
use crate::sweep::settings::config::{ReportBestBy, SweepConfig};
use crate::sweep::settings::domain::Domain;
use crate::{Error, Result};

/// Settings that make no trial.
pub(super) struct Conflict {
    pub settings: Map<String, Value>,
    pub reason: Error,
}

/// Notes on the settings that are left out.
///
/// # Errors
/// A setting that no trial of the sweep can use, and a sweep without a trial.
pub(super) fn judge(config: &SweepConfig, conflicts: Vec<Conflict>, trials: &VecDeque<Trial>) -> Result<Vec<String>> {
    let mut notes = vec![];
    for Conflict { settings, reason } in conflicts {
        let Error::Setting { key, problem, .. } = &reason else { return Err(reason) };
        // An error that names no parameter is about a head that does not fit its features.
        let culprit = key.unwrap_or("head");
        let (axis, value) = (config.axis(culprit), settings.get(culprit));
        let is_of_use = |trial: &Trial| match axis.map(|a| &a.domain) {
            Some(Domain::Range(_)) => trial.settings.contains_key(culprit),
            _ => trial.settings.get(culprit) == value,
        };
        if !trials.iter().any(is_of_use) {
            return Err(config.origin.at(axis.map_or(0, |axis| line(axis, value)))(reason));
        }
        let note = format!("left out: {problem}");
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if trials.is_empty() {
        return Err(Error::setting("the sweep has no trial", "give `parameters` some values"));
    }
    Ok(notes)
}

/// The line of one value of an axis.
fn line(axis: &Axis, value: Option<&Value>) -> usize {
    match &axis.domain {
        Domain::Values(values) => values.iter().find(|choice| Some(&choice.value) == value).map_or(axis.line, |choice| choice.line),
        Domain::Range(_) => axis.line,
    }
}

/// Refuses settings that every trial ignores: they cannot have been meant so.
///
/// # Errors
/// `mixup` in a sweep without a head that is trained by batches, `nesterov` in one whose SGD has no
/// momentum.
pub(super) fn refuse_without_effect(config: &SweepConfig, trials: &VecDeque<Trial>) -> Result<()> {
    let values = |key: &str| match config.axis(key).map(|a| &a.domain) {
        Some(Domain::Values(values)) => values.iter().map(|choice| choice.value.clone()).collect(),
        Some(Domain::Range(range)) => vec![range.at(0.0), range.at(1.0 - f64::EPSILON)],
        None => vec![],
    };
    let refuse = |key: &str, problem: &str, hint: &str| Err(config.origin.mistake(config.line(key), problem, hint));
    if config.axis("mixup").is_some() && !config.trains() {
        let problem = "`mixup` mixes the rows of training batches, and no head of this sweep is trained by batches";
        return refuse("mixup", problem, "leave it out, or add a head that is trained: linear, dense");
    }
    let is_sgd = |trial: &Trial| trial.spec.params().optimizer == OptimizerKind::Sgd && !trial.spec.params().head.is_solved();
    let has_momentum = values("momentum").iter().any(|m| m.as_f64() > Some(0.0));
    if values("nesterov").contains(&true.into()) && !has_momentum && trials.iter().any(is_sgd) {
        return refuse("nesterov", "`nesterov` needs a momentum above 0", "add `momentum: {value: 0.9}`, or leave it out");
    }
    Ok(())
}

/// Refuses `report_best_by` for a parameter that does not have a few listed values: every trial
/// would be judged on test, or none.
///
/// # Errors
/// A parameter that is not swept, or drawn from a distribution.
pub(super) fn refuse_report_by(config: &SweepConfig, axes: &[Axis]) -> Result<()> {
    let Some(ReportBestBy { line, parameter: key }) = &config.report_best_by else { return Ok(()) };
    let reason = match axes.iter().find(|axis| axis.key == *key).map(|axis| &axis.domain) {
        Some(Domain::Values(_)) => return Ok(()),
        Some(Domain::Range(_)) => "each trial draws a value of its own, and all would be judged on test",
        None => "this sweep has no values of it",
    };
    let has_several = |axis: &&Axis| matches!(&axis.domain, Domain::Values(values) if values.len() > 1);
    let swept = axes.iter().filter(|axis| axis.key != "seed").filter(has_several);
    let names: Vec<&str> = swept.map(|axis| axis.key.as_str()).collect();
    let hint = if names.is_empty() { "give a parameter several `values`".into() } else { format!("use one of: {}", names.join(", ")) };
    Err(config.origin.mistake(*line, format!("`report_best_by: {key}`: {reason}"), hint))
}
