//! Functions of vectors.

use super::vector::Simd;

/// Horner's scheme, highest coefficient first.
#[inline(always)]
pub(crate) fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

/// 2ˣ within 2 units in the last place, x held to ±126: by the nearest integer, and the polynomial
/// on ±½ whose largest relative error (2e-9) is least.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(126.0), s.max(s.splat(-126.0), x));
    let (power, n) = s.exp2_nearest(x);
    let rest = [1.534_581_2e-4, 1.339_993_1e-3, 9.618_489e-3, 5.550_328_6e-2, 0.240_226_46, std::f32::consts::LN_2, 1.0];
    s.mul(power, polynomial(s, s.sub(x, n), rest))
}
