//! The weights of a head in training, cut into chunks of inputs. The chunks do not depend on the
//! number of threads, so sums are always computed in the same order.

use std::ops::Range;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::aligned::Aligned;
use super::layout::{BLOCK, Layout, TILE};
use super::pack::Columns;
use crate::heads::fitted::layer;
use crate::heads::training::dropout::MASK_BLOCK;
use crate::simd::{Isa, LANES, transpose};

/// Blocks by which chunks are cut: 128 inputs, a block of the dropout mask.
const GRAIN: usize = MASK_BLOCK / (BLOCK * TILE);
/// Fewest inputs of a chunk, where there are several.
const FEWEST: usize = 256;
/// Most chunks of a layer.
const CHUNKS: usize = 4;
/// Most chunks of a layer of more than a million weights.
const CHUNKS_LARGE: usize = 8;

/// Some neighbouring inputs of a layer with their weights and optimiser states. Aligned to cache
/// lines of its own, because threads lock neighbouring chunks.
#[repr(align(128))]
pub(super) struct Chunk {
    /// Their blocks of the layer's weights.
    pub blocks: Range<usize>,
    /// The same inputs as features and tiles.
    pub columns: Columns,
    /// Their part of the weights, then the optimiser states in the same layout.
    memory: Aligned,
    /// Number of the weights.
    count: usize,
    /// The weights once more, transposed: from the layer's outputs to these inputs (all but the
    /// first layer).
    pub back: Option<Back>,
}

/// A transposed copy of a chunk's weights.
pub(super) struct Back {
    /// Its geometry.
    pub layout: Layout,
    /// Its values.
    pub weights: Aligned,
    /// Where its vectors lie: `[input][vector]`.
    places: Vec<usize>,
}

impl Back {
    fn new(layout: Layout) -> Back {
        let vectors = layout.vectors();
        let mut places = vec![0; layout.inputs * vectors];
        layout.runs(0..layout.blocks(), |input, output, at| places[input * vectors + output / LANES] = at);
        Back { layout, weights: Aligned::zeros(layout.len()), places }
    }
}

/// One fully connected layer. Its weights have one input more than there are features: the bias.
pub(super) struct Layer {
    /// Geometry.
    pub layout: Layout,
    chunks: Vec<RwLock<Chunk>>,
}

/// Poisoned locks are ignored: a panic while holding a chunk ends the whole team anyway.
impl Layer {
    /// A layer with `features` inputs from PyTorch's weight and bias.
    pub(super) fn new(features: usize, from: &layer::Layer, states: usize, has_back: bool) -> Layer {
        let outputs = from.bias.len();
        let layout = Layout { inputs: features + 1, outputs };
        let most = if layout.len() > 1 << 20 { CHUNKS_LARGE } else { CHUNKS };
        let grains = layout.blocks().div_ceil(GRAIN);
        // The tile of the bias does not justify a chunk of its own.
        let chunks = (features / FEWEST).clamp(1, most);
        let cut = |c: usize| (grains * c / chunks * GRAIN).min(layout.blocks());
        let chunk = |c| {
            let blocks = cut(c)..cut(c + 1);
            let columns = Columns::new(blocks.start * BLOCK..(blocks.end * BLOCK).min(layout.tiles()), features);
            let values = layout.block(blocks.start)..layout.block(blocks.end).min(layout.len());
            let back = has_back.then(|| Back::new(Layout { inputs: outputs, outputs: columns.features.len() }));
            let count = values.len();
            let mut memory = Aligned::zeros(count * (1 + states));
            layout.values(blocks.clone(), |input, output, at| {
                memory[at] = if input < features { from.weight[output * features + input] } else { from.bias[output] };
            });
            let mut chunk = Chunk { blocks, columns, memory, count, back };
            chunk.transpose(Isa::Portable, layout);
            RwLock::new(chunk)
        };
        Layer { layout, chunks: (0..chunks).map(chunk).collect() }
    }

    /// Number of chunks.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// A chunk to be read.
    pub(super) fn chunk(&self, index: usize) -> RwLockReadGuard<'_, Chunk> {
        self.chunks[index].read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A chunk to be changed.
    pub(super) fn chunk_mut(&self, index: usize) -> RwLockWriteGuard<'_, Chunk> {
        self.chunks[index].write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Weight and bias in PyTorch's layout.
    pub(super) fn to_head(&self) -> layer::Layer {
        let (features, outputs) = (self.layout.inputs - 1, self.layout.outputs);
        let (mut weight, mut bias) = (vec![0.0; features * outputs], vec![0.0; outputs]);
        for c in 0..self.chunks() {
            let chunk = self.chunk(c);
            self.layout.values(chunk.blocks.clone(), |input, output, at| {
                *(if input < features { &mut weight[output * features + input] } else { &mut bias[output] }) = chunk.weights()[at];
            });
        }
        layer::Layer { weight, bias }
    }
}

impl Chunk {
    /// The weights.
    pub(super) fn weights(&self) -> &[f32] {
        &self.memory[..self.count]
    }

    /// Weights and optimiser states.
    pub(super) fn parts(&mut self) -> (&mut [f32], [&mut [f32]; 3]) {
        let (weights, states) = self.memory.split_at_mut(self.count);
        let mut states = states.chunks_exact_mut(self.count.max(1));
        (weights, std::array::from_fn(|_| states.next().unwrap_or_default()))
    }

    /// Brings the transposed copy up to date.
    pub(super) fn transpose(&mut self, isa: Isa, layout: Layout) {
        let Some(back) = &mut self.back else { return };
        let (start, features, vectors) = (layout.block(self.blocks.start), &self.columns.features, back.layout.vectors());
        layout.squares(self.blocks.clone(), |input, panel, output, at| {
            let (at, column) = (at - start, input.saturating_sub(features.start));
            // The copy has no room for padding and bias, which are skipped.
            let whole = input + LANES <= features.end && output + LANES <= layout.outputs;
            if whole {
                let places = std::array::from_fn(|lane| back.places[(output + lane) * vectors + column / LANES]);
                return transpose(isa, &self.memory[at..self.count], panel, &mut back.weights, &places);
            }
            let rows = input..features.end.min(input + LANES);
            for (row, lane) in rows.flat_map(|row| (0..LANES.min(layout.outputs - output)).map(move |lane| (row, lane))) {
                let place = back.places[(output + lane) * vectors + column / LANES];
                back.weights[place + (row - input)] = self.memory[at + (row - input) * panel + lane];
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_comes_back_from_its_chunks_and_its_transposed_copy_follows() {
        for (features, outputs) in [(5, 3), (128, 16), (700, 20), (1025, 2)] {
            let weight: Vec<f32> = (0..features * outputs).map(|i| i as f32 + 1.0).collect();
            let from = layer::Layer { weight: weight.clone(), bias: vec![-1.0; outputs] };
            let layer = Layer::new(features, &from, 1, true);
            assert_eq!(layer.to_head(), from);
            for c in 0..layer.chunks() {
                let chunk = layer.chunk(c);
                let back = chunk.back.as_ref().unwrap();
                // [features of the chunk, outputs]
                let matrix = back.layout.to_matrix(&back.weights);
                for (i, input) in chunk.columns.features.clone().enumerate() {
                    assert!((0..outputs).all(|o| matrix[i * outputs + o] == weight[o * features + input]));
                }
            }
        }
    }
}
