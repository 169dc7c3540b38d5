//! Sixteen lanes as a plain array, for CPUs without a token of their own.

use super::vector::{LANES, Simd, Vectorized};

/// Token that every CPU gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

type V = [f32; LANES];

impl Simd for Portable {
    type V = V;

    const REGISTERS: usize = 4;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Portable
    }

    #[inline(always)]
    fn vectorize<W: Vectorized>(self, work: W) -> W::Output {
        work.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> V {
        // SAFETY: the caller promises sixteen values at the pointer; no alignment is assumed.
        unsafe { from.cast::<V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: V) {
        // SAFETY: the caller promises sixteen values at the pointer; no alignment is assumed.
        unsafe { to.cast::<V>().write_unaligned(v) }
    }

    #[inline(always)]
    fn nonzero_lanes(self, x: V) -> u16 {
        x.iter().enumerate().fold(0, |bits, (i, &x)| bits | u16::from(x != 0.0) << i)
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        std::array::from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn sqrt(self, x: V) -> V {
        x.map(f32::sqrt)
    }

    #[inline(always)]
    fn quotient(self, a: V, b: V) -> V {
        self.div(a, b)
    }

    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        // Two roundings: `f32::mul_add` would be a function call on a CPU without the instruction.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn max(self, bound: V, x: V) -> V {
        std::array::from_fn(|i| if bound[i] > x[i] { bound[i] } else { x[i] })
    }

    #[inline(always)]
    fn min(self, bound: V, x: V) -> V {
        std::array::from_fn(|i| if bound[i] < x[i] { bound[i] } else { x[i] })
    }

    #[inline(always)]
    fn exp2_nearest(self, x: V) -> (V, V) {
        let n: V = std::array::from_fn(|i| x[i].round_ties_even());
        (std::array::from_fn(|i| f32::from_bits(((n[i] as i32 + 127) as u32) << 23)), n)
    }
}
