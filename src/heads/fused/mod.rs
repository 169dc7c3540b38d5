//! The fused CPU trainer: heads trained in as few passes over their weights as there are steps.
//!
//! A head is so small that frameworks spend their time on overhead and on passes over its weights: forward, gradient, and two to five for the
//! optimiser. Here a step passes once over the weights (see [`kernel`]); threads share it (see [`step`]) where trials are few, and take a trial
//! each where they are many. Numbers do not depend on the number of threads: sums are made in an order that the head's shape alone decides.

mod aligned;
mod kernel;
mod layer;
mod mask;
mod output;
mod pack;
mod rule;
mod sparse;
mod square;
mod step;
mod tape;
mod team;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) use output::exp;

use aligned::Aligned;
use kernel::{Packed, Product, Products};
use layer::Layer;
use output::Activate;
use pack::{Mode, pack, place};
use step::{Buffers, Run, Scratch};
use tape::TILE;
use team::{Shared, Team};

use super::head::{self, Head};
use super::loss::Objective;
use super::optimizer::Optimizer;
use super::params::HeadSpec;
use super::random::{Dropout, order, window_rows};
use super::train::{Pass, Session, Task, Trainer};
use crate::Result;
use crate::engine::native::simd::{Isa, LANES};

/// Rows that are classified together.
const JUDGED: usize = 64;
/// Operations of an epoch below which a second thread costs more than it does.
const WORTH_SHARING: f64 = 1e8;

/// Trains heads on the CPU.
#[derive(Debug, Clone)]
pub struct FusedTrainer {
    isa: Isa,
    threads: usize,
    /// Sessions that share the threads.
    active: Arc<AtomicUsize>,
    /// Operations of an epoch below which a session keeps to one thread.
    worth_sharing: f64,
}

impl FusedTrainer {
    /// A trainer for up to `threads` threads, all sessions together.
    pub fn new(threads: usize) -> FusedTrainer {
        FusedTrainer { isa: Isa::best(), threads: threads.max(1), active: Arc::default(), worth_sharing: WORTH_SHARING }
    }

    /// A trainer whose sessions take all threads, however small the work.
    #[cfg(test)]
    pub(crate) fn eager(threads: usize) -> FusedTrainer {
        FusedTrainer { worth_sharing: 0.0, ..FusedTrainer::new(threads) }
    }

    #[cfg(test)]
    pub(crate) fn with_isa(isa: Isa, threads: usize) -> FusedTrainer {
        FusedTrainer { isa, ..FusedTrainer::new(threads) }
    }
}

impl Trainer for FusedTrainer {
    fn name(&self) -> &'static str {
        match self.isa {
            Isa::Portable => "fused-portable",
            Isa::Neon => "fused-neon",
            Isa::Avx2 => "fused-avx2",
            Isa::Avx512 | Isa::Amx => "fused-avx512",
        }
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> Result<Box<dyn Session + 'a>> {
        let Head { spec, batch_norm, layers, .. } = start;
        let optimizer = Optimizer::new(spec.params());
        let dims = spec.dims();
        // Each layer's matrix goes once it lies on its tape: a head may be as large as memory allows.
        let layer = |(l, from): (usize, head::Layer)| {
            let norm = if l == 0 { batch_norm.as_ref() } else { None };
            Layer::new(dims[l], &from, rule::states(&optimizer), norm, l > 0)
        };
        let layers: Vec<Layer> = layers.into_iter().enumerate().map(layer).collect();
        let dropouts = spec.dropouts().iter().enumerate().map(|(i, &rate)| Dropout::new(spec.params().seed, i, rate)).collect();
        let objective = Objective::new(&spec, task.labels, &task.partition.train);
        let buffers = Buffers::new(&layers, spec.params().batch_size.min(task.partition.train.len()));
        self.active.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(FusedSession { trainer: self.clone(), task, spec, objective, optimizer, dropouts, layers, buffers, steps: 0 }))
    }
}

struct FusedSession<'a> {
    trainer: FusedTrainer,
    task: Task<'a>,
    spec: HeadSpec,
    objective: Objective,
    optimizer: Optimizer,
    dropouts: Vec<Dropout>,
    layers: Vec<Layer>,
    buffers: Buffers,
    steps: i32,
}

