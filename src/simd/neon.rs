//! Four 128-bit registers.

use std::arch::aarch64::*;

use super::vector::{Simd, Vectorized};

/// Token for Advanced SIMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neon(());

impl Neon {
    /// The token, where the CPU has the instructions: nearly every AArch64 CPU does.
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

type V = [float32x4_t; 4];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Neon {
    type V = V;

    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Neon(())
    }

    #[inline(always)]
    fn vectorize<W: Vectorized>(self, work: W) -> W::Output {
        work.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD; the caller promises sixteen values
        // at the pointer.
        unsafe { [vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: V) {
        for (i, part) in v.into_iter().enumerate() {
            // SAFETY: `self` proves that the CPU has Advanced SIMD; the caller promises sixteen
            // values at the pointer.
            unsafe { vst1q_f32(to.add(4 * i), part) };
        }
    }

    #[inline(always)]
    fn nonzero_lanes(self, x: V) -> u16 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        // SAFETY: `self` proves that the CPU has Advanced SIMD; `BITS` holds the four words that
        // are loaded. A lane of all ones where it equals 0 leaves no bit, else its own; the four
        // are added up.
        let quarters = x.map(|x| unsafe { vaddvq_u32(vbicq_u32(vld1q_u32(BITS.as_ptr()), vceqzq_f32(x))) as u16 });
        quarters.iter().rev().fold(0, |all, quarter| all << 4 | quarter)
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        zip(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        zip(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        zip(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        zip(a, b, |a, b| unsafe { vdivq_f32(a, b) })
    }

    #[inline(always)]
    fn sqrt(self, x: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        x.map(|x| unsafe { vsqrtq_f32(x) })
    }

    #[inline(always)]
    fn quotient(self, a: V, b: V) -> V {
        self.div(a, b)
    }

    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        unsafe { [vfmaq_f32(c[0], a[0], b[0]), vfmaq_f32(c[1], a[1], b[1]), vfmaq_f32(c[2], a[2], b[2]), vfmaq_f32(c[3], a[3], b[3])] }
    }

    #[inline(always)]
    fn max(self, bound: V, x: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        zip(bound, x, |a, b| unsafe { vmaxq_f32(a, b) })
    }

    #[inline(always)]
    fn min(self, bound: V, x: V) -> V {
        // SAFETY: `self` proves that the CPU has Advanced SIMD.
        zip(bound, x, |a, b| unsafe { vminq_f32(a, b) })
    }

    #[inline(always)]
    fn exp2_nearest(self, x: V) -> (V, V) {
        let mut powers = x;
        let mut integers = x;
        for i in 0..4 {
            // SAFETY: `self` proves that the CPU has Advanced SIMD.
            unsafe {
                integers[i] = vrndnq_f32(x[i]);
                let bits = vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(integers[i]), vdupq_n_s32(127)));
                powers[i] = vreinterpretq_f32_s32(bits);
            }
        }
        (powers, integers)
    }
}
