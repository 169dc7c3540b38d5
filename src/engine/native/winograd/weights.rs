//! Weights at each point of Winograd's transforms, as products read them.

use rayon::prelude::*;

use super::tiling::DIGITS;
use crate::engine::native::dense::widths;
use crate::engine::native::split_int8;
use crate::plan::ConvShape;
use crate::simd::{Isa, LANES, Line, zeroed_lines};

/// For products in AMX tiles.
pub(super) fn pack_tiles(conv: &ConvShape, weight: &[f32], rows: &[[f64; 3]]) -> split_int8::Weights {
    let points = rows.len() * rows.len();
    let blocks = conv.output.div_ceil(LANES);
    let mut packed = split_int8::Weights::zeros(DIGITS, conv.input, blocks, points);
    let writers: Vec<split_int8::Writer> = (0..points).map(|point| packed.writer(point)).collect();
    (0..blocks).into_par_iter().for_each(|block| {
        // All channels of a point, as their scale follows from the largest.
        let mut values = vec![[0.0f32; LANES]; points * conv.input];
        transform_block(conv, weight, rows, block, &mut |point, channel, value| values[point * conv.input + channel] = value);
        for (writer, channels) in writers.iter().zip(values.chunks_exact(conv.input)) {
            // SAFETY: each block is transformed by one thread, which writes that block alone.
            unsafe { writer.put(block, channels) };
        }
    });
    packed
}

/// For products by vectors: `[point][tile of V blocks][input channel][V · 16]`.
pub(super) fn pack_vectors(isa: Isa, conv: &ConvShape, weight: &[f32], rows: &[[f64; 3]]) -> Vec<Line> {
    let points = rows.len() * rows.len();
    let blocks = conv.output.div_ceil(LANES);
    let per_point = blocks * conv.input;
    let mut packed = zeroed_lines(points * per_point * LANES);
    // The place of line (tile, channel, v) of a point; the inner loop runs over points, so blocks
    // are computed apart and then written.
    let lines: Vec<(usize, usize)> = widths(isa, blocks)
        .iter()
        .flat_map(|&(first, width)| (0..width).map(move |v| (first, width, v)))
        .map(|(f, w, v)| (f * conv.input + v, w))
        .collect();
    struct Shared(*mut Line);
    // SAFETY: tasks share the pointer alone, and each writes the lines of its own block.
    unsafe impl Sync for Shared {}
    let to = &Shared(packed.as_mut_ptr());
    (0..blocks).into_par_iter().for_each(|block| {
        let (start, width) = lines[block];
        transform_block(conv, weight, rows, block, &mut |point, channel, values| {
            let at = point * per_point + start + channel * width;
            assert!(at < points * per_point);
            // SAFETY: the line lies inside the buffer, as asserted, and belongs to this block
            // alone.
            unsafe { to.0.add(at).write(Line(values)) };
        });
    });
    packed
}

/// Passes the weights of an output block at each (point, input channel) to `tell`.
fn transform_block(conv: &ConvShape, weight: &[f32], rows: &[[f64; 3]], block: usize, tell: &mut dyn FnMut(usize, usize, [f32; LANES])) {
    let lanes = block * LANES..((block + 1) * LANES).min(conv.output);
    let mut halfway = vec![[[0.0f64; LANES]; 3]; rows.len()];
    for channel in 0..conv.input {
        for (row, half) in rows.iter().zip(&mut halfway) {
            for (x, half) in half.iter_mut().enumerate() {
                for (lane, o) in lanes.clone().enumerate() {
                    let kernel = &weight[(o * conv.input + channel) * 9..][..9];
                    half[lane] = (0..3).map(|y| row[y] * f64::from(kernel[y * 3 + x])).sum();
                }
            }
        }
        for (i, half) in halfway.iter().enumerate() {
            for (j, row) in rows.iter().enumerate() {
                let value = |lane: usize| (0..3).map(|x| row[x] * half[x][lane]).sum::<f64>() as f32;
                tell(i * rows.len() + j, channel, std::array::from_fn(value));
            }
        }
    }
}
