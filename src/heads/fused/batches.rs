//! Batches of features on their way into first layers: packed once, read by every head that is
//! trained on them.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::layout::TILE;
use super::nonzero::NonzeroMask;
use super::pack::{Columns, Mode, pack};
use super::team::Shared;
use crate::heads::features::task::Task;
use crate::heads::fitted::batch_norm::BatchNorm;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::dropout::{Dropout, MASK_BLOCK};
use crate::simd::Isa;

/// Most parts in which threads share the packing of a batch.
const PARTS: usize = 8;
/// Tiles of a block of the dropout mask, by which features are cut into parts.
const GRAIN: usize = MASK_BLOCK / TILE;

/// Batches of an epoch, some at a time.
pub(super) struct PackedBatches<'a> {
    isa: Isa,
    task: Task<'a>,
    features: usize,
    dropout: Dropout,
    /// Batch `s` lies in slot `s` modulo their number.
    slots: Vec<Slot>,
    /// Running statistics of each block of [`MASK_BLOCK`] features and of the input of 1, where
    /// there is batch norm.
    norms: Vec<Mutex<BatchNorm>>,
}

/// A batch.
struct Slot {
    /// `[tile][batch][8]`, with an input of 1 behind the features.
    values: Shared,
    /// Its nonzero mask.
    nonzero: NonzeroMask,
}

impl<'a> PackedBatches<'a> {
    /// Room for `slots` batches for heads like this one.
    pub(super) fn new(isa: Isa, task: Task<'a>, spec: &HeadSpec, dropout: Dropout, slots: usize) -> PackedBatches<'a> {
        let features = spec.dims()[0];
        let batch = spec.params().batch_size.min(task.partition.train.len());
        let slot = || Slot { values: Shared::new(tiles(features) * TILE * batch), nonzero: NonzeroMask::new(tiles(features), batch) };
        let norm = |grain: Columns| Mutex::new(BatchNorm::new(grain.features.len()));
        let norms = if spec.has_batch_norm() { grains(0..tiles(features), features).map(norm).collect() } else { vec![] };
        PackedBatches { isa, task, features, dropout, slots: (0..slots).map(|_| slot()).collect(), norms }
    }

    /// Packs some columns, of whole grains, of batch `s` of an epoch.
    ///
    /// # Safety
    /// No other thread uses these columns of the batch, nor of the one whose slot it takes.
    pub(super) unsafe fn pack(&self, columns: &Columns, (epoch, s): (usize, usize), rows: &[usize], scratch: &mut Vec<f32>) {
        let table = self.task.features;
        let place = |columns: &Columns, norm: Option<&mut BatchNorm>, scratch: &mut Vec<f32>| {
            let Slot { values: batch, nonzero } = self.slot(s);
            // SAFETY: the caller promises that no other thread uses these columns of the batch or
            // of its slot.
            let out = unsafe { batch.part(values(columns, rows.len())) };
            pack(self.isa, table, rows, columns, Mode::Train(epoch, self.dropout, norm, nonzero), scratch, out);
        };
        if !self.has_norm() {
            return place(columns, None, scratch);
        }
        for grain in grains(columns.tiles.clone(), self.features) {
            place(&grain, Some(&mut self.norm_of(grain.tiles.start / GRAIN)), scratch);
        }
    }

    /// Packs batches `which` of an epoch, on all threads.
    pub(super) fn pack_all(&mut self, epoch: usize, batches: &[&[usize]], which: Range<usize>) {
        let grains = tiles(self.features).div_ceil(GRAIN);
        let parts = grains.min(PARTS);
        let packed = &*self;
        (0..parts).into_par_iter().for_each_init(Vec::new, |scratch, part| {
            let cut = |part: usize| (grains * part / parts * GRAIN).min(tiles(packed.features));
            let columns = Columns::new(cut(part)..cut(part + 1), packed.features);
            for s in which.clone() {
                // SAFETY: parts do not share columns, and `self` is borrowed exclusively: no other
                // thread uses the batches.
                unsafe { packed.pack(&columns, (epoch, s), batches[s], scratch) };
            }
        });
    }

    /// Some columns of batch `s`, which has `rows` rows: `[tile][rows][8]`.
    ///
    /// # Safety
    /// They were packed, and nobody writes there meanwhile.
    pub(super) unsafe fn batch(&self, s: usize, rows: usize, columns: &Columns) -> &[f32] {
        // SAFETY: the caller promises that the columns were packed and that no thread writes to
        // them meanwhile.
        unsafe { self.slot(s).values.read(values(columns, rows)) }
    }

    /// The nonzero mask of batch `s`.
    pub(super) fn nonzero(&self, s: usize) -> &NonzeroMask {
        &self.slot(s).nonzero
    }

    fn slot(&self, s: usize) -> &Slot {
        &self.slots[s % self.slots.len()]
    }

    /// Whether there is batch norm.
    pub(super) fn has_norm(&self) -> bool {
        !self.norms.is_empty()
    }

    /// Running statistics of all features.
    pub(super) fn norm(&self) -> Option<BatchNorm> {
        let mut all = BatchNorm::new(0);
        for grain in 0..self.norms.len() {
            let norm = self.norm_of(grain);
            all.mean.extend_from_slice(&norm.mean);
            all.variance.extend_from_slice(&norm.variance);
        }
        self.has_norm().then_some(all)
    }

    fn norm_of(&self, grain: usize) -> MutexGuard<'_, BatchNorm> {
        self.norms[grain].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tiles of a first layer's inputs.
fn tiles(features: usize) -> usize {
    (features + 1).div_ceil(TILE)
}

/// Where columns lie in a batch of this number of rows.
fn values(columns: &Columns, rows: usize) -> Range<usize> {
    columns.tiles.start * TILE * rows..columns.tiles.end * TILE * rows
}

/// The blocks of the dropout mask in some tiles.
fn grains(tiles: Range<usize>, features: usize) -> impl Iterator<Item = Columns> {
    tiles.clone().step_by(GRAIN).map(move |first| Columns::new(first..(first + GRAIN).min(tiles.end), features))
}
