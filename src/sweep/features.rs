//! Features as trials need them (joined, pooled, transformed), each made once and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::{Inputs, Trial};
use super::source::Source;
use super::splits::Rows;
use crate::Result;
use crate::heads::{Augmented, FeatureTable, Joined, Matrix, Params, Partition, Pooled, Transform};

/// What distinguishes prepared features: inputs, pooled or not, L2, and for standardised ones the rows that they were fitted on.
pub(super) type Recipe = (Inputs, [bool; 2], Option<Rows>);
/// Features and the transform that they went through.
pub(super) type Made = (Arc<dyn FeatureTable>, Transform);

#[derive(Default)]
pub(super) struct Features {
    made: Mutex<HashMap<Recipe, Arc<Mutex<Option<Made>>>>>,
}

impl Features {
    /// What a trial needs for training on some rows.
    pub(super) fn recipe(trial: &Trial, rows: Rows) -> Recipe {
        let params = trial.spec.params();
        (trial.inputs.clone(), [trial.spec.pools(), params.l2], params.standardise.then_some(rows))
    }

    /// The features of a trial, standardised by the training rows of `partition`, which is that of `rows`.
    pub(super) fn of(&self, trial: &Trial, rows: Rows, partition: &Partition, sources: &[Source]) -> Result<Made> {
        let recipe = Features::recipe(trial, rows);
        let cell = self.made.lock().unwrap_or_else(PoisonError::into_inner).entry(recipe).or_default().clone();
        let mut made = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        let table = raw(trial, sources, 0)?;
        let transform = Transform::fit(trial.spec.params(), &*table, &partition.train);
        let new = (transform.table(table), transform);
        *made = Some(new.clone());
        Ok(new)
    }

    /// The features that a trial is trained on: those of [`Features::of`], with all views and shifts that its settings ask for.
    pub(super) fn for_training(
        &self,
        trial: &Trial,
        seed: u64,
        made: &Made,
        train: &[usize],
        sources: &[Source],
    ) -> Result<Arc<dyn FeatureTable>> {
        let params = Params { seed, ..trial.spec.params().clone() };
        if params.head.is_solved() {
            return Ok(made.0.clone());
        }
        let more = (1..params.views).map(|view| Ok(made.1.table(raw(trial, sources, view)?)));
        let views = std::iter::once(Ok(made.0.clone())).chain(more).collect::<Result<Vec<_>>>()?;
        Ok(Augmented::table(&params, views, train).unwrap_or_else(|| made.0.clone()))
    }
}

/// Features of one view, joined and pooled.
fn raw(trial: &Trial, sources: &[Source], view: usize) -> Result<Arc<dyn FeatureTable>> {
    let tap = |&(s, t): &(usize, usize)| &sources[s].taps[t];
    let features = |input| {
        let tap = tap(input);
        if view == 0 { tap.features.clone() } else { tap.views[view - 1].clone() }
    };
    let table = match trial.inputs.as_slice() {
        [one] => features(one),
        several => Arc::new(Joined::new(several.iter().map(features).collect())?),
    };
    if trial.spec.pools() { Ok(Arc::new(Matrix::of(&Pooled::new(table, &tap(&trial.inputs[0]).shape)?))) } else { Ok(table) }
}