impl Drop for FusedSession<'_> {
    fn drop(&mut self) {
        self.trainer.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FusedSession<'_> {
    /// This session's share of the threads: how many there are changes nothing but the time.
    fn threads(&self, rows: usize) -> usize {
        let weights: usize = self.layers.iter().map(|l| l.tape.len()).sum();
        if 4.0 * weights as f64 * (rows as f64) < self.trainer.worth_sharing {
            return 1;
        }
        (self.trainer.threads / self.trainer.active.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// Logits of some rows, `[rows, outputs]`.
    fn logits(&self, rows: &[usize]) -> Vec<f32> {
        let (isa, n) = (self.trainer.isa, rows.len());
        let (mut packed, mut scratch) = (Aligned::default(), vec![]);
        let mut products = Aligned::default();
        for (l, layer) in self.layers.iter().enumerate() {
            let units = if l == 0 { vec![] } else { self.units(l, &products, n) };
            products = Aligned::zeros(layer.tape.columns() * n);
            for c in 0..layer.chunks() {
                let chunk = layer.chunk(c);
                packed.resize(chunk.columns.tiles.len() * TILE * n);
                if l == 0 {
                    let mode = Mode::Judge(chunk.norm.as_ref());
                    pack(isa, self.task.features, rows, &chunk.columns, mode, &mut scratch, &mut packed);
                } else {
                    let width = layer.tape.inputs - 1;
                    for b in 0..n {
                        place(isa, n, b, &chunk.columns, &units[b * width..][..width][chunk.columns.features.clone()], &mut packed);
                    }
                }
                let x = Packed::new(&packed, n, chunk.columns.tiles.start);
                let h = Products::new(&mut products, n);
                Product { tape: layer.tape, blocks: chunk.blocks.clone(), weights: &chunk.weights, x, h }.run(isa);
            }
        }
        self.row_major(self.layers.len() - 1, &products, n)
    }

    /// Activations that layer `l` reads, row by row.
    fn units(&self, l: usize, products: &[f32], n: usize) -> Vec<f32> {
        let mut units = self.row_major(l - 1, products, n);
        let mut slopes = vec![1.0; units.len()];
        Activate { act: self.spec.params().activation, units: &mut units, slopes: &mut slopes }.run(self.trainer.isa);
        units
    }

    fn row_major(&self, l: usize, products: &[f32], n: usize) -> Vec<f32> {
        let tape = self.layers[l].tape;
        let mut out = vec![0.0; n * tape.outputs];
        for panel in tape.panels() {
            let (start, width) = (panel.first * LANES, panel.vectors * LANES);
            let count = tape.outputs.min(start + width) - start;
            for b in 0..n {
                out[b * tape.outputs + start..][..count].copy_from_slice(&products[start * n + b * width..][..count]);
            }
        }
        out
    }
}

impl Session for FusedSession<'_> {
    fn epoch(&mut self, epoch: usize, lr: f64) -> Result<Pass> {
        let params = self.spec.params();
        let (features, train) = (self.task.features, &self.task.partition.train);
        let order = order(params.seed, epoch, train, features.block_rows(), window_rows(features.dim()));
        let batches: Vec<&[usize]> = order.chunks(params.batch_size).collect();
        let run = Run {
            isa: self.trainer.isa,
            task: self.task,
            layers: &self.layers,
            activation: params.activation,
            objective: &self.objective,
            optimizer: &self.optimizer,
            dropouts: &self.dropouts,
            clip_norm: params.clip_norm,
            epoch,
            lr,
            buffers: &self.buffers,
        };
        let (losses, right) = (Shared::new(batches.len()), Shared::new(batches.len()));
        Team::run(self.threads(train.len()), |member| {
            let mut scratch = Scratch::default();
            if let Some(first) = batches.first() {
                run.begin(member, first);
            }
            for (s, rows) in batches.iter().enumerate() {
                member.meet();
                run.rows(member, rows, &mut scratch);
                member.meet();
                run.clip(member, rows.len(), s % 2);
                if member.index == 0 {
                    // SAFETY: the first member alone writes here; it is read when all are done.
                    unsafe {
                        losses.part(s..s + 1)[0] = (run.loss(rows.len()) * rows.len() as f64) as f32;
                        right.part(s..s + 1)[0] = run.right(rows.len());
                    }
                }
                run.weights(member, rows, batches.get(s + 1).copied(), (self.steps + s as i32 + 1, s % 2), &mut scratch);
            }
        });
        self.steps += batches.len() as i32;
        let sum = |values: Shared| values.into_values().into_iter().map(f64::from).sum();
        Ok(Pass::new(sum(losses), sum(right), train.len()))
    }

    fn head(&self) -> Result<Head> {
        let layers = self.layers.iter().map(Layer::to_head).collect();
        Ok(Head { spec: self.spec.clone(), batch_norm: self.layers[0].norm(), layers, neighbours: None })
    }

    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>> {
        let (outputs, classes) = (self.spec.outputs, self.spec.classes);
        let blocks: Vec<&[usize]> = rows.chunks(JUDGED).collect();
        let judged = Shared::new(rows.len() * classes);
        Team::run(self.threads(rows.len()).min(blocks.len().max(1)), |member| {
            for block in member.share(blocks.len()) {
                let logits = self.logits(blocks[block]);
                let at = block * JUDGED * classes;
                // SAFETY: each member writes the rows of its own blocks; they are read when all are done.
                let out = unsafe { judged.part(at..at + blocks[block].len() * classes) };
                for (z, p) in logits.chunks_exact(outputs).zip(out.chunks_exact_mut(classes)) {
                    Objective::probabilities(self.objective.loss, z, p);
                }
            }
        });
        Ok(judged.into_values())
    }
}
