//! Moving channels: concatenation, slices and shuffles that no view can express, flattening.
//!
//! *Layout*: blocked maps. A block whose sixteen channels come side by side from one source block is copied by lines, else channel by
//! channel. Concatenations and slices at multiples of sixteen channels cost nothing: they are views, and this kernel is not used.

use super::memory::{Operand, Unit};
use super::simd::LANES;
use super::step::Kernel;

/// Which channel of which source an output channel is.
pub type Source = (usize, usize);

/// A prepared move of whole channels.
pub struct Gather {
    inputs: Vec<Operand>,
    output: Operand,
    channels: Vec<Source>,
}

impl Gather {
    /// Output channel `c` is channel `channels[c].1` of `inputs[channels[c].0]`.
    pub fn new(inputs: Vec<Operand>, output: Operand, channels: Vec<Source>) -> Gather {
        assert_eq!(channels.len(), output.map.channels);
        Gather { inputs, output, channels }
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
        // SAFETY: earlier steps are complete, and each task has an output block of its own.
        let output = unsafe { unit.write(&self.output, image, block) };
        let lanes = &self.channels[block * LANES..((block + 1) * LANES).min(to.channels)];
        let mut lane = 0;
        while lane < lanes.len() {
            let (source, channel) = lanes[lane];
            // Channels that lie side by side in the source's block, too.
            let room = lanes.len() - lane;
            let run = (1..room.min(LANES - channel % LANES)).take_while(|&i| lanes[lane + i] == (source, channel + i)).count() + 1;
            let from = &self.inputs[source];
            // SAFETY: as above.
            let input = unsafe { unit.read(from, image) };
            for y in 0..to.height {
                let first = from.map.at(channel / LANES, y, 0) + channel % LANES;
                let pixels = output[to.at(0, y, 0)..][..to.width * LANES].chunks_exact_mut(LANES);
                for (x, pixel) in pixels.enumerate() {
                    pixel[lane..lane + run].copy_from_slice(&input[first + x * LANES..][..run]);
                }
            }
            lane += run;
        }
    }
}

/// A map as a vector in C, H, W order.
pub struct Flatten {
    input: Operand,
    output: Operand,
}

impl Flatten {
    /// `output` is a map of one pixel.
    pub fn new(input: Operand, output: Operand) -> Flatten {
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
            // SAFETY: as above.
            let to = unsafe { unit.write(&self.output, task, block) };
            let values = to[self.output.map.origin..].iter_mut().take(LANES.min(self.output.map.channels - block * LANES));
            for (lane, value) in values.enumerate() {
                *value = input[planar_offset(&self.input, block * LANES + lane)];
            }
        }
    }
}

/// Where the `index`-th number of a map in C, H, W order lies.
pub fn planar_offset(operand: &Operand, index: usize) -> usize {
    let map = &operand.map;
    let (channel, pixel) = (index / map.pixels(), index % map.pixels());
    map.at(channel / map.lane, pixel / map.width, pixel % map.width) + channel % map.lane
}
