//! Two 256-bit registers.

use std::arch::x86_64::*;

use super::vector::{Simd, Vectorized};

/// Token for AVX2 with FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Avx2(());

impl Avx2 {
    /// The token, where the CPU has the instructions.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
}

type V = [__m256; 2];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(__m256, __m256) -> __m256) -> V {
    [f(a[0], b[0]), f(a[1], b[1])]
}

impl Simd for Avx2 {
    type V = V;

    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Avx2(())
    }

    #[inline(always)]
    fn vectorize<W: Vectorized>(self, work: W) -> W::Output {
        /// # Safety
        /// The CPU has AVX2 and FMA.
        #[target_feature(enable = "avx2,fma")]
        fn inner<W: Vectorized>(simd: Avx2, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves that the CPU has AVX2 and FMA, which is all that `inner` enables.
        unsafe { inner(self, work) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA; the caller promises sixteen values
        // at the pointer.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: V) {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA; the caller promises sixteen values
        // at the pointer.
        unsafe {
            _mm256_storeu_ps(to, v[0]);
            _mm256_storeu_ps(to.add(8), v[1]);
        }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn nonzero_lanes(self, x: V) -> u16 {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        let [low, high] = x.map(|x| unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(x, _mm256_setzero_ps())) as u16 });
        low | high << 8
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        zip(a, b, |a, b| unsafe { _mm256_add_ps(a, b) })
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        zip(a, b, |a, b| unsafe { _mm256_sub_ps(a, b) })
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        zip(a, b, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        zip(a, b, |a, b| unsafe { _mm256_div_ps(a, b) })
    }

    #[inline(always)]
    fn sqrt(self, x: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        x.map(|x| unsafe { _mm256_sqrt_ps(x) })
    }

    #[inline(always)]
    fn quotient(self, a: V, b: V) -> V {
        self.div(a, b)
    }

    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, bound: V, x: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        zip(bound, x, |a, b| unsafe { _mm256_max_ps(a, b) })
    }

    #[inline(always)]
    fn min(self, bound: V, x: V) -> V {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        zip(bound, x, |a, b| unsafe { _mm256_min_ps(a, b) })
    }

    #[inline(always)]
    fn exp2_nearest(self, x: V) -> (V, V) {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA.
        let half = |x| unsafe {
            let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
            let bits = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)));
            (_mm256_castsi256_ps(bits), n)
        };
        let (low, high) = (half(x[0]), half(x[1]));
        ([low.0, high.0], [low.1, high.1])
    }
}
