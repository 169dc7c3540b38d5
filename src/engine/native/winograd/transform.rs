//! Winograd's transforms F(m×m, 3×3) for points 0, ±p₁, …, ∞ (Lavin & Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016; the choice of points after Barabasz et al., "Error
//! Analysis and Improving the Accuracy of Winograd Convolution", 2020).
//!
//! For a tile of n = m + 2 values d and the polynomial M(x) = x · Π (x² − p²), the input transform
//! at a point q is the product of d with the coefficients of M(x) / (x − q), the one at ∞ with
//! those of M itself. Opposite points share their even and odd halves. Everything is a constant of
//! the tile, so that a transform is some two dozen vector operations on registers.

use crate::simd::Simd;

/// Most inputs of a tile's side.
pub(super) const MOST: usize = 8;

/// A tile size with its points. Arrays hold [`MOST`] values, of which the first few are used.
pub(super) trait Tile {
    /// Outputs of a side.
    const OUT: usize;
    /// Inputs of a side, and points.
    const IN: usize = Self::OUT + 2;
    /// The finite points in the order of the transforms' values; ∞ comes last.
    const POINTS: &'static [f64];

    /// Transforms one line of inputs.
    fn input<S: Simd>(s: S, d: &[S::V; MOST]) -> [S::V; MOST];

    /// Transforms one line of products back.
    fn output<S: Simd>(s: S, m: &[S::V; MOST]) -> [S::V; MOST];
}

/// The kernel transform's matrix: row q is (1, q, q²) / Π (q − other finite points), the last (0,
/// 0, 1).
pub(super) fn kernel_rows<T: Tile>() -> Vec<[f64; 3]> {
    let row = |&q: &f64| {
        let scale: f64 = T::POINTS.iter().filter(|&&other| other != q).map(|other| q - other).product();
        [1.0 / scale, q / scale, q * q / scale]
    };
    T::POINTS.iter().map(row).chain([[0.0, 0.0, 1.0]]).collect()
}

/// a · x + b · y + z, with constants a and b.
#[inline(always)]
fn sum<S: Simd>(s: S, a: f32, x: S::V, b: f32, y: S::V, z: S::V) -> S::V {
    s.fma(s.splat(a), x, s.fma(s.splat(b), y, z))
}

/// even + p · odd and even − p · odd.
#[inline(always)]
fn pair<S: Simd>(s: S, p: f32, even: S::V, odd: S::V) -> [S::V; 2] {
    [s.fma(s.splat(p), odd, even), s.fma(s.splat(-p), odd, even)]
}

/// F(4×4, 3×3): these points lose half as much as ±1, ±2.
pub(super) struct F4;

impl Tile for F4 {
    const OUT: usize = 4;
    const POINTS: &'static [f64] = &[0.0, 0.75, -0.75, 1.5, -1.5];

    #[inline(always)]
    fn input<S: Simd>(s: S, d: &[S::V; MOST]) -> [S::V; MOST] {
        // (x² − 9/16)(x² − 9/4) = x⁴ − 45/16 x² + 81/64
        const ONE: f32 = -45.0 / 16.0;
        const ZERO: f32 = 81.0 / 64.0;
        let first = sum(s, ZERO, d[0], ONE, d[2], d[4]);
        let last = sum(s, ZERO, d[1], ONE, d[3], d[5]);
        let by = |square: f32, low: usize| s.fma(s.splat(-square), d[low], d[low + 2]);
        let [a, b] = pair(s, 0.75, by(2.25, 2), by(2.25, 1));
        let [e, f] = pair(s, 1.5, by(0.5625, 2), by(0.5625, 1));
        [first, a, b, e, f, last, last, last]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: &[S::V; MOST]) -> [S::V; MOST] {
        let (s1, s2) = (s.add(m[1], m[2]), s.add(m[3], m[4]));
        let (d1, d2) = (s.sub(m[1], m[2]), s.sub(m[3], m[4]));
        let zero = s.add(m[0], s.add(s1, s2));
        let one = s.mul(s.splat(0.75), s.fma(s.splat(2.0), d2, d1));
        let two = s.mul(s.splat(0.5625), s.fma(s.splat(4.0), s2, s1));
        let three = sum(s, 0.421_875, d1, 3.375, d2, m[5]);
        [zero, one, two, three, three, three, three, three]
    }
}

