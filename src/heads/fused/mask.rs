//! Dropout on a block of 128 units at a time.
//!
//! *AVX-512*: two registers hold a word of sixteen counters in 64-bit lanes, whose upper halves may
//! hold anything: products read the lower halves alone. 1.3 instructions a unit. *Elsewhere*: plain
//! loops.

use crate::heads::training::dropout::{Dropout, MASK_BLOCK};
use crate::simd::{Isa, Simd, Vectorized, dispatch};

/// Copies units of a row while multiplying them by their dropout factors; `block` counts from the
/// row's first unit.
pub(super) fn drop_block(isa: Isa, dropout: &Dropout, epoch: usize, row: usize, block: usize, from: &[f32], to: &mut [f32; MASK_BLOCK]) {
    match (isa.avx512(), <&[f32; MASK_BLOCK]>::try_from(from)) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the token for AVX-512 exists, which is all that `avx512` enables.
        (Some(_), Ok(from)) => unsafe { avx512(dropout, dropout.place(epoch, row, block), from, to) },
        _ => dispatch(isa, Plain { dropout, epoch, row, block, from, to }),
    }
}

struct Plain<'a> {
    dropout: &'a Dropout,
    epoch: usize,
    row: usize,
    block: usize,
    from: &'a [f32],
    to: &'a mut [f32; MASK_BLOCK],
}

impl Vectorized for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let factors = self.dropout.block(self.epoch, self.row, self.block);
        for ((to, from), factor) in self.to.iter_mut().zip(self.from).zip(factors) {
            *to = from * factor;
        }
    }
}

/// Counters `place[0] ..= place[0] + 15`.
///
/// # Safety
/// The CPU has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(dropout: &Dropout, place: [u32; 4], from: &[f32; MASK_BLOCK], to: &mut [f32; MASK_BLOCK]) {
    use std::arch::x86_64::*;
    const XOR: i32 = 0x96;
    let wide = |word: u32| _mm512_set1_epi64(i64::from(word));
    let lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    let first = wide(place[0]);
    let mut c0 = [_mm512_add_epi64(first, lanes), _mm512_add_epi64(first, _mm512_add_epi64(lanes, wide(8)))];
    let (mut c1, mut c2, mut c3) = ([wide(place[1]); 2], [wide(place[2]); 2], [wide(place[3]); 2]);
    let [mut k0, mut k1] = dropout.key();
    for _ in 0..10 {
        for half in 0..2 {
            let a = _mm512_mul_epu32(wide(0xD251_1F53), c0[half]);
            let b = _mm512_mul_epu32(wide(0xCD9E_8D57), c2[half]);
            c0[half] = _mm512_ternarylogic_epi64::<XOR>(_mm512_srli_epi64::<32>(b), c1[half], wide(k0));
            c2[half] = _mm512_ternarylogic_epi64::<XOR>(_mm512_srli_epi64::<32>(a), c3[half], wide(k1));
            (c1[half], c3[half]) = (b, a);
        }
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    let lower_halves = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    // Sixteen random bits are compared where they stand: in the upper half of a word.
    let (threshold, scale) = (_mm512_set1_epi32((dropout.threshold() << 16) as i32), _mm512_set1_ps(dropout.scale));
    for (w, c) in [c0, c1, c2, c3].into_iter().enumerate() {
        let word = _mm512_permutex2var_epi32(c[0], lower_halves, c[1]);
        for (half, bits) in [_mm512_slli_epi32::<16>(word), word].into_iter().enumerate() {
            let kept = _mm512_cmpge_epu32_mask(bits, threshold);
            let at = w * 32 + half * 16;
            // SAFETY: `at` is a multiple of 16 below 128: the sixteen values lie inside both
            // arrays.
            unsafe {
                let units = _mm512_loadu_ps(from.as_ptr().add(at));
                _mm512_storeu_ps(to.as_mut_ptr().add(at), _mm512_maskz_mul_ps(kept, units, scale));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_drops_the_units_that_the_definition_drops() {
        for rate in [0.1, 0.5, 0.999_999] {
            let dropout = Dropout::new(7, 1, rate);
            let from: [f32; MASK_BLOCK] = std::array::from_fn(|i| i as f32 + 1.0);
            for isa in Isa::available() {
                let mut to = [0.0; MASK_BLOCK];
                drop_block(isa, &dropout, 3, 1_000_000, 5, &from, &mut to);
                for (i, to) in to.into_iter().enumerate() {
                    assert_eq!(to, from[i] * dropout.factor(3, 1_000_000, 5 * MASK_BLOCK + i), "{isa:?} {i}");
                }
            }
        }
    }
}
