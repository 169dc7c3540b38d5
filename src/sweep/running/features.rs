//! Features as trials need them (joined, pooled, transformed), each made once and shared.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Result;
use crate::heads::{Augmented, FeatureTable, Joined, Matrix, Params, Partition, Pooled, Transform};
use crate::sweep::search::trial::{Input, Trial};
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::Rows;

/// Everything by which prepared features differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Recipe {
    inputs: Vec<Input>,
    pooled: bool,
    l2: bool,
    /// The rows that standardised features are fitted on.
    standardised_by: Option<Rows>,
}

impl Recipe {
    /// The recipe of a trial's features for training on some rows.
    pub(super) fn of(trial: &Trial, rows: Rows) -> Recipe {
        let params = trial.spec.params();
        Recipe {
            inputs: trial.inputs.clone(),
            pooled: trial.spec.pools(),
            l2: params.l2,
            standardised_by: params.standardise.then_some(rows),
        }
    }
}

/// Features and the transform that they went through.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) table: Arc<dyn FeatureTable>,
    pub(super) transform: Transform,
}

/// Features that are made once, by the first trial that asks; others wait for them.
type Slot = Arc<Mutex<Option<Prepared>>>;

/// Largest memory, in bytes, for all prepared features of a sweep that are kept; others are made
/// anew as they are read.
const KEPT_BYTES: usize = 1 << 30;

/// The features of all trials.
pub(super) struct Features {
    /// By recipe and view.
    made: Mutex<HashMap<(Recipe, usize), Slot>>,
    /// Number of bytes that are left of [`KEPT_BYTES`].
    room: AtomicUsize,
}

impl Default for Features {
    fn default() -> Features {
        Features { made: Mutex::default(), room: AtomicUsize::new(KEPT_BYTES) }
    }
}

impl Features {
    /// The features of a trial, standardised by the training rows of `partition`, which is that of
    /// `rows`.
    pub(super) fn of(&self, trial: &Trial, rows: Rows, partition: &Partition, sources: &[Source]) -> Result<Prepared> {
        self.view(trial, rows, 0, sources, |table| Transform::fit(trial.spec.params(), table, &partition.train))
    }

    /// The features that a trial is trained on: those of [`Features::of`], with the views and
    /// shifts of its settings.
    pub(super) fn for_training(
        &self,
        trial: &Trial,
        rows: Rows,
        seed: u64,
        prepared: &Prepared,
        train: &[usize],
        sources: &[Source],
    ) -> Result<Arc<dyn FeatureTable>> {
        let params = Params { seed, ..trial.spec.params().clone() };
        if params.head.is_solved() {
            return Ok(prepared.table.clone());
        }
        let more = (1..params.views).map(|view| Ok(self.view(trial, rows, view, sources, |_| prepared.transform.clone())?.table));
        let views = std::iter::once(Ok(prepared.table.clone())).chain(more).collect::<Result<Vec<_>>>()?;
        Ok(Augmented::table(&params, views, train).unwrap_or_else(|| prepared.table.clone()))
    }

    /// One view, with the transform that `transform` fits if this call is the first to ask for it.
    fn view(
        &self,
        trial: &Trial,
        rows: Rows,
        view: usize,
        sources: &[Source],
        transform: impl FnOnce(&dyn FeatureTable) -> Transform,
    ) -> Result<Prepared> {
        let which = (Recipe::of(trial, rows), view);
        let cell = self.made.lock().unwrap_or_else(PoisonError::into_inner).entry(which).or_default().clone();
        let mut made = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        let table = self.raw(trial, sources, view)?;
        let transform = transform(&*table);
        let table = if transform.is_identity() { table } else { self.kept(transform.table(table)) };
        Ok(made.insert(Prepared { table, transform }).clone())
    }

    /// Features of one view, joined and pooled.
    fn raw(&self, trial: &Trial, sources: &[Source], view: usize) -> Result<Arc<dyn FeatureTable>> {
        let tap = |input: &Input| &sources[input.source].taps[input.tap];
        let features = |input| {
            let tap = tap(input);
            let table = if view == 0 { &tap.features } else { &tap.views[view - 1] };
            table.check().map(|()| table.clone())
        };
        let table = match trial.inputs.as_slice() {
            [one] => features(one)?,
            several => Arc::new(Joined::new(several.iter().map(features).collect::<Result<_>>()?)?),
        };
        if trial.spec.pools() { Ok(self.kept(Arc::new(Pooled::new(table, &tap(&trial.inputs[0]).shape)?))) } else { Ok(table) }
    }

    /// A table as a matrix in memory, if there is room, so that it is computed once. Its numbers
    /// are the same either way.
    fn kept(&self, table: Arc<dyn FeatureTable>) -> Arc<dyn FeatureTable> {
        let bytes = table.rows().saturating_mul(table.dim()).saturating_mul(4);
        let fits = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes)).is_ok();
        if fits { Arc::new(Matrix::of(&*table)) } else { table }
    }
}
