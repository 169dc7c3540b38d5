//! One training step by a team: rows, then weights, with a barrier between.
//!
//! *Rows* (shared out by rows of the batch): sum the first layer's products over its chunks,
//! forward through the other layers, loss, backward. *Weights* (shared out by chunks): gradient,
//! optimiser and the first layer's products with the next batch, in one pass.

use std::ops::Range;

use super::batches::PackedBatches;
use super::operands::{Packed, Pass, Products};
use super::product::Product;

use super::layer::{Back, Layer};
use super::layout::{Layout, TILE};
use super::nonzero::NonzeroMask;
use super::output::{Activate, Judge};
use super::pack::{Columns, mask};
use super::team::{Member, Shared};
use super::update;
use crate::heads::features::task::Task;
use crate::heads::settings::choices::Activation;
use crate::heads::settings::optimizer::Optimizer;
use crate::heads::training::clipping::clip_factor;
use crate::heads::training::dropout::Dropout;
use crate::heads::training::objective::Objective;
use crate::heads::training::trainer;
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Constants of an epoch.
pub(super) struct Run<'a> {
    pub isa: Isa,
    pub task: Task<'a>,
    /// Inputs of the first layer.
    pub batches: &'a PackedBatches<'a>,
    pub layers: &'a [Layer],
    pub activation: Activation,
    pub objective: &'a Objective,
    pub optimizer: &'a Optimizer,
    pub dropouts: &'a [Dropout],
    pub clip_norm: Option<f64>,
    pub epoch: usize,
    pub lr: f64,
    /// Steps before this epoch.
    pub steps: i32,
    pub buffers: &'a Buffers,
}

/// Outcomes of the rows of an epoch, in their order: loss, and 1 for a right answer.
pub(super) struct Tally(Shared);

impl Tally {
    /// Room for the outcomes of `rows` rows.
    pub(super) fn new(rows: usize) -> Tally {
        Tally(Shared::new(2 * rows))
    }

    /// Statistics of the epoch's pass.
    pub(super) fn pass(self) -> trainer::Pass {
        let values = self.0.into_values();
        let rows = values.as_chunks::<2>().0;
        let [loss, right] = [0, 1].map(|i| rows.iter().map(|row| f64::from(row[i])).sum());
        trainer::Pass::new(loss, right, rows.len())
    }
}

/// Buffers between the rows' half and the weights' half of a step.
pub(super) struct Buffers {
    /// Products of the first layer, a buffer for each chunk.
    partial: Vec<Shared>,
    /// For each layer, gradients of its products as the kernels read them, times
    /// [`update::intake`].
    gradients: Vec<Shared>,
    /// Inputs of each layer above the first.
    inputs: Vec<Between>,
    /// Squared norm of the gradient, a value for each chunk of all layers.
    norms: Shared,
}

/// Buffers between a layer and the one before it.
struct Between {
    /// Activations, `[tile][batch][8]`.
    packed: Shared,
    /// Their nonzero mask.
    nonzero: NonzeroMask,
    /// Slopes of the activations with dropout, row by row.
    slopes: Shared,
    /// Products of the layer.
    products: Shared,
    /// Gradients of the layer's products as `[tile][batch][8]`.
    gradients: Shared,
    /// Gradients of the layer's inputs, a buffer for each of its chunks.
    back: Vec<Shared>,
}

impl Buffers {
    /// For batches of up to `batch` rows.
    pub(super) fn new(layers: &[Layer], batch: usize) -> Buffers {
        let shared = |layout: Layout| Shared::new(layout.columns() * batch);
        let between = |layer: &Layer| Between {
            packed: Shared::new(layer.layout.tiles() * TILE * batch),
            nonzero: NonzeroMask::new(layer.layout.tiles(), batch),
            slopes: Shared::new(layer.layout.inputs.next_multiple_of(LANES) * batch),
            products: shared(layer.layout),
            gradients: Shared::new(layer.layout.columns() * batch),
            back: (0..layer.chunks()).filter_map(|c| layer.chunk(c).back.as_ref().map(|back| shared(back.layout))).collect(),
        };
        Buffers {
            partial: (0..layers[0].chunks()).map(|_| shared(layers[0].layout)).collect(),
            gradients: layers.iter().map(|l| shared(l.layout)).collect(),
            inputs: layers[1..].iter().map(between).collect(),
            norms: Shared::new(layers.iter().map(Layer::chunks).sum()),
        }
    }
}

