//! Transfer between the caller's batches and the arena: pixels or floats in, row-major features
//! out.

use super::memory::{Map, Operand, Unit};
use crate::engine::Batch;
use crate::simd::LANES;

/// Writes one image of a batch into its place, halo apart.
pub(super) fn load(batch: &Batch<'_>, image: usize, unit: &Unit<'_>, slot: usize, operand: &Operand) {
    let map = operand.map;
    for block in 0..map.blocks() {
        // SAFETY: the input is written before any step begins, by one thread for each image.
        let to = unsafe { unit.write(operand, slot, block) };
        for lane in 0..map.lane.min(map.channels - block * map.lane) {
            let channel = block * map.lane + lane;
            for y in 0..map.height {
                let row = to[map.at(0, y, 0) + lane..].iter_mut().step_by(map.lane).take(map.width);
                match *batch {
                    Batch::Pixels { rgb, normalise, .. } => {
                        let from = if normalise.bgr { 2 - channel } else { channel };
                        let (scale, shift) = (normalise.scale[channel], normalise.shift[channel]);
                        let pixels = rgb[(image * map.pixels() + y * map.width) * 3..].chunks_exact(3);
                        row.zip(pixels).for_each(|(value, pixel)| *value = f32::from(pixel[from]) * scale + shift);
                    }
                    Batch::Floats { data, .. } => {
                        let from = &data[((image * map.channels + channel) * map.height + y) * map.width..];
                        row.zip(from).for_each(|(value, &x)| *value = x);
                    }
                }
            }
        }
    }
}

/// Copies one image's map out in C, H, W order.
pub(super) fn store(map: &Map, from: &[f32], to: &mut [f32]) {
    for (channel, plane) in to.chunks_exact_mut(map.pixels()).enumerate() {
        for (y, row) in plane.chunks_exact_mut(map.width).enumerate() {
            if map.packed {
                let upper = channel / LANES % 2 == 1;
                let words = from[map.at(channel / (2 * LANES), y, 0) + channel % LANES..].iter().step_by(LANES).map(|word| word.to_bits());
                let bits = words.map(|word| if upper { word & 0xFFFF_0000 } else { word << 16 });
                row.iter_mut().zip(bits).for_each(|(value, bits)| *value = f32::from_bits(bits));
                continue;
            }
            let line = from[map.at(channel / map.lane, y, 0) + channel % map.lane..].iter().step_by(map.lane);
            row.iter_mut().zip(line).for_each(|(value, &x)| *value = x);
        }
    }
}
