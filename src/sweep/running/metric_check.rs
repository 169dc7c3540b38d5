//! Trials without the metric that the sweep compares by: an area under the curve needs a class that
//! some validation rows have and others do not.

use crate::heads::{Labels, METRICS};
use crate::sweep::results::record::Status;
use crate::sweep::results::result::TrialResult;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, partition};
use crate::{Error, Result};

/// Refuses a metric that no trial can have, before any is trained.
///
/// # Errors
/// `auc` where no val has both rows of some class and others.
pub(crate) fn refuse_early(config: &SweepConfig, sources: &[Source]) -> Result<()> {
    let protocol = config.protocol();
    let has_area = |source: &Source| {
        // Rows that cannot be split are refused elsewhere.
        let parts = (0..protocol.runs()).map_while(|run| partition(source, protocol, Rows::Run { run, shots: None }).ok());
        parts.into_iter().all(|rows| has_area(&source.labels, source.classes.len(), &rows.val))
    };
    if config.metric.name != "auc" || sources.iter().any(has_area) {
        return Ok(());
    }
    let others: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| *name != "auc").collect();
    Err(refused("auc", "no class has both rows and others in each val", &others))
}

fn has_area(labels: &Labels, classes: usize, rows: &[usize]) -> bool {
    let mut counts = vec![0; classes];
    rows.iter().flat_map(|&row| labels.of(row)).for_each(|&class| counts[class as usize] += 1);
    counts.iter().any(|&n| n > 0 && n < rows.len())
}

/// A note on the trials without the metric, which come last.
///
/// # Errors
/// No trial has it: the best one would be chosen by something else. (Nothing is known of trials
/// that diverged; another note says so.)
pub(crate) fn judge(config: &SweepConfig, results: &[TrialResult]) -> Result<Option<String>> {
    let name = format!("val.{}", config.metric.name);
    let usable: Vec<&TrialResult> = results.iter().filter(|r| r.status != Status::Diverged).collect();
    let without = usable.iter().filter(|r| r.metric(&name).is_none()).count();
    if without == 0 {
        return Ok(None);
    }
    if without < usable.len() {
        return Ok(Some(format!("{without} of {} trials have no `{name}` and come last", results.len())));
    }
    let has = |metric: &str| usable.iter().any(|r| r.metric(&format!("val.{metric}")).is_some());
    let others: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| has(name)).collect();
    Err(refused(config.metric.name, "nothing can be chosen by it", &others))
}

fn refused(metric: &str, why: &str, others: &[&str]) -> Error {
    Error::setting(format!("no trial has `val.{metric}`: {why}"), format!("choose by one of: {}", others.join(", ")))
}
