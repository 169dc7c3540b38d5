//! A head in training: its layers with their optimiser states.

use super::aligned::Aligned;
use super::batches::PackedBatches;
use super::operands::{Packed, Products};
use super::product::Product;

use super::layer::Layer;
use super::layout::TILE;
use super::output::Activate;
use super::pack::{Mode, pack, place};
use super::step::{Buffers, Run};
use super::team::{Shared, Team};
use super::update;
use crate::heads::features::table::FeatureTable;
use crate::heads::features::task::Task;
use crate::heads::fitted::batch_norm::BatchNorm;
use crate::heads::fitted::head::Head;
use crate::heads::fitted::layer;
use crate::heads::fitted::probabilities::class_probabilities;
use crate::heads::settings::optimizer::Optimizer;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::dropout::Dropout;
use crate::heads::training::objective::Objective;
use crate::simd::{Isa, LANES};

/// Rows that are classified together.
const JUDGED: usize = 64;

/// A head in training.
pub(super) struct Learner {
    pub spec: HeadSpec,
    objective: Objective,
    optimizer: Optimizer,
    pub dropouts: Vec<Dropout>,
    layers: Vec<Layer>,
    buffers: Buffers,
    /// Steps of all epochs so far.
    pub steps: i32,
}

impl Learner {
    /// A head before its first step.
    pub(super) fn new(start: Head, task: Task<'_>) -> Learner {
        let Head { spec, fitted } = start;
        let layers = fitted.into_layers();
        let optimizer = *spec.optimizer();
        let dims = spec.dims();
        // Each matrix is freed once it has been laid out: a head may be as large as memory allows.
        let layer = |(l, from): (usize, layer::Layer)| Layer::new(dims[l], &from, update::states(&optimizer), l > 0);
        let layers: Vec<Layer> = layers.into_iter().enumerate().map(layer).collect();
        let objective = Objective::new(&spec, task.labels, &task.partition.train);
        let buffers = Buffers::new(&layers, spec.params().batch_size.min(task.partition.train.len()));
        Learner { dropouts: Dropout::of(&spec), spec, objective, optimizer, layers, buffers, steps: 0 }
    }

    /// The operands of one of its epochs.
    pub(super) fn run<'r>(&'r self, isa: Isa, task: Task<'r>, batches: &'r PackedBatches<'r>, (epoch, lr): (usize, f64)) -> Run<'r> {
        Run {
            isa,
            task,
            batches,
            layers: &self.layers,
            activation: self.spec.config().activation(),
            objective: &self.objective,
            optimizer: &self.optimizer,
            dropouts: &self.dropouts,
            clip_norm: self.spec.params().clip_norm,
            epoch,
            lr,
            steps: self.steps,
            buffers: &self.buffers,
        }
    }

    /// Operations of a pass over so many rows.
    pub(super) fn operations(&self, rows: usize) -> f64 {
        let weights: usize = self.layers.iter().map(|l| l.layout.len()).sum();
        4.0 * weights as f64 * rows as f64
    }

    /// The head in its present state.
    pub(super) fn head(&self, batch_norm: Option<BatchNorm>) -> Head {
        Head::new(&self.spec, batch_norm, self.layers.iter().map(Layer::to_head).collect())
    }

    /// Class probabilities of rows, `[rows, classes]`.
    pub(super) fn classify(
        &self,
        isa: Isa,
        table: &dyn FeatureTable,
        norm: Option<&BatchNorm>,
        rows: &[usize],
        threads: usize,
    ) -> Vec<f32> {
        let (outputs, classes) = (self.spec.outputs, self.spec.classes);
        let blocks: Vec<&[usize]> = rows.chunks(JUDGED).collect();
        let judged = Shared::new(rows.len() * classes);
        Team::run(threads.min(blocks.len().max(1)), |member| {
            for block in member.share(blocks.len()) {
                let logits = self.logits(isa, table, norm, blocks[block]);
                let at = block * JUDGED * classes;
                // SAFETY: each member writes the rows of its own blocks; they are read when all are
                // done.
                let out = unsafe { judged.part(at..at + blocks[block].len() * classes) };
                for (z, p) in logits.chunks_exact(outputs).zip(out.chunks_exact_mut(classes)) {
                    class_probabilities(&self.spec, z, p);
                }
            }
        });
        judged.into_values()
    }

    /// Logits of some rows, `[rows, outputs]`.
    fn logits(&self, isa: Isa, table: &dyn FeatureTable, norm: Option<&BatchNorm>, rows: &[usize]) -> Vec<f32> {
        let n = rows.len();
        let (mut packed, mut products, mut scratch) = (Aligned::zeros(0), Aligned::zeros(0), vec![]);
        for (l, layer) in self.layers.iter().enumerate() {
            let units = if l == 0 { vec![] } else { self.units(isa, l, &products, n) };
            products = Aligned::zeros(layer.layout.columns() * n);
            for c in 0..layer.chunks() {
                let chunk = layer.chunk(c);
                packed.resize(chunk.columns.tiles.len() * TILE * n);
                if l == 0 {
                    pack(isa, table, rows, &chunk.columns, Mode::Judge(norm), &mut scratch, &mut packed);
                } else {
                    let width = layer.layout.inputs - 1;
                    for b in 0..n {
                        place(isa, n, b, &chunk.columns, &units[b * width..][..width][chunk.columns.features.clone()], &mut packed);
                    }
                }
                let x = Packed::new(&packed, n, chunk.columns.tiles.start);
                let h = Products::new(&mut products, n);
                Product { layout: layer.layout, blocks: chunk.blocks.clone(), weights: chunk.weights(), x, h }.run(isa);
            }
        }
        self.row_major(self.layers.len() - 1, &products, n)
    }

    /// Activations that layer `l` reads, row by row.
    fn units(&self, isa: Isa, l: usize, products: &[f32], n: usize) -> Vec<f32> {
        let mut units = self.row_major(l - 1, products, n);
        let mut slopes = vec![1.0; units.len()];
        Activate { act: self.spec.config().activation(), units: &mut units, slopes: &mut slopes }.run(isa);
        units
    }

    fn row_major(&self, l: usize, products: &[f32], n: usize) -> Vec<f32> {
        let layout = self.layers[l].layout;
        let mut out = vec![0.0; n * layout.outputs];
        for panel in layout.panels() {
            let (start, width) = (panel.first * LANES, panel.vectors * LANES);
            let count = layout.outputs.min(start + width) - start;
            for b in 0..n {
                out[b * layout.outputs + start..][..count].copy_from_slice(&products[start * n + b * width..][..count]);
            }
        }
        out
    }
}
