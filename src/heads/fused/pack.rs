//! Rows of features into the tiles that the kernels read: `[tile][batch][8]`, with dropout and
//! batch norm on the way, and a last input of 1 whose weight is the bias.

use std::ops::Range;

use super::layout::{BLOCK, TILE};
use super::mask::drop_block;
use super::nonzero::NonzeroMask;
use crate::heads::features::table::FeatureTable;
use crate::heads::fitted::batch_norm::BatchNorm;
use crate::heads::training::dropout::{Dropout, MASK_BLOCK};
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Some neighbouring inputs of a layer, in whole tiles; the first of them starts a block of the
/// dropout mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// The features among them.
    pub features: Range<usize>,
    /// The tiles.
    pub tiles: Range<usize>,
}

impl Columns {
    /// Of these tiles, in a layer of `features` inputs and a bias.
    pub(super) fn new(tiles: Range<usize>, features: usize) -> Columns {
        Columns { features: (tiles.start * TILE).min(features)..(tiles.end * TILE).min(features), tiles }
    }
}

/// The purpose that rows are packed for.
pub(super) enum Mode<'a> {
    /// Dropout of an epoch; batch norm of these columns by the batch's own statistics; nonzero
    /// values are marked.
    Train(usize, Dropout, Option<&'a mut BatchNorm>, &'a NonzeroMask),
    /// No dropout; batch norm by the running statistics of all columns.
    Judge(Option<&'a BatchNorm>),
}

/// Packs some columns of some rows; `scratch` is for the rows on their way.
pub(super) fn pack(
    isa: Isa,
    table: &dyn FeatureTable,
    rows: &[usize],
    columns: &Columns,
    mode: Mode<'_>,
    scratch: &mut Vec<f32>,
    out: &mut [f32],
) {
    let dim = columns.features.len();
    let mut place = |b: usize, trained: Option<Trained<'_>>, x: &[f32]| {
        Place { batch: rows.len(), b, columns, out }.run(isa, x, trained);
    };
    match mode {
        Mode::Train(epoch, dropout, Some(norm), nonzero) => {
            scratch.resize(rows.len() * dim, 0.0);
            for (&row, x) in rows.iter().zip(scratch.chunks_exact_mut(dim.max(1))) {
                table.read(row, columns.features.clone(), x);
            }
            norm.train(scratch);
            let trained = |row| Some(Trained { epoch, row, dropout, nonzero });
            rows.iter().enumerate().for_each(|(b, &row)| place(b, trained(row), &scratch[b * dim..][..dim]));
        }
        Mode::Train(epoch, dropout, None, nonzero) => {
            let each = |b, row, x: &[f32]| place(b, Some(Trained { epoch, row, dropout, nonzero }), x);
            each_row(isa, table, rows, columns, scratch, each);
        }
        Mode::Judge(None) => each_row(isa, table, rows, columns, scratch, |b, _, x| place(b, None, x)),
        Mode::Judge(Some(norm)) => {
            scratch.resize(dim, 0.0);
            for (b, &row) in rows.iter().enumerate() {
                table.read(row, columns.features.clone(), scratch);
                norm.apply(columns.features.start, scratch);
                place(b, None, scratch);
            }
        }
    }
}

/// Rows in place in the table, or else read into `scratch`.
fn each_row(
    isa: Isa,
    table: &dyn FeatureTable,
    rows: &[usize],
    columns: &Columns,
    scratch: &mut Vec<f32>,
    mut each: impl FnMut(usize, usize, &[f32]),
) {
    for (b, &row) in rows.iter().enumerate() {
        match table.row(row) {
            Some(x) => {
                // Rows lie anywhere in memory: the next one is prefetched while this one is packed.
                if let Some(next) = rows.get(b + 1).and_then(|&next| table.row(next)) {
                    dispatch(isa, Ask(&next[columns.features.clone()]));
                }
                each(b, row, &x[columns.features.clone()]);
            }
            None => {
                scratch.resize(columns.features.len(), 0.0);
                table.read(row, columns.features.clone(), scratch);
                each(b, row, scratch);
            }
        }
    }
}

/// Prefetches values.
struct Ask<'a>(&'a [f32]);

impl Vectorized for Ask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.0.chunks(LANES).for_each(|line| s.prefetch(line.as_ptr()));
    }
}

/// Packs one row of units in memory, nothing dropped.
pub(super) fn place(isa: Isa, batch: usize, b: usize, columns: &Columns, x: &[f32], out: &mut [f32]) {
    Place { batch, b, columns, out }.run(isa, x, None);
}

/// A row that is trained on.
struct Trained<'a> {
    epoch: usize,
    row: usize,
    dropout: Dropout,
    nonzero: &'a NonzeroMask,
}

/// One row on its way into the tiles.
struct Place<'a> {
    batch: usize,
    b: usize,
    columns: &'a Columns,
    out: &'a mut [f32],
}

impl Place<'_> {
    fn run(mut self, isa: Isa, x: &[f32], trained: Option<Trained<'_>>) {
        match &trained {
            Some(trained) if !trained.dropout.is_none() => {
                debug_assert!(self.columns.features.start.is_multiple_of(MASK_BLOCK));
                let first = self.columns.features.start / MASK_BLOCK;
                let mut units = [0.0; MASK_BLOCK];
                for (i, x) in x.chunks(MASK_BLOCK).enumerate() {
                    drop_block(isa, &trained.dropout, trained.epoch, trained.row, first + i, x, &mut units);
                    self.put(isa, i * (MASK_BLOCK / TILE), &units[..x.len()], Some(trained.nonzero));
                }
            }
            _ => self.put(isa, 0, x, trained.as_ref().map(|trained| trained.nonzero)),
        }
        // The input of 1 stands behind the last feature.
        if x.len() < self.columns.tiles.len() * TILE {
            if x.len().is_multiple_of(TILE) {
                self.tile(x.len() / TILE).fill(0.0);
            }
            self.tile(x.len() / TILE)[x.len() % TILE] = 1.0;
            if let Some(trained) = trained {
                trained.nonzero.mark_one((self.b, self.batch), self.columns.features.end);
            }
        }
    }

    #[inline(always)]
    fn tile(&mut self, tile: usize) -> &mut [f32] {
        &mut self.out[(tile * self.batch + self.b) * TILE..][..TILE]
    }

    /// Units from a tile's first on, the last tile padded with zeros.
    #[inline(always)]
    fn put(&mut self, isa: Isa, first: usize, units: &[f32], nonzero: Option<&NonzeroMask>) {
        if let Some(nonzero) = nonzero {
            nonzero.mark(isa, (self.b, self.batch), (self.columns.tiles.start + first) / BLOCK, units);
        }
        let (whole, rest) = units.as_chunks::<TILE>();
        for (i, values) in whole.iter().enumerate() {
            self.tile(first + i).copy_from_slice(values);
        }
        if !rest.is_empty() {
            let tile = self.tile(first + whole.len());
            tile.fill(0.0);
            tile[..rest.len()].copy_from_slice(rest);
        }
    }
}

/// Fills a row with the dropout factors of its units.
pub(super) fn mask(isa: Isa, dropout: &Dropout, epoch: usize, row: usize, units: &mut [f32]) {
    units.fill(1.0);
    if !dropout.is_none() {
        let (ones, mut factors) = ([1.0; MASK_BLOCK], [0.0; MASK_BLOCK]);
        for (block, units) in units.chunks_mut(MASK_BLOCK).enumerate() {
            drop_block(isa, dropout, epoch, row, block, &ones, &mut factors);
            units.copy_from_slice(&factors[..units.len()]);
        }
    }
}
