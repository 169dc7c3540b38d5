//! Settings that do not go together: left out with a note where they are of use elsewhere in the sweep, refused with their line where nowhere.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::plan::Trial;
use crate::heads::OptimizerKind;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::settings::space::{Axis, Domain};
use crate::{Error, Result};

/// Settings that make no trial, and why.
pub(crate) type Misfit = (Map<String, Value>, Error);

/// Notes on what was left out.
///
/// # Errors
/// A setting that fits nothing in the sweep, and a sweep without a trial.
pub(crate) fn judge(config: &SweepConfig, misfits: Vec<Misfit>, trials: &VecDeque<Trial>) -> Result<Vec<String>> {
    let mut notes = vec![];
    for (settings, error) in misfits {
        let Error::Setting { key, problem, .. } = &error else { return Err(error) };
        // What is blamed on no other parameter is a head that does not fit its features.
        let culprit = key.unwrap_or("head");
        let (axis, value) = (config.axis(culprit), settings.get(culprit));
        let is_of_use = |trial: &Trial| match axis.map(|a| &a.domain) {
            Some(Domain::Range(_)) => trial.settings.contains_key(culprit),
            _ => trial.settings.get(culprit) == value,
        };
        if !trials.iter().any(is_of_use) {
            return Err(config.origin.at(axis.map_or(0, |axis| line(axis, value)))(error));
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
        Domain::Values(values) => values.iter().find(|(_, v)| Some(v) == value).map_or(axis.line, |(line, _)| *line),
        Domain::Range(_) => axis.line,
    }
}

/// Settings that are ignored by each trial, though whoever wrote them cannot have meant that.
///
/// # Errors
/// `mixup` in a sweep none of whose heads sees batches, `nesterov` in one whose SGD has no momentum.
pub(crate) fn refuse_what_never_counts(config: &SweepConfig, trials: &VecDeque<Trial>) -> Result<()> {
    let values = |key: &str| match config.axis(key).map(|a| &a.domain) {
        Some(Domain::Values(values)) => values.iter().map(|(_, v)| v.clone()).collect(),
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

/// `report_best_by` with a parameter that has no few values of its own: each trial would be judged on test, or none.
///
/// # Errors
/// A parameter that is not swept, or drawn from a distribution.
pub(crate) fn refuse_report_by(config: &SweepConfig, axes: &[(String, Domain)]) -> Result<()> {
    let Some((line, key)) = &config.report_best_by else { return Ok(()) };
    let reason = match axes.iter().find(|(name, _)| name == key).map(|(_, domain)| domain) {
        Some(Domain::Values(_)) => return Ok(()),
        Some(Domain::Range(_)) => "each trial draws a value of its own, and all would be judged on test",
        None => "this sweep has no values of it",
    };
    let swept = axes.iter().filter(|(name, domain)| name != "seed" && matches!(domain, Domain::Values(values) if values.len() > 1));
    let names: Vec<&str> = swept.map(|(name, _)| name.as_str()).collect();
    let hint = if names.is_empty() { "give a parameter several `values`".into() } else { format!("use one of: {}", names.join(", ")) };
    Err(config.origin.mistake(*line, format!("`report_best_by: {key}`: {reason}"), hint))
}