/// F(5×5, 3×3): one point stands alone.
pub(super) struct F5;

impl Tile for F5 {
    const OUT: usize = 5;
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 0.5, -0.5, 2.0];

    #[inline(always)]
    fn input<S: Simd>(s: S, d: &[S::V; MOST]) -> [S::V; MOST] {
        let less_twice = |x: S::V, y: S::V| s.fma(s.splat(-2.0), y, x);
        // (x² − 1)(x² − 1/4) = x⁴ − 5/4 x² + 1/4
        let both = |low: usize| sum(s, 0.25, d[low], -1.25, d[low + 2], d[low + 4]);
        let [q0, q1, q2] = [both(0), both(1), both(2)];
        let by = |square: f32, low: usize| s.fma(s.splat(-square), d[low], d[low + 2]);
        // x (x − 2) and x² (x − 2) times the square of the other pair.
        let times = |square: f32| {
            let [a, b, c] = [by(square, 1), by(square, 2), by(square, 3)];
            (less_twice(c, b), less_twice(b, a))
        };
        let (even, odd) = times(0.25);
        let [a, b] = pair(s, 1.0, even, odd);
        let (even, odd) = times(1.0);
        let [e, f] = pair(s, 0.5, even, odd);
        let last = less_twice(q2, q1);
        [less_twice(q1, q0), a, b, e, f, q1, last, last]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: &[S::V; MOST]) -> [S::V; MOST] {
        let (s1, s2) = (s.add(m[1], m[2]), s.add(m[3], m[4]));
        let (d1, d2) = (s.sub(m[1], m[2]), s.sub(m[3], m[4]));
        let zero = s.add(s.add(m[0], m[5]), s.add(s1, s2));
        let one = sum(s, 0.5, d2, 2.0, m[5], d1);
        let two = sum(s, 0.25, s2, 4.0, m[5], s1);
        let three = sum(s, 0.125, d2, 8.0, m[5], d1);
        let four = s.add(m[6], sum(s, 0.0625, s2, 16.0, m[5], s1));
        [zero, one, two, three, four, four, four, four]
    }
}

/// F(6×6, 3×3).
pub(super) struct F6;

impl Tile for F6 {
    const OUT: usize = 6;
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

    #[inline(always)]
    fn input<S: Simd>(s: S, d: &[S::V; MOST]) -> [S::V; MOST] {
        // (x² − 1)(x² − 4)(x² − 1/4) = x⁶ − 21/4 x⁴ + 21/4 x² − 1
        let first = s.fma(s.splat(5.25), s.sub(d[2], d[4]), s.sub(d[6], d[0]));
        let last = s.fma(s.splat(5.25), s.sub(d[3], d[5]), s.sub(d[7], d[1]));
        // The product of the two squares other than each point's own, as coefficients of x⁰ and x².
        let by = |zero: f32, one: f32, low: usize| sum(s, zero, d[low], one, d[low + 2], d[low + 4]);
        let [a, b] = pair(s, 1.0, by(1.0, -4.25, 2), by(1.0, -4.25, 1));
        let [c, e] = pair(s, 2.0, by(0.25, -1.25, 2), by(0.25, -1.25, 1));
        let [f, g] = pair(s, 0.5, by(4.0, -5.0, 2), by(4.0, -5.0, 1));
        [first, a, b, c, e, f, g, last]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: &[S::V; MOST]) -> [S::V; MOST] {
        let sums = [s.add(m[1], m[2]), s.add(m[3], m[4]), s.add(m[5], m[6])];
        let differences = [s.sub(m[1], m[2]), s.sub(m[3], m[4]), s.sub(m[5], m[6])];
        let by = |[one, two, half]: [S::V; 3], a: f32, b: f32| sum(s, a, two, b, half, one);
        let zero = s.add(s.add(m[0], sums[0]), s.add(sums[1], sums[2]));
        let one = by(differences, 2.0, 0.5);
        let two = by(sums, 4.0, 0.25);
        let three = by(differences, 8.0, 0.125);
        let four = by(sums, 16.0, 0.0625);
        let five = s.add(m[7], by(differences, 32.0, 0.031_25));
        [zero, one, two, three, four, five, five, five]
    }
}
