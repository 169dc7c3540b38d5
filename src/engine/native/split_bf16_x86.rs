//! The instructions: the inner loops, and splitting f32 into bf16 parts.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Block;
use crate::simd::{Avx512, Tiles};

/// Sums over all steps, from zero to the stores. `$body` is one step: {p} and {q} are at its two
/// tiles of rows, {w} at its weights.
macro_rules! product {
    ($name:ident, [$($zero:literal)*], [$($body:literal)*], $weights:literal, [$($store:literal)*]) => {
        /// # Safety
        /// Every access of the block is inside its buffers.
        pub(super) unsafe fn $name(_: &Tiles, block: &Block) {
            // SAFETY: a `Tiles` proves that the CPU has the instructions and that this thread's
            // tiles are configured; the caller promises all accesses to memory. The operands name
            // every register that is written.
            unsafe {
                asm!(
                    $($zero,)*
                    "2:",
                    "mov {p}, [{t}]",
                    "add {p}, {panel}",
                    "lea {q}, [{p} + {second}]",
                    $($body,)*
                    concat!("add {w}, ", $weights),
                    "add {t}, 8",
                    "dec {n}",
                    "jnz 2b",
                    $($store,)*
                    "/* {part} {c} {d} {q} */",
                    p = out(reg) _,
                    q = out(reg) _,
                    t = inout(reg) block.offsets => _,
                    w = inout(reg) block.weights => _,
                    n = inout(reg) block.steps => _,
                    panel = in(reg) block.panel,
                    second = in(reg) block.second,
                    part = in(reg) block.part,
                    line = in(reg) 64usize,
                    row = in(reg) block.row,
                    c = in(reg) block.to,
                    d = in(reg) block.to.cast::<u8>().add(block.to_block),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack)
                );
            }
        }
    };
}

product!(one_by_two,
    ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    [
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm6, [{w} + {line}]" "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{w} + {line} + 1024]" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm5, [{q} + {row}]" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
    ],
    "2048",
    [
        "tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"
        "tilestored [{c} + {line} + 1024], tmm2" "tilestored [{d} + {line} + 1024], tmm3"
    ]
);

product!(one_by_one,
    ["tilezero tmm0" "tilezero tmm1"],
    [
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm6, [{w} + {line}]" "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{w} + {line} + 1024]" "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    "2048",
    ["tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"]
);

// Left parts a, b times right parts a, b: ab, aa, ba.
product!(two_by_two,
    ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    [
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm6, [{w} + {line} + 2048]"
        "tileloadd tmm5, [{q} + {row}]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "add {p}, {part}" "lea {q}, [{p} + {second}]"
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm5, [{q} + {row}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
    ],
    "4096",
    [
        "tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"
        "tilestored [{c} + {line} + 1024], tmm2" "tilestored [{d} + {line} + 1024], tmm3"
    ]
);

product!(two_by_one,
    ["tilezero tmm0" "tilezero tmm1"],
    [
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm6, [{w} + {line} + 2048]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "add {p}, {part}" "tileloadd tmm4, [{p} + {row}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    "4096",
    ["tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"]
);

// Left parts a, b, c times right parts a, b, c: aa, ac, ab, bb, ba, ca. Each change loads one side
// only. The same order in both.
product!(three_by_two,
    ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    [
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm6, [{w} + {line}]"
        "tileloadd tmm5, [{q} + {row}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line} + 4096]" "tileloadd tmm7, [{w} + {line} + 5120]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line} + 2048]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "add {p}, {part}" "lea {q}, [{p} + {second}]"
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm5, [{q} + {row}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "add {p}, {part}" "lea {q}, [{p} + {second}]"
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm5, [{q} + {row}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
    ],
    "6144",
    [
        "tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"
        "tilestored [{c} + {line} + 1024], tmm2" "tilestored [{d} + {line} + 1024], tmm3"
    ]
);

product!(three_by_one,
    ["tilezero tmm0" "tilezero tmm1"],
    [
        "tileloadd tmm4, [{p} + {row}]" "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line} + 4096]" "tileloadd tmm7, [{w} + {line} + 5120]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line} + 2048]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "add {p}, {part}" "tileloadd tmm4, [{p} + {row}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "add {p}, {part}" "tileloadd tmm4, [{p} + {row}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    "6144",
    ["tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"]
);

/// Writes pixels of up to four planes as `parts` bf16 parts, the four channels of a pixel side by
/// side; zeros for absent planes and pixels.
///
/// # Safety
/// `there` values of each plane that is there can be read, and `count` (a multiple of sixteen)
/// times eight bytes written to each part, `part` floats apart.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn interleave(
    _: Avx512,
    parts: usize,
    planes: [Option<*const f32>; 4],
    there: usize,
    count: usize,
    to: *mut f32,
    part: usize,
) {
    let high = _mm512_set1_epi32(0xFFFF_0000u32 as i32);
    // One part alone is rounded.
    let half = _mm512_set1_epi32(if parts == 1 { 0x8000 } else { 0 });
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    for i in (0..count).step_by(16) {
        let wanted = ((1u32 << there.saturating_sub(i).min(16)) - 1) as u16;
        // SAFETY: the mask keeps loads within the `there` values that the caller promises of each
        // plane, and stores within the parts that it promises.
        unsafe {
            let mut x = planes.map(|plane| match plane {
                Some(from) => _mm512_maskz_loadu_ps(wanted, from.add(i)),
                None => _mm512_setzero_ps(),
            });
            for p in 0..parts {
                let bits = x.map(|x| _mm512_add_epi32(_mm512_castps_si512(x), half));
                let kept = bits.map(|b| _mm512_and_si512(b, high));
                let low = _mm512_or_si512(_mm512_srli_epi32::<16>(bits[0]), kept[1]);
                let top = _mm512_or_si512(_mm512_srli_epi32::<16>(bits[2]), kept[3]);
                let to = to.add(p * part + 2 * i);
                _mm512_storeu_si512(to.cast(), _mm512_permutex2var_epi32(low, first, top));
                _mm512_storeu_si512(to.add(16).cast(), _mm512_permutex2var_epi32(low, second, top));
                for (x, kept) in x.iter_mut().zip(kept) {
                    *x = _mm512_sub_ps(*x, _mm512_castsi512_ps(kept));
                }
            }
        }
    }
}