/// Calls `each(columns of the row, their place)` for the panels of row `b` in
/// `[panel][batch][columns]`.
fn places(layout: Layout, batch: usize, b: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    layout.panels().map(move |panel| {
        let (start, width) = (panel.first * LANES, panel.vectors * LANES);
        let at = start * batch + b * width;
        (start..start + width, at..at + width)
    })
}

/// Sums one row of several buffers of products.
struct Sum<'a> {
    layout: Layout,
    batch: usize,
    b: usize,
    parts: &'a [Shared],
    out: &'a mut [f32],
}

impl Vectorized for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (columns, place) in places(self.layout, self.batch, self.b) {
            for part in self.parts {
                // SAFETY: products of the first layer were written before the barrier, those of
                // others by this thread; none is written now.
                let part = unsafe { part.read(place.clone()) };
                self.out[columns.clone()].iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
    }
}

/// A thread's own memory.
#[derive(Default)]
pub(super) struct Scratch {
    row: Vec<f32>,
    other: Vec<f32>,
    bits: Vec<u64>,
    /// Of the rows of a step, as [`Tally`] keeps them: neighbours' rows share lines of memory,
    /// which is why they go there all at once.
    outcomes: Vec<f32>,
}

impl Run<'_> {
    /// Steps `which` of an epoch of these batches; those before are done. `packs` tells whether
    /// these threads pack the batches.
    pub(super) fn steps(
        &self,
        member: &Member<'_>,
        batches: &[&[usize]],
        which: Range<usize>,
        packs: bool,
        tally: &Tally,
        scratch: &mut Scratch,
    ) {
        if which.start == 0 && !which.is_empty() {
            self.begin(member, batches[0], packs, scratch);
        }
        for s in which {
            let (rows, next) = (batches[s], batches.get(s + 1).copied());
            member.meet();
            self.rows(member, rows, scratch);
            let (first, own) = (s * batches[0].len(), member.share(rows.len()));
            // SAFETY: these rows are this thread's share alone, and the tally is read when all
            // threads are done.
            unsafe { tally.0.part(2 * (first + own.start)..2 * (first + own.end)).copy_from_slice(&scratch.outcomes) };
            member.meet();
            self.clip(member, rows.len(), s);
            self.weights(member, s, rows, next, packs, scratch);
        }
    }

    /// Multiplies the first batch.
    fn begin(&self, member: &Member<'_>, rows: &[usize], packs: bool, scratch: &mut Scratch) {
        let layer = &self.layers[0];
        for c in member.share(layer.chunks()) {
            let chunk = layer.chunk(c);
            // SAFETY: a chunk belongs to one thread until the next barrier, which alone packs its
            // columns (unless all were packed before) and writes its products.
            let (x, mut h) = unsafe {
                if packs {
                    self.batches.pack(&chunk.columns, (self.epoch, 0), rows, &mut scratch.row);
                }
                let h = Products::shared(&self.buffers.partial[c], rows.len(), 0..rows.len());
                (self.batches.batch(0, rows.len(), &chunk.columns), h)
            };
            h.clear(layer.layout);
            let x = Packed::new(x, rows.len(), chunk.columns.tiles.start);
            Product { layout: layer.layout, blocks: chunk.blocks.clone(), weights: chunk.weights(), x, h }.run(self.isa);
        }
    }

    /// The rows' half of a step.
    fn rows(&self, member: &Member<'_>, rows: &[usize], scratch: &mut Scratch) {
        let n = rows.len();
        let (scale, intake) = (self.objective.scale(self.task, rows), update::intake(self.optimizer) as f32);
        let own = member.share(n);
        for l in 1..self.layers.len() {
            for b in own.clone() {
                self.sum_products(l - 1, n, b, &mut scratch.row);
                self.activate(l, n, b, rows[b], scratch);
            }
            // SAFETY: between two barriers this thread alone writes and reads the rows of its
            // share.
            let (x, mut h) = unsafe {
                let between = &self.buffers.inputs[l - 1];
                (Packed::shared(&between.packed, n), Products::shared(&between.products, n, own.clone()))
            };
            h.clear(self.layers[l].layout);
            for c in 0..self.layers[l].chunks() {
                let chunk = self.layers[l].chunk(c);
                Product { layout: self.layers[l].layout, blocks: chunk.blocks.clone(), weights: chunk.weights(), x, h: h.again() }
                    .run(self.isa);
            }
        }
        let last = self.layers.len() - 1;
        scratch.outcomes.clear();
        for b in own.clone() {
            self.sum_products(last, n, b, &mut scratch.row);
            let outputs = self.layers[last].layout.outputs;
            scratch.other.clear();
            scratch.other.resize(scratch.row.len(), 0.0);
            let labels = self.task.labels.of(rows[b]);
            let mass = self.objective.mixed_targets(self.task, rows[b], &mut scratch.other[..outputs]);
            let (logits, q) = (&mut scratch.row, &scratch.other);
            let judge = Judge { objective: self.objective, logits, labels, q, mass, scale: scale * intake, outputs };
            let judged = judge.run(self.isa);
            scratch.outcomes.extend([(judged.loss * f64::from(scale) * n as f64) as f32, f32::from(u8::from(judged.is_right))]);
            self.store_gradient(last, n, b, &scratch.row);
        }
        for l in (1..self.layers.len()).rev() {
            self.back(l, n, own.clone(), scratch);
        }
    }

    /// Products of a layer for one row, its chunks' parts added up in order.
    fn sum_products(&self, l: usize, n: usize, b: usize, out: &mut Vec<f32>) {
        let layout = self.layers[l].layout;
        out.clear();
        out.resize(layout.columns(), 0.0);
        let parts = if l == 0 { &self.buffers.partial } else { std::slice::from_ref(&self.buffers.inputs[l - 1].products) };
        dispatch(self.isa, Sum { layout, batch: n, b, parts, out });
    }

    /// Activations of a row as layer `l` reads them.
    fn activate(&self, l: usize, n: usize, b: usize, row: usize, scratch: &mut Scratch) {
        let between = &self.buffers.inputs[l - 1];
        let units = self.layers[l].layout.inputs - 1;
        let width = self.layers[l].layout.inputs.next_multiple_of(LANES);
        // SAFETY: between two barriers row `b` belongs to the thread of which it is a share: no
        // other one uses it.
        let slopes = unsafe { &mut between.slopes.part(b * width..(b + 1) * width)[..units] };
        mask(self.isa, &self.dropouts[l], self.epoch, row, slopes);
        Activate { act: self.activation, units: &mut scratch.row[..units], slopes }.run(self.isa);
        scratch.row.truncate(units);
        scratch.row.push(1.0);
        between.nonzero.mark(self.isa, (b, n), 0, &scratch.row);
        // SAFETY: as above: row `b` is this thread's own.
        unsafe { scatter(&between.packed, n, b, &scratch.row) };
    }

    fn store_gradient(&self, l: usize, n: usize, b: usize, row: &[f32]) {
        let layout = self.layers[l].layout;
        for (columns, place) in places(layout, n, b) {
            // SAFETY: between two barriers row `b` belongs to the thread of which it is a share: no
            // other one uses it.
            unsafe { self.buffers.gradients[l].part(place).copy_from_slice(&row[columns]) };
        }
        if l > 0 {
            // SAFETY: as above: row `b` is this thread's own.
            unsafe { scatter(&self.buffers.inputs[l - 1].gradients, n, b, &row[..layout.outputs]) };
        }
    }

    /// Gradients of the products of layer `l − 1` from those of layer `l`.
    fn back(&self, l: usize, n: usize, own: Range<usize>, scratch: &mut Scratch) {
        let (layer, between) = (&self.layers[l], &self.buffers.inputs[l - 1]);
        let width = layer.layout.inputs.next_multiple_of(LANES);
        let mut layouts = vec![];
        for (c, buffer) in between.back.iter().enumerate() {
            let chunk = layer.chunk(c);
            let Some(Back { layout, weights, .. }) = &chunk.back else { continue };
            // SAFETY: between two barriers this thread alone uses the rows of its share, of
            // gradients and of products.
            let (x, mut h) = unsafe { (Packed::shared(&between.gradients, n), Products::shared(buffer, n, own.clone())) };
            h.clear(*layout);
            Product { layout: *layout, blocks: 0..layout.blocks(), weights, x, h }.run(self.isa);
            layouts.push((*layout, chunk.columns.features.start));
        }
        for b in own {
            scratch.row.clear();
            scratch.row.resize(self.layers[l - 1].layout.columns(), 0.0);
            for ((layout, first), buffer) in layouts.iter().zip(&between.back) {
                for (columns, place) in places(*layout, n, b) {
                    let count = layout.outputs.min(columns.end) - columns.start;
                    // SAFETY: row `b` is of this thread's share, which has written it above.
                    let part = unsafe { buffer.read(place) };
                    scratch.row[first + columns.start..][..count].copy_from_slice(&part[..count]);
                }
            }
            // SAFETY: row `b` is of this thread's share, and its slopes are not written now.
            let slopes = unsafe { between.slopes.read(b * width..(b + 1) * width) };
            let units = layer.layout.inputs - 1;
            scratch.row[..units].iter_mut().zip(slopes).for_each(|(d, slope)| *d *= slope);
            self.store_gradient(l - 1, n, b, &scratch.row);
        }
    }

    /// The weights' half of step `s`.
    fn weights(&self, member: &Member<'_>, s: usize, rows: &[usize], next: Option<&[usize]>, packs: bool, scratch: &mut Scratch) {
        let (n, step) = (rows.len(), self.steps + s as i32 + 1);
        let chunks: Vec<(usize, usize)> =
            self.layers.iter().enumerate().flat_map(|(l, layer)| (0..layer.chunks()).map(move |c| (l, c))).collect();
        while let Some(item) = member.take(chunks.len()) {
            let (l, c) = chunks[item];
            let (layer, next) = (&self.layers[l], next.filter(|_| l == 0));
            // SAFETY: all gradients were written before the barrier, and none is written before the
            // next.
            let d = unsafe { self.buffers.gradients[l].read(0..layer.layout.columns() * n) };
            let mut chunk = layer.chunk_mut(c);
            let (blocks, columns) = (chunk.blocks.clone(), chunk.columns.clone());
            let (weights, states) = chunk.parts();
            // SAFETY: activations were written before the barrier. The chunk was taken by this
            // thread alone, which alone packs its columns (unless all were packed before) and
            // writes its products.
            let (x, next) = unsafe {
                if let Some(next) = next.filter(|_| packs) {
                    self.batches.pack(&columns, (self.epoch, s + 1), next, &mut scratch.row);
                }
                let following = next.map(|next| {
                    let mut h = Products::shared(&self.buffers.partial[c], next.len(), 0..next.len());
                    h.clear(layer.layout);
                    (self.with_nonzero(l, s + 1, next.len(), &columns), h)
                });
                (self.with_nonzero(l, s, n, &columns), following)
            };
            let pass = Pass { layout: layer.layout, blocks, weights, states, x, d, next };
            pass.run(self.isa, self.optimizer, self.lr, step, &mut scratch.bits);
            chunk.transpose(self.isa, layer.layout);
        }
    }

    /// Some columns of what layer `l` reads in step `s`, of `n` rows: `[tile][n][8]`.
    ///
    /// # Safety
    /// They were written, and nobody writes there meanwhile.
    unsafe fn inputs(&self, l: usize, s: usize, n: usize, columns: &Columns) -> &[f32] {
        // SAFETY: the caller promises that the columns were written and that no thread writes to
        // them meanwhile.
        unsafe {
            match l {
                0 => self.batches.batch(s, n, columns),
                _ => self.buffers.inputs[l - 1].packed.read(columns.tiles.start * TILE * n..columns.tiles.end * TILE * n),
            }
        }
    }

    /// The same as a pass takes it.
    ///
    /// # Safety
    /// As for [`Run::inputs`].
    unsafe fn with_nonzero(&self, l: usize, s: usize, n: usize, columns: &Columns) -> Packed<'_> {
        let nonzero = if l == 0 { self.batches.nonzero(s) } else { &self.buffers.inputs[l - 1].nonzero };
        // SAFETY: the caller promises what `inputs` asks for.
        Packed::new(unsafe { self.inputs(l, s, n, columns) }, n, columns.tiles.start).with_nonzero(nonzero)
    }

    /// Scales the gradients so that the norm of the whole does not exceed the largest allowed; a
    /// barrier lies before and behind.
    fn clip(&self, member: &Member<'_>, n: usize, s: usize) {
        let Some(largest) = self.clip_norm else { return };
        let mut at = 0;
        for (l, layer) in self.layers.iter().enumerate() {
            for c in member.share(layer.chunks()) {
                // SAFETY: the chunk is of this thread's share, and so is its place among the norms.
                unsafe { self.buffers.norms.part(at + c..at + c + 1)[0] = self.squared_norm(l, c, n, s) as f32 };
            }
            at += layer.chunks();
        }
        member.meet();
        // SAFETY: all norms were written before the barrier, and none is written before the next.
        let squares: f64 = unsafe { self.buffers.norms.read(0..at) }.iter().map(|&s| f64::from(s)).sum();
        let factor = clip_factor(squares.sqrt() / update::intake(self.optimizer), Some(largest));
        for (l, layer) in self.layers.iter().enumerate() {
            for b in member.share(n) {
                for (_, place) in places(layer.layout, n, b) {
                    // SAFETY: row `b` is of this thread's share, and the other threads read
                    // gradients only after the next barrier.
                    unsafe { self.buffers.gradients[l].part(place).iter_mut().for_each(|d| *d *= factor) };
                }
            }
        }
        member.meet();
    }

    /// ‖Σ_b x_b ⊗ d_b‖² over a chunk's inputs, as Σ_{b, b'} (x_b · x_b') (d_b · d_b'): the gradient
    /// itself is not needed.
    fn squared_norm(&self, l: usize, c: usize, n: usize, s: usize) -> f64 {
        let layer = &self.layers[l];
        let chunk = layer.chunk(c);
        // SAFETY: gradients and activations were written before the barrier, and none is written
        // before the next.
        let (x, d) = unsafe { (self.inputs(l, s, n, &chunk.columns), self.buffers.gradients[l].read(0..layer.layout.columns() * n)) };
        let mut sum = 0.0;
        for a in 0..n {
            for b in a..n {
                let xs = x.chunks_exact(TILE * n).map(|tile| dot(&tile[a * TILE..][..TILE], &tile[b * TILE..][..TILE])).sum::<f32>();
                let pairs = places(layer.layout, n, a).zip(places(layer.layout, n, b));
                let ds = pairs.map(|((_, a), (_, b))| dot(&d[a], &d[b])).sum::<f32>();
                sum += f64::from(xs) * f64::from(ds) * if a == b { 1.0 } else { 2.0 };
            }
        }
        sum
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Writes a row into `[tile][batch][8]`.
///
/// # Safety
/// Until the next barrier no other thread uses row `b`.
unsafe fn scatter(packed: &Shared, batch: usize, b: usize, row: &[f32]) {
    for (tile, values) in row.chunks(TILE).enumerate() {
        let at = (tile * batch + b) * TILE;
        // SAFETY: the caller promises that no other thread uses row `b`; `to` is dropped before the
        // next tile's.
        let to = unsafe { packed.part(at..at + TILE) };
        to[..values.len()].copy_from_slice(values);
        to[values.len()..].fill(0.0);
    }
}
