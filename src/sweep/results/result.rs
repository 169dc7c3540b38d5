//! The result of a trial, summed up over its runs.

use std::borrow::Borrow;

use serde_json::{Map, Value};

use super::record::{EpochRecord, FinalRecord, Status, rounded};
use crate::sweep::settings::metric::{Metric, Rank};

/// The result of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialResult {
    /// Its number in the sweep.
    pub number: usize,
    /// Its settings, without those that its head does not use.
    pub settings: Map<String, Value>,
    /// How it ended.
    pub status: Status,
    /// Number of the epoch whose weights are kept; of several runs, the mean.
    pub epochs: usize,
    /// Seconds that its training took.
    pub seconds: f64,
    /// `val.acc1` and so on; of several runs the mean, with `val.acc1.std` beside it.
    pub metrics: Map<String, Value>,
    /// Its epochs.
    pub history: Vec<EpochRecord>,
}

impl TrialResult {
    pub(crate) fn new(history: Vec<EpochRecord>, end: FinalRecord) -> TrialResult {
        let FinalRecord { trial, settings, status, epochs, seconds, metrics, .. } = end;
        TrialResult { number: trial, settings, status, epochs, seconds, metrics, history }
    }

    /// One metric, `val.acc1`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).and_then(Value::as_f64)
    }

    /// The rank by which trials are sorted; a trial that diverged comes last.
    pub(crate) fn rank(&self, metric: &Metric) -> Rank {
        if self.status == Status::Diverged { Rank::DIVERGED } else { metric.rank(&self.metrics) }
    }

    /// Number of epochs that its training took; of several runs, the largest.
    pub(crate) fn trained(&self) -> usize {
        self.history.iter().map(|e| e.epoch).max().unwrap_or(1)
    }
}

/// Sorts trials, the best first; of equal ones, in the order of their numbers.
pub(crate) fn sort_best_first(results: &mut [impl Borrow<TrialResult>], metric: &Metric) {
    results.sort_by(|a, b| {
        let (a, b) = (a.borrow(), b.borrow());
        b.rank(metric).total_cmp(&a.rank(metric)).then(a.number.cmp(&b.number))
    });
}

/// The epochs of each run, run by run.
fn runs(history: &[EpochRecord]) -> Vec<Vec<&EpochRecord>> {
    let runs = history.iter().map(|e| e.run + 1).max().unwrap_or(0);
    (0..runs).map(|run| history.iter().filter(|e| e.run == run).collect()).collect()
}

/// How well a trial did after `epoch` epochs; runs that were over by then count as they ended. An
/// epoch that diverged has no metrics, and with one of its runs the trial has none: the lowest
/// rank.
pub(crate) fn rank_at(history: &[EpochRecord], epoch: usize, metric: &Metric) -> Rank {
    let last: Vec<usize> = runs(history).iter().map(|run| run.iter().map(|e| e.epoch).filter(|&e| e <= epoch).max().unwrap_or(0)).collect();
    metric.rank(&summary(history, &last).metrics)
}

/// Number of the epoch that counts in each run: with `patience` the best, else the last.
pub(crate) fn kept_epochs(history: &[EpochRecord], patience: usize, metric: &Metric) -> Vec<usize> {
    let kept = |run: &Vec<&EpochRecord>| {
        let score = |e: &EpochRecord| metric.rank(&e.metrics).score;
        let better = |best: &&EpochRecord, e: &&EpochRecord| patience == 0 || score(e) > score(best);
        let best = run.iter().copied().reduce(|best, e| if better(&best, &e) { e } else { best });
        best.map_or(0, |e| e.epoch)
    };
    runs(history).iter().map(kept).collect()
}

/// The epochs that count of a trial's runs, summed up.
pub(crate) struct Summary {
    /// Their mean number.
    pub(crate) epochs: usize,
    /// Their mean metrics, of several runs with the standard deviations.
    pub(crate) metrics: Map<String, Value>,
}

/// Sums up the epochs that count, one a run.
pub(crate) fn summary(history: &[EpochRecord], kept: &[usize]) -> Summary {
    let runs = runs(history);
    let records: Vec<&EpochRecord> =
        runs.iter().zip(kept).filter_map(|(run, epoch)| run.iter().find(|e| e.epoch == *epoch).copied()).collect();
    let n = records.len().max(1) as f64;
    let epochs = (kept.iter().sum::<usize>() as f64 / n).round() as usize;
    if records.len() < 2 {
        return Summary { epochs, metrics: records.first().map(|r| r.metrics.clone()).unwrap_or_default() };
    }
    let all: Vec<&Map<String, Value>> = records.iter().map(|r| &r.metrics).collect();
    Summary { epochs, metrics: spread(&all) }
}

/// Mean and standard deviation (of a sample, over n − 1) of each metric; null where one value is
/// missing.
pub(crate) fn spread(all: &[&Map<String, Value>]) -> Map<String, Value> {
    let n = all.len() as f64;
    let mut metrics = Map::new();
    for name in all.iter().take(1).flat_map(|first| first.keys()) {
        let values: Vec<f64> = all.iter().filter_map(|metrics| metrics.get(name).and_then(Value::as_f64)).collect();
        if values.len() < all.len() {
            metrics.insert(name.clone(), Value::Null);
            continue;
        }
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        metrics.insert(name.clone(), rounded(mean).into());
        metrics.insert(format!("{name}.std"), rounded(variance.sqrt()).into());
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(run: usize, epoch: usize, acc1: f64) -> EpochRecord {
        let metrics = Map::from_iter([("val.acc1".to_owned(), Value::from(acc1)), ("val.loss".to_owned(), Value::from(1.0))]);
        EpochRecord { trial: 0, id: String::new(), run, epoch, lr: 0.1, train_loss: None, seconds: 0.0, metrics }
    }

    #[test]
    fn runs_are_summed_up_as_mean_and_deviation() {
        let metric = Metric { name: "acc1", more: true };
        let history = [epoch(0, 1, 0.5), epoch(0, 2, 0.7), epoch(0, 3, 0.6), epoch(1, 1, 0.9), epoch(1, 2, 0.8)];
        assert_eq!(kept_epochs(&history, 5, &metric), [2, 1]);
        assert_eq!(kept_epochs(&history, 0, &metric), [3, 2]);
        let Summary { epochs, metrics } = summary(&history, &[2, 1]);
        assert_eq!((epochs, metrics["val.acc1"].as_f64()), (2, Some(0.8)));
        assert!((metrics["val.acc1.std"].as_f64().unwrap() - 0.02f64.sqrt()).abs() < 1e-9);
        // The second run was over after two epochs.
        assert!((rank_at(&history, 3, &metric).score - 0.7).abs() < 1e-9);
        assert_eq!(summary(&history[..3], &[3]).metrics.len(), 2);
    }

    #[test]
    fn a_run_that_diverged_ranks_its_trial_last() {
        for metric in [Metric { name: "acc1", more: true }, Metric { name: "loss", more: false }] {
            let mut diverged = epoch(1, 2, 1.0);
            diverged.metrics.values_mut().for_each(|value| *value = Value::Null);
            let history = [epoch(0, 1, 0.9), epoch(0, 2, 0.9), epoch(1, 1, 0.9), diverged];
            assert_eq!(rank_at(&history, 2, &metric), Rank::DIVERGED);
            assert!(rank_at(&history, 1, &metric).total_cmp(&Rank::DIVERGED).is_gt());
            let worst = Rank { score: f64::NEG_INFINITY, loss: 1e9 };
            assert!(worst.total_cmp(&Rank::DIVERGED).is_gt(), "also where the metric is not defined");
        }
    }
}
