//! Winograd's transforms F(m×m, 3×3) for points 0, ±p₁, …, ∞ (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016;
//! the choice of points after Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution", 2020).
//!
//! For a tile of n = m + 2 values d and the polynomial M(x) = x · Π (x² − p²), the input transform at a point q is the product of d
//! with the coefficients of M(x) / (x − q), the one at ∞ with those of M itself. Opposite points share their even and odd halves.

use crate::engine::native::simd::Simd;

/// A transform with `PAIRS` pairs of points: F(4, 3) has two, F(6, 3) three.
#[derive(Debug, Clone, Copy)]
pub struct Points<const PAIRS: usize>(pub [f32; PAIRS]);

/// F(4×4, 3×3): these points lose half as much as ±1, ±2.
pub const F4: Points<2> = Points([0.75, 1.5]);

/// F(6×6, 3×3).
pub const F6: Points<3> = Points([1.0, 2.0, 0.5]);

impl<const PAIRS: usize> Points<PAIRS> {
    /// Coefficients of Π (x² − p²) over the pairs but `except`, in x², lowest first, `PAIRS + 1` of them.
    #[inline(always)]
    fn product(&self, except: usize) -> [f32; 4] {
        let mut product = [1.0, 0.0, 0.0, 0.0];
        let mut degree = 0;
        let mut i = 0;
        while i < PAIRS {
            if i != except {
                let square = self.0[i] * self.0[i];
                degree += 1;
                let mut k = degree;
                while k > 0 {
                    product[k] = product[k - 1] - square * product[k];
                    k -= 1;
                }
                product[0] *= -square;
            }
            i += 1;
        }
        product
    }

    /// Transforms n = 2 · `PAIRS` + 2 inputs, `d(i)` being the i-th, and hands each result to `out`.
    #[inline(always)]
    pub fn input<S: Simd>(&self, s: S, d: impl Fn(usize) -> S::V, mut out: impl FnMut(usize, S::V)) {
        // Σ of every second input from `first` on, times the coefficients; the highest coefficient is 1.
        let sum = |first: usize, coefficients: [f32; 4], degree: usize| {
            let mut sum = d(first + 2 * degree);
            let mut k = degree;
            while k > 0 {
                k -= 1;
                sum = s.fma(s.splat(coefficients[k]), d(first + 2 * k), sum);
            }
            sum
        };
        let whole = self.product(PAIRS);
        out(0, sum(0, whole, PAIRS));
        let mut i = 0;
        while i < PAIRS {
            let coefficients = self.product(i);
            let (even, odd) = (sum(2, coefficients, PAIRS - 1), sum(1, coefficients, PAIRS - 1));
            out(1 + 2 * i, s.fma(s.splat(self.0[i]), odd, even));
            out(2 + 2 * i, s.fma(s.splat(-self.0[i]), odd, even));
            i += 1;
        }
        out(2 * PAIRS + 1, sum(1, whole, PAIRS));
    }

    /// Transforms n products back to m = 2 · `PAIRS` outputs.
    #[inline(always)]
    pub fn output<S: Simd>(&self, s: S, m: impl Fn(usize) -> S::V, mut out: impl FnMut(usize, S::V)) {
        let mut sums = [s.splat(0.0); PAIRS];
        let mut differences = sums;
        for i in 0..PAIRS {
            sums[i] = s.add(m(1 + 2 * i), m(2 + 2 * i));
            differences[i] = s.sub(m(1 + 2 * i), m(2 + 2 * i));
        }
        let last = 2 * PAIRS - 1;
        let mut power = [1.0; PAIRS];
        let mut k = 0;
        while k <= last {
            let from = if k % 2 == 0 { &sums } else { &differences };
            let mut sum = if power[0] == 1.0 { from[0] } else { s.mul(s.splat(power[0]), from[0]) };
            let mut i = 1;
            while i < PAIRS {
                sum = s.fma(s.splat(power[i]), from[i], sum);
                i += 1;
            }
            if k == 0 {
                sum = s.add(sum, m(0));
            }
            if k == last {
                sum = s.add(sum, m(2 * PAIRS + 1));
            }
            out(k, sum);
            for (power, p) in power.iter_mut().zip(self.0) {
                *power *= p;
            }
            k += 1;
        }
    }

    /// The kernel transform's matrix: row q is (1, q, q²) / Π (q − other finite points), the last (0, 0, 1).
    pub fn kernel_rows(&self) -> Vec<[f64; 3]> {
        let finite: Vec<f64> = std::iter::once(0.0).chain(self.0.iter().flat_map(|&p| [f64::from(p), -f64::from(p)])).collect();
        let row = |&q: &f64| {
            let scale: f64 = finite.iter().filter(|&&other| other != q).map(|other| q - other).product();
            [1.0 / scale, q / scale, q * q / scale]
        };
        finite.iter().map(row).chain([[0.0, 0.0, 1.0]]).collect()
    }
}
