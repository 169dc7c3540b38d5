//! Moves of channels: concatenations, slices and shuffles that no view can express, flattening.
//!
//! *Layout*: blocked maps. Whole blocks are copied by lines; other channels are moved four at a
//! time, in strips of pixels that stay in the first-level cache. Concatenations and slices at
//! multiples of sixteen channels cost nothing: they are views, and this kernel is not used; a chain
//! of moves is one move ([`super::rewrite`]).

use super::memory::{Operand, Unit};
use super::step::Kernel;
use crate::simd::LANES;

/// Source and channel that an output channel is a copy of.
pub(super) type Source = (usize, usize);

/// Channels that move together.
const TOGETHER: usize = 4;

/// Most pixels of a strip.
const STRIP: usize = 64;

/// A prepared move of whole channels.
pub(super) struct Gather {
    inputs: Vec<Operand>,
    output: Operand,
    channels: Vec<Source>,
    /// Whether no map has gaps between its rows.
    flat: bool,
}

/// Pixels side by side.
struct Strip {
    y: usize,
    x: usize,
    len: usize,
}

impl Gather {
    /// Output channel `c` is channel `channels[c].1` of `inputs[channels[c].0]`.
    pub(super) fn new(inputs: Vec<Operand>, output: Operand, channels: &[Source]) -> Gather {
        assert_eq!(channels.len(), output.map.channels);
        let size = |o: &Operand| [o.map.height, o.map.width, o.map.lane];
        let fits = |&(source, channel): &Source| channel < inputs[source].map.channels;
        assert!(inputs.iter().all(|i| size(i) == size(&output)) && channels.iter().all(fits), "channels of maps of one size");
        let flat = output.map.is_flat() && inputs.iter().all(|i| i.map.is_flat());
        Gather { inputs, output, channels: channels.to_vec(), flat }
    }

    fn strips(&self) -> impl Iterator<Item = Strip> {
        let [rows, columns] = if self.flat { [1, self.output.map.pixels()] } else { [self.output.map.height, self.output.map.width] };
        (0..rows).flat_map(move |y| (0..columns).step_by(STRIP).map(move |x| Strip { y, x, len: STRIP.min(columns - x) }))
    }
}

impl Kernel for Gather {
    fn label(&self) -> &str {
        "gather"
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.output.map.blocks()
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        let to = &self.output.map;
        let (block, image) = (task % to.blocks(), task / to.blocks());
        let lanes = &self.channels[block * LANES..((block + 1) * LANES).min(to.channels)];
        let (first, channel) = lanes[0];
        let whole = channel % LANES == 0 && lanes.iter().enumerate().all(|(i, &lane)| lane == (first, channel + i));
        for strip in self.strips() {
            let from = |(source, channel): Source| {
                let operand = &self.inputs[source];
                let at = operand.map.at(channel / LANES, strip.y, strip.x) + channel % LANES;
                unit.at(operand, image).cast_const().wrapping_add(at)
            };
            let output = unit.at(&self.output, image).wrapping_add(to.at(block, strip.y, strip.x));
            // SAFETY: `Unit::at` checks the maps, and all are of one size; earlier steps are
            // complete, and each task has an output block of its own.
            unsafe {
                if whole {
                    from(lanes[0]).copy_to_nonoverlapping(output, strip.len * LANES);
                    continue;
                }
                for (i, lanes) in lanes.chunks(TOGETHER).enumerate() {
                    // Lanes behind the last channel repeat its numbers; no kernel uses them.
                    let sources: [*const f32; TOGETHER] = std::array::from_fn(|k| from(lanes[k.min(lanes.len() - 1)]));
                    for x in 0..strip.len {
                        let values = sources.map(|source| *source.add(x * LANES));
                        output.add(x * LANES + i * TOGETHER).cast::<[f32; TOGETHER]>().write(values);
                    }
                }
            }
        }
    }
}

/// A map as a vector in C, H, W order.
pub(super) struct Flatten {
    input: Operand,
    output: Operand,
}

impl Flatten {
    /// `output` is a map of one pixel.
    pub(super) fn new(input: Operand, output: Operand) -> Flatten {
        Flatten { input, output }
    }
}

impl Kernel for Flatten {
    fn label(&self) -> &str {
        "flatten"
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        // SAFETY: earlier steps are complete, and each task has an image of its own.
        let input = unsafe { unit.read(&self.input, task) };
        for block in 0..self.output.map.blocks() {
            // SAFETY: as for the input: no other task uses this image.
            let to = unsafe { unit.write(&self.output, task, block) };
            let values = to[self.output.map.origin..].iter_mut().take(LANES.min(self.output.map.channels - block * LANES));
            for (lane, value) in values.enumerate() {
                *value = input[planar_offset(&self.input, block * LANES + lane)];
            }
        }
    }
}

/// Offset of the `index`-th number of a map in C, H, W order.
pub(super) fn planar_offset(operand: &Operand, index: usize) -> usize {
    let map = &operand.map;
    let (channel, pixel) = (index / map.pixels(), index % map.pixels());
    map.at(channel / map.lane, pixel / map.width, pixel % map.width) + channel % map.lane
}
