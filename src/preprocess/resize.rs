//! Pillow's resampling, to the last bit: a separable convolution whose kernel widens when
//! shrinking, rounded to bytes between its two passes, with weights in fixed point.
//!
//! Source: Pillow 13's `src/libImaging/Resample.c` (8 bits a channel) and `Geometry.c` (nearest),
//! HPND licence.

use std::ops::Range;

use super::Interp;

/// A rectangle of an image of three bytes a pixel.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// All pixels of the image that the rectangle is part of.
    pub rgb: &'a [u8],
    /// Columns of that image.
    pub stride: usize,
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl<'a> Source<'a> {
    #[inline(always)]
    fn row(&self, y: usize) -> &'a [u8] {
        let start = ((self.top + y) * self.stride + self.left) * 3;
        &self.rgb[start..start + self.width * 3]
    }

    fn rows(self, rows: Range<usize>) -> Source<'a> {
        Source { top: self.top + rows.start, height: rows.len(), ..self }
    }

    fn columns(self, columns: Range<usize>) -> Source<'a> {
        Source { left: self.left + columns.start, width: columns.len(), ..self }
    }
}

/// Part of one axis of the result: `keep` of the `full` positions that the whole source would be
/// resized to.
#[derive(Clone)]
pub(super) struct Axis {
    pub full: usize,
    pub keep: Range<usize>,
}

/// Resizes to `columns.full` × `rows.full` pixels, of which only those kept are computed and
/// appended to `out`.
pub(super) fn resize(source: Source<'_>, columns: &Axis, rows: &Axis, interp: Interp, out: &mut Vec<u8>) {
    match interp {
        Interp::Nearest => nearest(source, columns, rows, out),
        Interp::Bilinear => convolve(source, &Filter { support: 1.0, weight: triangle }, columns, rows, out),
        Interp::Bicubic => convolve(source, &Filter { support: 2.0, weight: catmull_rom }, columns, rows, out),
    }
}

fn nearest(source: Source<'_>, columns: &Axis, rows: &Axis, out: &mut Vec<u8>) {
    let columns = nearest_positions(source.width, columns);
    for y in nearest_positions(source.height, rows) {
        let row = source.row(y);
        out.extend(columns.iter().flat_map(|&x| [row[3 * x], row[3 * x + 1], row[3 * x + 2]]));
    }
}

/// Positions add up in floating point as they do in Pillow, so that ties fall alike.
fn nearest_positions(length: usize, axis: &Axis) -> Vec<usize> {
    let step = length as f64 / axis.full as f64;
    let mut at = step * 0.5;
    let mut positions = Vec::with_capacity(axis.keep.len());
    for i in 0..axis.keep.end {
        if axis.keep.contains(&i) {
            positions.push((at as usize).min(length - 1));
        }
        at += step;
    }
    positions
}

