//! One 512-bit register.

use std::arch::asm;
use std::arch::x86_64::*;

use super::vector::{HALF, Simd, UPPER, Vectorized};

/// Token for AVX-512 F, BW, DQ and VL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Avx512(());

impl Avx512 {
    /// The token, where the CPU has the instructions.
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma");
        has.then_some(Avx512(()))
    }
}

impl Simd for Avx512 {
    type V = __m512;

    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Avx512(())
    }

    #[inline(always)]
    fn vectorize<W: Vectorized>(self, work: W) -> W::Output {
        /// # Safety
        /// The CPU has AVX-512 F, BW, DQ and VL.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
        fn inner<W: Vectorized>(simd: Avx512, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL), which is all that `inner`
        // enables.
        unsafe { inner(self, work) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL); the caller promises
        // sixteen values at the pointer.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m512) {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL); the caller promises
        // sixteen values at the pointer.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read there")]
    fn anchored(self, mut at: *const f32) -> *const f32 {
        // SAFETY: the text is a comment: no instruction is executed, and the operand stays as it
        // is.
        unsafe { asm!("/* {0} */", inout(reg) at, options(pure, nomem, nostack, preserves_flags)) };
        at
    }

    #[inline(always)]
    fn nonzero_lanes(self, x: __m512) -> u16 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn unpack(self, from: *const f32) -> [__m512; 2] {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL); the caller promises
        // sixteen values at the pointer.
        unsafe {
            let words = _mm512_loadu_si512(from.cast());
            let high = _mm512_and_si512(words, _mm512_set1_epi32(UPPER as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)), _mm512_castsi512_ps(high)]
        }
    }

    #[inline(always)]
    unsafe fn pack(self, to: *mut f32, v: [__m512; 2]) {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL); the caller promises
        // sixteen values at the pointer.
        unsafe {
            let half = _mm512_set1_epi32(HALF as i32);
            let low = _mm512_add_epi32(_mm512_castps_si512(v[0]), half);
            let high = _mm512_add_epi32(_mm512_castps_si512(v[1]), half);
            // Upper halves from one, lower halves from the other: mask ? high : low.
            let words = _mm512_ternarylogic_epi32::<0xCA>(_mm512_set1_epi32(UPPER as i32), high, _mm512_srli_epi32::<16>(low));
            _mm512_storeu_si512(to.cast(), words);
        }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_sqrt_ps(x) }
    }

    #[inline(always)]
    fn over_roots(self, a: __m512, x: __m512, above: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe {
            // 2√x = r (3 − r / √x) for an r near √x, by an estimate of 1 / √x good to 14 bits:
            // Newton's step, without halves.
            let inverse = _mm512_rsqrt14_ps(x);
            let root = _mm512_mul_ps(x, inverse);
            let twice = _mm512_fnmadd_ps(root, inverse, _mm512_set1_ps(3.0));
            self.quotient(a, _mm512_fmadd_ps(root, twice, above))
        }
    }

    #[inline(always)]
    fn quotient(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe {
            // By an estimate good to 14 bits, and what that leaves over.
            let inverse = _mm512_rcp14_ps(b);
            let ratio = _mm512_mul_ps(a, inverse);
            _mm512_fmadd_ps(_mm512_fnmadd_ps(b, ratio, a), inverse, ratio)
        }
    }

    #[inline(always)]
    fn reciprocal(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe {
            // An estimate good to 14 bits, one step of Newton's.
            let estimate = _mm512_rcp14_ps(x);
            _mm512_fmadd_ps(_mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(1.0)), estimate, estimate)
        }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, bound: __m512, x: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_max_ps(bound, x) }
    }

    #[inline(always)]
    fn min(self, bound: __m512, x: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe { _mm512_min_ps(bound, x) }
    }

    #[inline(always)]
    fn exp2_nearest(self, x: __m512) -> (__m512, __m512) {
        // SAFETY: `self` proves that the CPU has AVX-512 (F, BW, DQ, VL).
        unsafe {
            let n = _mm512_roundscale_ps::<0>(x);
            (_mm512_scalef_ps(_mm512_set1_ps(1.0), n), n)
        }
    }
}
