//! One training step by a team: rows, then weights, with a barrier between.
//!
//! *Rows* (shared out by rows of the batch): sum the first layer's products over its chunks, go up through the other layers, judge, come back
//! down. *Weights* (shared out by chunks): gradient, optimiser and the first layer's products with the next batch, in one pass.

use std::ops::Range;

use super::feed::Feed;
use super::kernel::{Packed, Pass, Product, Products};
use super::layer::{Back, Layer};
use super::marks::Marks;
use super::output::{Activate, Judge};
use super::pack::{Columns, mask};
use super::sparse::{self, Marked};
use super::tape::{TILE, Tape};
use super::team::{Member, Shared};
use crate::engine::native::simd::{Isa, LANES, Simd, Vectorized, dispatch};
use crate::heads::loss::Objective;
use crate::heads::optimizer::{Optimizer, clip_factor};
use crate::heads::random::Dropout;
use crate::heads::train::{self, Task};
use crate::heads::words::Activation;

/// What stays the same over an epoch.
pub struct Run<'a> {
    pub isa: Isa,
    pub task: Task<'a>,
    /// What the first layer reads.
    pub feed: &'a Feed<'a>,
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

/// Loss and right answers of each step of an epoch.
pub struct Tally {
    losses: Shared,
    right: Shared,
}

impl Tally {
    /// Of so many steps.
    pub fn new(steps: usize) -> Tally {
        Tally { losses: Shared::new(steps), right: Shared::new(steps) }
    }

    /// How the epoch's pass over its rows went.
    pub fn pass(self, rows: usize) -> train::Pass {
        let sum = |values: Shared| values.into_values().into_iter().map(f64::from).sum();
        train::Pass::new(sum(self.losses), sum(self.right), rows)
    }
}

/// What rows leave for weights, and weights for rows.
pub struct Buffers {
    /// Products of the first layer, a buffer for each chunk.
    partial: Vec<Shared>,
    /// For each layer, gradients of its products, as the kernels read them.
    gradients: Vec<Shared>,
    /// For each layer above the first, what it reads.
    inputs: Vec<Between>,
    /// Loss of each row.
    losses: Shared,
    /// 1 for each row that was answered right.
    right: Shared,
    /// Squared norm of the gradient, a value for each chunk of all layers.
    norms: Shared,
}

/// What lies between a layer and the one before it.
struct Between {
    /// Activations, `[tile][batch][8]`.
    packed: Shared,
    /// Slopes of the activations with dropout, row by row.
    slopes: Shared,
    /// Products of the layer.
    products: Shared,
    /// Gradients of the layer's products as `[tile][batch][8]`.
    gradients: Shared,
    /// What comes back through the layer, a buffer for each of its chunks.
    back: Vec<Shared>,
}

impl Buffers {
    /// For batches of up to `batch` rows.
    pub fn new(layers: &[Layer], batch: usize) -> Buffers {
        let shared = |tape: Tape| Shared::new(tape.columns() * batch);
        let between = |layer: &Layer| Between {
            packed: Shared::new(layer.tape.tiles() * TILE * batch),
            slopes: Shared::new(layer.tape.inputs.next_multiple_of(LANES) * batch),
            products: shared(layer.tape),
            gradients: Shared::new(layer.tape.columns() * batch),
            back: (0..layer.chunks()).filter_map(|c| layer.chunk(c).back.as_ref().map(|back| shared(back.tape))).collect(),
        };
        Buffers {
            partial: (0..layers[0].chunks()).map(|_| shared(layers[0].tape)).collect(),
            gradients: layers.iter().map(|l| shared(l.tape)).collect(),
            inputs: layers[1..].iter().map(between).collect(),
            losses: Shared::new(batch),
            right: Shared::new(batch),
            norms: Shared::new(layers.iter().map(Layer::chunks).sum()),
        }
    }
}

/// Calls `each(columns of the row, their place)` for the panels of row `b` in `[panel][batch][columns]`.
fn places(tape: Tape, batch: usize, b: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    tape.panels().map(move |panel| {
        let (start, width) = (panel.first * LANES, panel.vectors * LANES);
        let at = start * batch + b * width;
        (start..start + width, at..at + width)
    })
}

/// Adds up one row of several buffers of products.
struct Sum<'a> {
    tape: Tape,
    batch: usize,
    b: usize,
    parts: &'a [Shared],
    out: &'a mut [f32],
}

impl Vectorized for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (columns, place) in places(self.tape, self.batch, self.b) {
            for part in self.parts {
                // SAFETY: products of the first layer were written before the barrier, others by this thread.
                let part = unsafe { part.read(place.clone()) };
                self.out[columns.clone()].iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
    }
}

