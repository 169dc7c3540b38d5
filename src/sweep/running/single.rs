//! One trial by itself, for callers that train it step by step.

use std::sync::Arc;

use super::features::Features;
use crate::heads::{FeatureTable, Partition, Task};
use crate::sweep::search::plan::Search;
use crate::sweep::search::trial::Trial;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, partition};
use crate::text::counted;
use crate::{Error, Result};

/// The only trial of a sweep, trained once on features as they are.
pub(crate) struct SingleTrial {
    /// The trial.
    pub trial: Trial,
    /// Rows of train, val and test, as in a sweep.
    pub partition: Partition,
    /// The cache that it is trained on.
    pub source: Source,
}

impl SingleTrial {
    /// The trial of a sweep that has just one.
    ///
    /// # Errors
    /// As [`Search::new`]; a sweep of several trials, one that trains a head several times, on
    /// augmented features or on few rows, and heads that are solved for.
    pub(crate) fn new(config: &SweepConfig, source: Source, trainer: &str) -> Result<SingleTrial> {
        let refuse = |problem: String, hint: &str| Err(Error::setting(problem, hint));
        let mut search = Search::new(config, std::slice::from_ref(&source), trainer)?;
        let total = search.total();
        let trial = match search.next(&[])?.pop() {
            Some(trial) if total == 1 => trial,
            _ => {
                return refuse(
                    format!("the settings make {}, and one head is wanted", counted(total, "trial", "trials")),
                    "give each setting one value: lr=1e-3",
                );
            }
        };
        let params = trial.spec.params();
        if config.protocol().runs() > 1 {
            return refuse("`folds` and `repeats` train a head several times".into(), "leave them out here");
        }
        if params.head.is_solved() {
            return refuse(format!("head `{}` is solved for and has no epochs", params.head), "use head `linear` or `dense`");
        }
        if params.views > 1 || params.brightness > 0.0 || params.mixup > 0.0 {
            return refuse("`views`, `brightness` and `mixup` change features from epoch to epoch".into(), "leave them out here");
        }
        if trial.shots.is_some() {
            return refuse("`shots` trains on few of the images".into(), "leave it out here");
        }
        let partition = partition(&source, config.protocol(), Rows::Run { run: 0, shots: None })?;
        Ok(SingleTrial { trial, partition, source })
    }

    /// Features as the head sees them (pooled, transformed), from values of its tap: those of the
    /// source, or others for the same rows.
    ///
    /// # Errors
    /// A table that does not fit the tap.
    pub(crate) fn prepare(&self, values: Arc<dyn FeatureTable>) -> Result<Arc<dyn FeatureTable>> {
        let mut source = self.source.clone();
        source.taps[self.trial.inputs[0].tap].features = values;
        let rows = Rows::Run { run: 0, shots: None };
        Ok(Features::default().of(&self.trial, rows, &self.partition, &[source])?.table)
    }

    /// The values of its tap.
    pub(crate) fn values(&self) -> Arc<dyn FeatureTable> {
        self.source.taps[self.trial.inputs[0].tap].features.clone()
    }

    /// The head's training task, on features that [`SingleTrial::prepare`] made.
    pub(crate) fn task<'a>(&'a self, features: &'a dyn FeatureTable) -> Task<'a> {
        Task { features, labels: &self.source.labels, partition: &self.partition }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::Split;
    use crate::heads::Matrix;
    use crate::sweep::{Input, TapFeatures};

    fn source() -> Source {
        let features = Arc::new(Matrix::new(2, (0..40).map(|v| v as f32).collect()).unwrap());
        let taps = vec![TapFeatures { name: "gap".into(), shape: vec![2], features, views: vec![] }];
        let paths = (0..20).map(|i| format!("{i}.png")).collect();
        Source::new(taps, vec!["a".into(), "b".into()], paths, (0..20).map(|i| vec![i % 2]).collect(), &[Split::Train; 20]).unwrap()
    }

    fn single(parameters: &str) -> Result<SingleTrial> {
        let config = SweepConfig::parse(&format!("method: grid\n{parameters}"), Path::new("one.yaml"))?;
        SingleTrial::new(&config, source(), "fused")
    }

    #[test]
    fn one_head_is_taken_and_anything_else_refused_with_the_way_out() {
        let one = single("parameters: {head: {value: dense}, lr: {value: 0.1}, standardise: {value: true}}").unwrap();
        assert_eq!((one.trial.inputs.as_slice(), one.partition.val.len()), (&[Input { source: 0, tap: 0 }][..], 4));
        let prepared = one.prepare(one.values()).unwrap();
        let mean: f32 = one.partition.train.iter().map(|&r| prepared.row(r).unwrap()[0]).sum();
        assert!(mean.abs() < 1e-3, "standardised by the training rows");
        for (parameters, said) in [
            ("parameters: {lr: {values: [0.1, 0.2]}}", "2 trials"),
            ("parameters: {lr: {value: 0.1}}\nfolds: 3", "folds"),
            ("parameters: {head: {value: ridge}}", "`ridge`"),
            ("parameters: {shots: {value: 2}}", "shots"),
            ("parameters: {brightness: {value: 0.1}}", "brightness"),
        ] {
            let error = single(parameters).err().unwrap().to_string();
            assert!(error.contains(said) && error.contains("help:"), "{error}");
        }
    }
}
