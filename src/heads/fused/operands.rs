//! Operands of the kernels.
//!
//! *Layout*: weights as [`Layout`] says; features `[tile][batch][8]`; gradients and products
//! `[panel][batch][panel's columns]`.

use std::marker::PhantomData;
use std::ops::Range;

use super::layout::{Layout, Panel, TILE};
use super::nonzero::{Block, NonzeroMask};
use super::team::Shared;
use super::update::Update;
use crate::simd::LANES;

/// Features `[tile][batch][8]` of the tiles from some first one on, to be read.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a> {
    values: *const f32,
    len: usize,
    /// Rows of the batch.
    pub batch: usize,
    first_tile: usize,
    /// Their nonzero mask, if known.
    pub nonzero: Option<&'a NonzeroMask>,
    _owner: PhantomData<&'a [f32]>,
}

impl<'a> Packed<'a> {
    /// All rows of a buffer.
    pub(super) fn new(values: &'a [f32], batch: usize, first_tile: usize) -> Packed<'a> {
        Packed { values: values.as_ptr(), len: values.len(), batch, first_tile, nonzero: None, _owner: PhantomData }
    }

    /// The same with a nonzero mask.
    pub(super) fn with_nonzero(self, nonzero: &'a NonzeroMask) -> Packed<'a> {
        Packed { nonzero: Some(nonzero), ..self }
    }

    /// Rows of a shared buffer that starts with tile 0.
    ///
    /// # Safety
    /// Until the next barrier nobody writes the rows that a kernel is given.
    pub(super) unsafe fn shared(buffer: &'a Shared, batch: usize) -> Packed<'a> {
        let (values, len) = buffer.pointer();
        Packed { values, len, batch, first_tile: 0, nonzero: None, _owner: PhantomData }
    }

    /// A tile's first row.
    #[inline(always)]
    pub(super) fn tile(&self, tile: usize) -> *const f32 {
        let (start, len) = ((tile - self.first_tile) * self.batch * TILE, self.batch * TILE);
        assert!(start + len <= self.len, "a tile of the features");
        // SAFETY: the offset was just asserted to lie within the buffer.
        unsafe { self.values.add(start) }
    }
}

/// Some rows of `[panel][batch][columns]`, to be added to.
pub(super) struct Products<'a> {
    values: *mut f32,
    len: usize,
    /// Rows of the batch.
    pub batch: usize,
    /// These rows.
    pub rows: Range<usize>,
    _owner: PhantomData<&'a mut [f32]>,
}

impl<'a> Products<'a> {
    /// All rows of a buffer of one's own.
    pub(super) fn new(values: &'a mut [f32], batch: usize) -> Products<'a> {
        Products { values: values.as_mut_ptr(), len: values.len(), batch, rows: 0..batch, _owner: PhantomData }
    }

    /// Some rows of a shared buffer.
    ///
    /// # Safety
    /// Until the next barrier no other thread uses these rows.
    pub(super) unsafe fn shared(buffer: &'a Shared, batch: usize, rows: Range<usize>) -> Products<'a> {
        let (values, len) = buffer.pointer();
        Products { values, len, batch, rows, _owner: PhantomData }
    }

    /// A reborrow.
    pub(super) fn again(&mut self) -> Products<'_> {
        Products { rows: self.rows.clone(), _owner: PhantomData, ..*self }
    }

    /// The first row's columns of a panel.
    #[inline(always)]
    pub(super) fn panel(&mut self, panel: Panel) -> *mut f32 {
        let width = panel.vectors * LANES;
        let start = panel.first * LANES * self.batch;
        assert!(self.rows.end <= self.batch && start + width * self.batch <= self.len, "a panel of the products");
        // SAFETY: the offset was just asserted to lie within the buffer.
        unsafe { self.values.add(start + self.rows.start * width) }
    }

    /// Sets the rows to zero.
    pub(super) fn clear(&mut self, layout: Layout) {
        for panel in layout.panels() {
            let (start, len) = (self.panel(panel), self.rows.len() * panel.vectors * LANES);
            // SAFETY: the rows lie side by side within a panel, which `panel` asserted to lie
            // within the buffer; they are this value's own.
            unsafe { std::slice::from_raw_parts_mut(start, len).fill(0.0) };
        }
    }
}

/// One pass over some blocks of a weight matrix.
pub(super) struct Pass<'a> {
    /// The weights' geometry.
    pub layout: Layout,
    /// Blocks that are passed.
    pub blocks: Range<usize>,
    /// Weights of those blocks.
    pub weights: &'a mut [f32],
    /// Their optimiser states.
    pub states: [&'a mut [f32]; 3],
    /// Features of this batch.
    pub x: Packed<'a>,
    /// Gradients of its products, `[panel][batch][columns]`.
    pub d: &'a [f32],
    /// Features of the next batch and where its products are added.
    pub next: Option<(Packed<'a>, Products<'a>)>,
}

impl<'a> Pass<'a> {
    /// The masks of a block in this batch and the next one (if there is one), if both have enough
    /// zeros for skipping them to pay.
    #[inline(always)]
    pub(super) fn sparse(&self, block: usize) -> Option<[Block<'a>; 2]> {
        let inputs = self.layout.tiles_of(block) * TILE;
        let sparse = |x: &Packed<'a>| x.nonzero.map(|nonzero| nonzero.block(block, x.batch)).filter(|nonzero| nonzero.is_sparse(inputs));
        let this = sparse(&self.x)?;
        let next = self.next.as_ref().map_or(Some(this), |(x, _)| sparse(x))?;
        Some([this, next])
    }

    /// Pointers to the states of `size` weights from position `at` on.
    #[inline(always)]
    pub(super) fn states_at<R: Update>(&mut self, at: usize, size: usize) -> [*mut f32; 3] {
        let mut states = [std::ptr::null_mut(); 3];
        for (pointer, state) in states.iter_mut().zip(&mut self.states).take(R::STATES) {
            *pointer = state[at..][..size].as_mut_ptr();
        }
        states
    }
}
