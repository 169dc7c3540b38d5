//! Pillow's resampling, to the last bit: a convolution whose kernel widens when shrinking, first along rows, then along columns, rounded to
//! bytes in between, with weights in fixed point.
//!
//! Source: Pillow's `src/libImaging/Resample.c` (8 bits a channel) and `Geometry.c` (nearest), HPND licence.

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
    fn row(&self, y: usize) -> &'a [u8] {
        let start = ((self.top + y) * self.stride + self.left) * 3;
        &self.rgb[start..start + self.width * 3]
    }
}

/// Part of one axis of the result: `keep` of the `full` positions that the whole source would be resized to.
#[derive(Clone)]
pub(super) struct Axis {
    pub full: usize,
    pub keep: std::ops::Range<usize>,
}

/// Resizes to `columns.full` × `rows.full` pixels, of which only those kept are computed and appended to `out`.
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

/// For each kept position its first source position and its weights (`taps` of them, zeros at the end).
struct Weights {
    first: Vec<usize>,
    counts: Vec<usize>,
    taps: usize,
    values: Vec<i32>,
}

impl Weights {
    fn new(length: usize, axis: &Axis, filter: &Filter) -> Weights {
        let scale = length as f64 / axis.full as f64;
        let widening = scale.max(1.0);
        let support = filter.support * widening;
        let taps = support.ceil() as usize * 2 + 1;
        let mut weights = Weights { first: Vec::new(), counts: Vec::new(), taps, values: Vec::with_capacity(taps * axis.keep.len()) };
        let mut exact = vec![0.0; taps];
        for i in axis.keep.clone() {
            let centre = (i as f64 + 0.5) * scale;
            // `as` clamps below at 0, where Pillow does so by hand.
            let first = (centre - support + 0.5) as usize;
            let count = ((centre + support + 0.5) as usize).min(length) - first;
            let mut sum = 0.0;
            for (k, weight) in exact[..count].iter_mut().enumerate() {
                *weight = (filter.weight)(((k + first) as f64 - centre + 0.5) * (1.0 / widening));
                sum += *weight;
            }
            weights.first.push(first);
            weights.counts.push(count);
            weights.values.extend(exact[..count].iter().map(|&w| fixed(if sum == 0.0 { w } else { w / sum })));
            weights.values.resize(weights.first.len() * taps, 0);
        }
        weights
    }

    fn at(&self, i: usize) -> (usize, &[i32]) {
        (self.first[i], &self.values[i * self.taps..][..self.counts[i]])
    }

    /// Source positions that any kept position looks at.
    fn reach(&self) -> std::ops::Range<usize> {
        let end = self.first.iter().zip(&self.counts).map(|(first, count)| first + count).max();
        self.first.iter().copied().min().unwrap_or(0)..end.unwrap_or(0)
    }
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

const HALF: i32 = 1 << (PRECISION - 1);

fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn convolve(source: Source<'_>, filter: &Filter, columns: &Axis, rows: &Axis, out: &mut Vec<u8>) {
    let down = Weights::new(source.height, rows, filter);
    let across = Weights::new(source.width, columns, filter);
    let needed = down.reach();
    let width = columns.keep.len() * 3;
    let mut narrow = vec![0; needed.len() * width];
    for (row, y) in narrow.chunks_exact_mut(width).zip(needed.clone()) {
        along_row(source.row(y), &across, row);
    }
    let mut sums = vec![0; width];
    for i in 0..rows.keep.len() {
        let (first, weights) = down.at(i);
        sums.fill(HALF);
        for (row, &weight) in narrow[(first - needed.start) * width..].chunks_exact(width).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| byte(sum)));
    }
}

fn along_row(row: &[u8], weights: &Weights, out: &mut [u8]) {
    for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
        let (first, weights) = weights.at(i);
        let mut sums = [HALF; 3];
        for (value, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(value) {
                *sum += i32::from(value) * weight;
            }
        }
        for (byte_out, sum) in pixel.iter_mut().zip(sums) {
            *byte_out = byte(sum);
        }
    }
}