/// A thread's own memory.
#[derive(Default)]
pub struct Scratch {
    row: Vec<f32>,
    other: Vec<f32>,
    /// Of a batch and the next one.
    marks: [Marks; 2],
}

impl Run<'_> {
    /// Steps `which` of an epoch of these batches; those before were done. `packs` where nobody else packs them.
    pub fn steps(&self, member: &Member<'_>, batches: &[&[usize]], which: Range<usize>, packs: bool, tally: &Tally, scratch: &mut Scratch) {
        if which.start == 0 && !which.is_empty() {
            self.begin(member, batches[0], packs, scratch);
        }
        for s in which {
            let (rows, next) = (batches[s], batches.get(s + 1).copied());
            member.meet();
            self.rows(member, rows, scratch);
            member.meet();
            self.clip(member, rows.len(), s);
            if member.index == 0 {
                // SAFETY: the first member alone writes here; it is read when all are done.
                unsafe {
                    tally.losses.part(s..s + 1)[0] = (self.loss(rows.len()) * rows.len() as f64) as f32;
                    tally.right.part(s..s + 1)[0] = self.right(rows.len());
                }
            }
            self.weights(member, s, rows, next, packs, scratch);
        }
    }

    /// Multiplies the first batch.
    fn begin(&self, member: &Member<'_>, rows: &[usize], packs: bool, scratch: &mut Scratch) {
        let layer = &self.layers[0];
        for c in member.share(layer.chunks()) {
            let chunk = layer.chunk(c);
            // SAFETY: a chunk's columns are packed, and its products written, by its owner alone, unless all was packed before.
            let (x, mut h) = unsafe {
                if packs {
                    self.feed.pack(&chunk.columns, (self.epoch, 0), rows, &mut scratch.row);
                }
                let h = Products::shared(&self.buffers.partial[c], rows.len(), 0..rows.len());
                (self.feed.batch(0, rows.len(), &chunk.columns), h)
            };
            h.clear(layer.tape);
            let x = Packed::new(x, rows.len(), chunk.columns.tiles.start);
            Product { tape: layer.tape, blocks: chunk.blocks.clone(), weights: chunk.weights(), x, h }.run(self.isa);
        }
    }

    /// The rows' half of a step.
    fn rows(&self, member: &Member<'_>, rows: &[usize], scratch: &mut Scratch) {
        let n = rows.len();
        let scale = self.objective.scale(self.task, rows);
        let own = member.share(n);
        for l in 1..self.layers.len() {
            for b in own.clone() {
                self.sum_products(l - 1, n, b, &mut scratch.row);
                self.activate(l, n, b, rows[b], scratch);
            }
            // SAFETY: rows are written and read by their owner alone.
            let (x, mut h) = unsafe {
                let between = &self.buffers.inputs[l - 1];
                (Packed::shared(&between.packed, n), Products::shared(&between.products, n, own.clone()))
            };
            h.clear(self.layers[l].tape);
            for c in 0..self.layers[l].chunks() {
                let chunk = self.layers[l].chunk(c);
                Product { tape: self.layers[l].tape, blocks: chunk.blocks.clone(), weights: chunk.weights(), x, h: h.again() }
                    .run(self.isa);
            }
        }
        let last = self.layers.len() - 1;
        for b in own.clone() {
            self.sum_products(last, n, b, &mut scratch.row);
            let outputs = self.layers[last].tape.outputs;
            scratch.other.clear();
            scratch.other.resize(scratch.row.len(), 0.0);
            let labels = self.task.labels.of(rows[b]);
            let mass = self.objective.mixed_targets(self.task, rows[b], &mut scratch.other[..outputs]);
            let right = self.objective.is_right(&scratch.row[..outputs], labels);
            let judge = Judge { objective: self.objective, logits: &mut scratch.row, q: &scratch.other, mass, scale, outputs };
            let loss = judge.run(self.isa) * f64::from(scale);
            // SAFETY: the row's owner.
            unsafe {
                self.buffers.losses.part(b..b + 1)[0] = loss as f32;
                self.buffers.right.part(b..b + 1)[0] = f32::from(u8::from(right));
            }
            self.store_gradient(last, n, b, &scratch.row);
        }
        for l in (1..self.layers.len()).rev() {
            self.back(l, n, own.clone(), scratch);
        }
    }

    /// Products of a layer for one row, its chunks' parts added up in order.
    fn sum_products(&self, l: usize, n: usize, b: usize, out: &mut Vec<f32>) {
        let tape = self.layers[l].tape;
        out.clear();
        out.resize(tape.columns(), 0.0);
        let parts = if l == 0 { &self.buffers.partial } else { std::slice::from_ref(&self.buffers.inputs[l - 1].products) };
        dispatch(self.isa, Sum { tape, batch: n, b, parts, out });
    }

    /// Activations of a row as layer `l` reads them.
    fn activate(&self, l: usize, n: usize, b: usize, row: usize, scratch: &mut Scratch) {
        let between = &self.buffers.inputs[l - 1];
        let units = self.layers[l].tape.inputs - 1;
        let width = self.layers[l].tape.inputs.next_multiple_of(LANES);
        // SAFETY: the row's owner, here and below.
        let slopes = unsafe { &mut between.slopes.part(b * width..(b + 1) * width)[..units] };
        mask(self.isa, &self.dropouts[l], self.epoch, row, slopes);
        Activate { act: self.activation, units: &mut scratch.row[..units], slopes }.run(self.isa);
        scratch.row.truncate(units);
        scratch.row.push(1.0);
        // SAFETY: as above.
        unsafe { scatter(&between.packed, n, b, &scratch.row) };
    }

    fn store_gradient(&self, l: usize, n: usize, b: usize, row: &[f32]) {
        let tape = self.layers[l].tape;
        for (columns, place) in places(tape, n, b) {
            // SAFETY: the row's owner.
            unsafe { self.buffers.gradients[l].part(place).copy_from_slice(&row[columns]) };
        }
        if l > 0 {
            // SAFETY: the row's owner.
            unsafe { scatter(&self.buffers.inputs[l - 1].gradients, n, b, &row[..tape.outputs]) };
        }
    }

    /// Gradients of the products of layer `l − 1` from those of layer `l`.
    fn back(&self, l: usize, n: usize, own: Range<usize>, scratch: &mut Scratch) {
        let (layer, between) = (&self.layers[l], &self.buffers.inputs[l - 1]);
        let width = layer.tape.inputs.next_multiple_of(LANES);
        let mut tapes = vec![];
        for (c, buffer) in between.back.iter().enumerate() {
            let chunk = layer.chunk(c);
            let Some(Back { tape, weights, .. }) = &chunk.back else { continue };
            // SAFETY: this thread's own rows.
            let (x, mut h) = unsafe { (Packed::shared(&between.gradients, n), Products::shared(buffer, n, own.clone())) };
            h.clear(*tape);
            Product { tape: *tape, blocks: 0..tape.blocks(), weights, x, h }.run(self.isa);
            tapes.push((*tape, chunk.columns.features.start));
        }
        for b in own {
            scratch.row.clear();
            scratch.row.resize(self.layers[l - 1].tape.columns(), 0.0);
            for ((tape, first), buffer) in tapes.iter().zip(&between.back) {
                for (columns, place) in places(*tape, n, b) {
                    let count = tape.outputs.min(columns.end) - columns.start;
                    // SAFETY: this thread's own rows.
                    let part = unsafe { buffer.read(place) };
                    scratch.row[first + columns.start..][..count].copy_from_slice(&part[..count]);
                }
            }
            // SAFETY: as above.
            let slopes = unsafe { between.slopes.read(b * width..(b + 1) * width) };
            let units = layer.tape.inputs - 1;
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
            // SAFETY: gradients and activations were written before the barrier.
            let d = unsafe { self.buffers.gradients[l].read(0..layer.tape.columns() * n) };
            let mut chunk = layer.chunk_mut(c);
            let (blocks, columns) = (chunk.blocks.clone(), chunk.columns.clone());
            let (weights, states) = chunk.parts();
            // SAFETY: as above; a chunk's columns are packed by whoever has taken it alone, unless they were packed before.
            let (x, x_next) = unsafe {
                if let Some(next) = next.filter(|_| packs) {
                    self.feed.pack(&columns, (self.epoch, s + 1), next, &mut scratch.row);
                }
                (self.inputs(l, s, n, &columns), next.map(|next| self.inputs(l, s + 1, next.len(), &columns)))
            };
            let first = columns.tiles.start;
            let following = next.zip(x_next).map(|(next, x)| {
                // SAFETY: a chunk's products are written by whoever has taken it alone.
                let mut h = unsafe { Products::shared(&self.buffers.partial[c], next.len(), 0..next.len()) };
                h.clear(layer.tape);
                (Packed::new(x, next.len(), first), h)
            });
            let pass = Pass { tape: layer.tape, blocks, weights, states, x: Packed::new(x, n, first), d, next: following };
            let marked = if l == 0 && !packs {
                let this = self.feed.marked(s);
                this.zip(if next.is_some() { self.feed.marked(s + 1) } else { this }).map(<[_; 2]>::from)
            } else {
                let mut is_sparse = |i: usize, x: &[f32], rows: usize| scratch.marks[i].of(x, rows, self.isa);
                let both = is_sparse(0, x, n) && next.zip(x_next).is_none_or(|(next, x)| is_sparse(1, x, next.len()));
                both.then(|| scratch.marks.each_ref().map(|marks| Marked { marks, first: pass.blocks.start }))
            };
            if let Some(marked) = marked {
                sparse::run(pass, marked, self.isa, self.optimizer, self.lr, step);
            } else {
                pass.run(self.isa, self.optimizer, self.lr, step);
            }
            chunk.transpose(self.isa, layer.tape);
        }
    }

    /// Some columns of what layer `l` reads in step `s`, of `n` rows: `[tile][n][8]`.
    ///
    /// # Safety
    /// They were written, and nobody writes there meanwhile.
    unsafe fn inputs(&self, l: usize, s: usize, n: usize, columns: &Columns) -> &[f32] {
        // SAFETY: the caller's promise.
        unsafe {
            match l {
                0 => self.feed.batch(s, n, columns),
                _ => self.buffers.inputs[l - 1].packed.read(columns.tiles.start * TILE * n..columns.tiles.end * TILE * n),
            }
        }
    }

    /// Scales the gradients so that the norm of the whole does not exceed the largest allowed; a barrier lies before and behind.
    fn clip(&self, member: &Member<'_>, n: usize, s: usize) {
        let Some(largest) = self.clip_norm else { return };
        let mut at = 0;
        for (l, layer) in self.layers.iter().enumerate() {
            for c in member.share(layer.chunks()) {
                // SAFETY: gradients and activations were written before the barrier; the place is the chunk's own.
                unsafe { self.buffers.norms.part(at + c..at + c + 1)[0] = self.squared_norm(l, c, n, s) as f32 };
            }
            at += layer.chunks();
        }
        member.meet();
        // SAFETY: written before the barrier.
        let squares: f64 = unsafe { self.buffers.norms.read(0..at) }.iter().map(|&s| f64::from(s)).sum();
        let factor = clip_factor(squares.sqrt(), Some(largest));
        for (l, layer) in self.layers.iter().enumerate() {
            for b in member.share(n) {
                for (_, place) in places(layer.tape, n, b) {
                    // SAFETY: the row's owner.
                    unsafe { self.buffers.gradients[l].part(place).iter_mut().for_each(|d| *d *= factor) };
                }
            }
        }
        member.meet();
    }

    /// ‖Σ_b x_b ⊗ d_b‖² over a chunk's inputs, as Σ_{b, b'} (x_b · x_b') (d_b · d_b'): the gradient itself is not needed.
    fn squared_norm(&self, l: usize, c: usize, n: usize, s: usize) -> f64 {
        let layer = &self.layers[l];
        let chunk = layer.chunk(c);
        // SAFETY: written before the barrier.
        let (x, d) = unsafe { (self.inputs(l, s, n, &chunk.columns), self.buffers.gradients[l].read(0..layer.tape.columns() * n)) };
        let mut sum = 0.0;
        for a in 0..n {
            for b in a..n {
                let xs = x.chunks_exact(TILE * n).map(|tile| dot(&tile[a * TILE..][..TILE], &tile[b * TILE..][..TILE])).sum::<f32>();
                let pairs = places(layer.tape, n, a).zip(places(layer.tape, n, b));
                let ds = pairs.map(|((_, a), (_, b))| dot(&d[a], &d[b])).sum::<f32>();
                sum += f64::from(xs) * f64::from(ds) * if a == b { 1.0 } else { 2.0 };
            }
        }
        sum
    }

    /// Loss of the step that is over, to be read behind its barrier.
    fn loss(&self, n: usize) -> f64 {
        // SAFETY: written before the barrier.
        unsafe { self.buffers.losses.read(0..n) }.iter().map(|&l| f64::from(l)).sum()
    }

    /// Rows of the step that is over that were answered right, to be read behind its barrier.
    fn right(&self, n: usize) -> f32 {
        // SAFETY: written before the barrier.
        unsafe { self.buffers.right.read(0..n) }.iter().sum()
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
        // SAFETY: the caller's promise.
        let to = unsafe { packed.part(at..at + TILE) };
        to[..values.len()].copy_from_slice(values);
        to[values.len()..].fill(0.0);
    }
}