struct Filter {
    support: f64,
    weight: fn(f64) -> f64,
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn catmull_rom(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// Bits after the point of a weight: 32 less 8 for the byte and 2 for sums beyond its range.
const PRECISION: u32 = 32 - 8 - 2;

/// Added to a sum so that it is rounded to the nearest byte.
const HALF: i32 = 1 << (PRECISION - 1);

/// Where each kept position looks: the first source position, and weights from there on, `taps` of
/// them with zeros at the end.
struct Weights {
    first: Vec<usize>,
    taps: usize,
    values: Vec<i32>,
    /// Source positions that any kept position looks at; `first` counts from its start.
    reach: Range<usize>,
}

impl Weights {
    fn new(length: usize, axis: &Axis, filter: &Filter) -> Weights {
        let scale = length as f64 / axis.full as f64;
        let widening = scale.max(1.0);
        let support = filter.support * widening;
        // `as` clamps below at 0, where Pillow does so by hand.
        let span = |i: usize| {
            let centre = (i as f64 + 0.5) * scale;
            (centre, (centre - support + 0.5) as usize..((centre + support + 0.5) as usize).min(length))
        };
        let taps = axis.keep.clone().map(|i| span(i).1.len()).max().unwrap_or(0);
        let reach = span(axis.keep.start).1.start..span(axis.keep.end - 1).1.end;
        let mut values = vec![0; taps * axis.keep.len()];
        let mut exact = Vec::with_capacity(taps);
        for (weights, i) in values.chunks_exact_mut(taps).zip(axis.keep.clone()) {
            let (centre, span) = span(i);
            exact.clear();
            exact.extend(span.map(|k| (filter.weight)((k as f64 - centre + 0.5) * (1.0 / widening))));
            let sum: f64 = exact.iter().sum();
            for (weight, &exact) in weights.iter_mut().zip(&exact) {
                *weight = fixed(if sum == 0.0 { exact } else { exact / sum });
            }
        }
        let first = axis.keep.clone().map(|i| span(i).1.start - reach.start).collect();
        Weights { first, taps, values, reach }
    }

    fn len(&self) -> usize {
        self.first.len()
    }
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

#[inline(always)]
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn convolve(source: Source<'_>, filter: &Filter, columns: &Axis, rows: &Axis, out: &mut Vec<u8>) {
    let across = Weights::new(source.width, columns, filter);
    let down = Weights::new(source.height, rows, filter);
    // The order matters to the last bit. Pillow 13 starts with the columns where the height shrinks
    // more than twice as much as the width; earlier versions never do.
    let shrinks_by = |before: usize, axis: &Axis| before as i64 - axis.full as i64;
    let (dw, dh) = (shrinks_by(source.width, columns), shrinks_by(source.height, rows));
    let source = source.columns(across.reach.clone()).rows(down.reach.clone());
    let start = out.len();
    out.resize(start + columns.keep.len() * rows.keep.len() * 3, 0);
    let out = &mut out[start..];
    let between = |rgb, width, height| Source { rgb, stride: width, left: 0, top: 0, width, height };
    if dh > 0 && dh > 2 * dw {
        let mut middle = vec![0; source.width * rows.keep.len() * 3];
        along_columns(source, &down, &mut middle);
        along_rows(between(&middle, source.width, rows.keep.len()), &across, out);
    } else {
        let mut middle = vec![0; columns.keep.len() * source.height * 3];
        along_rows(source, &across, &mut middle);
        along_columns(between(&middle, columns.keep.len(), source.height), &down, out);
    }
}

/// Both passes are plain loops over fixed-size arrays; compiled once more for AVX2 they run on its
/// wider integer products.
macro_rules! compiled_for_avx2_too {
    ($name:ident, $body:ident) => {
        fn $name(source: Source<'_>, weights: &Weights, out: &mut [u8]) {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                /// # Safety
                /// The CPU has AVX2.
                #[target_feature(enable = "avx2")]
                fn avx2(source: Source<'_>, weights: &Weights, out: &mut [u8]) {
                    $body(source, weights, out);
                }
                // SAFETY: AVX2 was detected just now, which is all that `avx2` enables.
                return unsafe { avx2(source, weights, out) };
            }
            $body(source, weights, out);
        }
    };
}

compiled_for_avx2_too!(along_rows, along_rows_body);
compiled_for_avx2_too!(along_columns, along_columns_body);

/// Shrinks or stretches every row. Pixels are widened to four numbers and taken four at a time.
#[inline(always)]
fn along_rows_body(source: Source<'_>, weights: &Weights, out: &mut [u8]) {
    const AT_ONCE: usize = 4;
    let groups = weights.taps.div_ceil(AT_ONCE);
    let mut wide_weights = vec![[[0; 4]; AT_ONCE]; groups * weights.len()];
    for (wide, weights) in wide_weights.chunks_exact_mut(groups).zip(weights.values.chunks_exact(weights.taps)) {
        for (wide, &weight) in wide.as_flattened_mut().iter_mut().zip(weights) {
            *wide = [weight; 4];
        }
    }
    // Black behind the row, under weights of zero.
    let mut row = vec![[0; 4]; source.width + AT_ONCE * groups];
    let mut sums = vec![[0; 4]; weights.len()];
    for (y, out) in out.chunks_exact_mut(weights.len() * 3).enumerate() {
        for (wide, &[r, g, b]) in row.iter_mut().zip(source.row(y).as_chunks::<3>().0) {
            *wide = [r, g, b, 0].map(i32::from);
        }
        for (sum, (&first, weights)) in sums.iter_mut().zip(weights.first.iter().zip(wide_weights.chunks_exact(groups))) {
            let mut partial = [[HALF; 4], [0; 4]];
            for (values, weights) in row[first..].as_chunks::<AT_ONCE>().0.iter().zip(weights) {
                for tap in 0..AT_ONCE {
                    for c in 0..4 {
                        partial[tap % 2][c] += values[tap][c] * weights[tap][c];
                    }
                }
            }
            for c in 0..4 {
                sum[c] = partial[0][c] + partial[1][c];
            }
        }
        for (pixel, sum) in out.as_chunks_mut::<3>().0.iter_mut().zip(&sums) {
            for c in 0..3 {
                pixel[c] = byte(sum[c]);
            }
        }
    }
}

/// Shrinks or stretches every column: whole rows are weighed and added, a block of bytes at a time
/// so that the sums stay in registers.
#[inline(always)]
fn along_columns_body(source: Source<'_>, weights: &Weights, out: &mut [u8]) {
    const BLOCK: usize = 32;
    let width = source.width * 3;
    for (i, out) in out.chunks_exact_mut(width).enumerate() {
        let first = weights.first[i];
        let weights = &weights.values[i * weights.taps..][..weights.taps.min(source.height - first)];
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let done = blocks.len() * BLOCK;
        for (b, block) in blocks.iter_mut().enumerate() {
            let mut sums = [HALF; BLOCK];
            for (k, &weight) in weights.iter().enumerate() {
                let values = &source.row(first + k)[b * BLOCK..][..BLOCK];
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (out, sum) in block.iter_mut().zip(sums) {
                *out = byte(sum);
            }
        }
        for (at, out) in (done..).zip(rest) {
            let sum: i32 = weights.iter().enumerate().map(|(k, &weight)| i32::from(source.row(first + k)[at]) * weight).sum();
            *out = byte(sum + HALF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_passes_give_the_same_bytes() {
        let rgb: Vec<u8> = (0..31 * 23 * 3_usize).map(|i| (i * i / 7) as u8).collect();
        let source = Source { rgb: &rgb, stride: 31, left: 2, top: 1, width: 27, height: 21 };
        for (full, support, weight) in
            [(9, 1.0, triangle as fn(f64) -> f64), (50, 1.0, triangle), (8, 2.0, catmull_rom), (40, 2.0, catmull_rom)]
        {
            let axis = Axis { full, keep: 1..full - 1 };
            let filter = Filter { support, weight };
            let (across, down) = (Weights::new(source.width, &axis, &filter), Weights::new(source.height, &axis, &filter));
            let (wide, tall) = (source.columns(across.reach.clone()), source.rows(down.reach.clone()));
            let both = |passes: [fn(Source<'_>, &Weights, &mut [u8]); 2], length: usize| {
                passes.map(|pass| {
                    let mut out = vec![0; length];
                    let (source, weights) = if length == across.len() * 21 * 3 { (wide, &across) } else { (tall, &down) };
                    pass(source, weights, &mut out);
                    out
                })
            };
            let [fast, portable] = both([along_rows, along_rows_body], across.len() * 21 * 3);
            assert!(fast == portable && fast.iter().any(|&b| b != fast[0]));
            let [fast, portable] = both([along_columns, along_columns_body], down.len() * 27 * 3);
            assert!(fast == portable && fast.iter().any(|&b| b != fast[0]));
        }
    }
}
