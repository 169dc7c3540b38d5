//! The instructions: detection, configuration, the inner loops, and splitting f32 into bf16 parts.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Block, ROWS};

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles and bf16 products in the CPU, their state enabled by the system and granted to this process, AVX-512 beside them.
pub fn available() -> bool {
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    const TILE_STATE: u64 = 3 << 17;
    if !is_x86_feature_detected!("avx512bw") || !is_x86_feature_detected!("xsave") {
        return false;
    }
    let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BF16_AND_TILE == BF16_AND_TILE;
    // SAFETY: XSAVE is there and, as AVX-512 is, enabled.
    has && unsafe { enabled() } & TILE_STATE == TILE_STATE && granted()
}

#[target_feature(enable = "xsave")]
fn enabled() -> u64 {
    // SAFETY: register 0 always exists.
    unsafe { _xgetbv(0) }
}

/// Asks Linux for the tile state (`arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`); threads inherit it.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: a system call that touches no memory; the kernel clobbers rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST, in("rsi") TILE_DATA, out("rcx") _, out("r11") _,
             options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

pub fn configure() {
    let mut all = Configuration { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
    all.bytes[..8].fill(64);
    all.rows[..8].fill(ROWS as u8);
    // SAFETY: sessions are started by kernels of an ISA that `available` confirmed; the configuration is 64 valid bytes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &all, options(nostack, readonly)) };
}

pub fn release() {
    // SAFETY: as in `configure`.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// Sums over all steps, from zero to the stores. `$body` is one step: {p} and {q} are at its rows 0 and 16, {w} at its weights.
macro_rules! product {
    ($name:ident, [$($zero:literal)*], [$($body:literal)*], $weights:literal, [$($store:literal)*]) => {
        /// # Safety
        /// Every access of the block is inside its buffers; this thread's tiles are configured.
        pub unsafe fn $name(block: &Block) {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    $($zero,)*
                    "2:",
                    "lea {q}, [{p} + 1024]",
                    $($body,)*
                    concat!("add {w}, ", $weights),
                    "add {p}, {step}",
                    "dec {n}",
                    "jnz 2b",
                    $($store,)*
                    "/* {part} {c} {d} {q} */",
                    p = inout(reg) block.panel => _,
                    q = out(reg) _,
                    w = inout(reg) block.weights => _,
                    n = inout(reg) block.steps => _,
                    step = in(reg) block.step,
                    part = in(reg) block.part,
                    line = in(reg) 64usize,
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
        "tileloadd tmm4, [{p} + {line}]" "tileloadd tmm6, [{w} + {line}]"
        "tileloadd tmm5, [{q} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
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
        "tileloadd tmm4, [{p} + {line}]" "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    "2048",
    ["tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"]
);

// Left parts a, b, c times right parts a, b, c: aa, ac, ab, bb, ba, ca. Each change loads one side only. The same order in both.
product!(three_by_two,
    ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    [
        "tileloadd tmm4, [{p} + {line}]" "tileloadd tmm6, [{w} + {line}]"
        "tileloadd tmm5, [{q} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line} + 4096]" "tileloadd tmm7, [{w} + {line} + 5120]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line} + 2048]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "lea {q}, [{p} + {part}]"
        "tileloadd tmm4, [{q} + {line}]" "tileloadd tmm5, [{q} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"
        "add {q}, {part}"
        "tileloadd tmm4, [{q} + {line}]" "tileloadd tmm5, [{q} + {line} + 1024]"
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
        "tileloadd tmm4, [{p} + {line}]" "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line} + 4096]" "tileloadd tmm7, [{w} + {line} + 5120]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line} + 2048]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "lea {q}, [{p} + {part}]" "tileloadd tmm4, [{q} + {line}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
        "add {q}, {part}" "tileloadd tmm4, [{q} + {line}]"
        "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    "6144",
    ["tilestored [{c} + {line}], tmm0" "tilestored [{d} + {line}], tmm1"]
);

/// Splits pixels of two blocks into three lines each, `part` floats apart: lanes alternate, high halves of what is left each time.
///
/// # Safety
/// The wanted lanes of `count` pixels `distance` floats apart can be read from each block, `count` lines written to each part.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn split(blocks: [*const f32; 2], lanes: [u16; 2], distance: usize, count: usize, to: *mut f32, part: usize) {
    let high = _mm512_set1_epi32(0xFFFF_0000u32 as i32);
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let mut a = _mm512_maskz_loadu_ps(lanes[0], blocks[0].wrapping_add(i * distance));
            let mut b = _mm512_maskz_loadu_ps(lanes[1], blocks[1].wrapping_add(i * distance));
            for p in 0..3 {
                let (x, y) = (_mm512_castps_si512(a), _mm512_castps_si512(b));
                let (kept, other) = (_mm512_and_si512(x, high), _mm512_and_si512(y, high));
                let line = _mm512_or_si512(_mm512_srli_epi32::<16>(x), other);
                _mm512_storeu_si512(to.add(p * part + i * 16).cast(), line);
                a = _mm512_sub_ps(a, _mm512_castsi512_ps(kept));
                b = _mm512_sub_ps(b, _mm512_castsi512_ps(other));
            }
        }
    }
}

/// Rounds pixels of two blocks to one line each, to the nearest, halves away from zero.
///
/// # Safety
/// As [`split`].
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn round(blocks: [*const f32; 2], lanes: [u16; 2], distance: usize, count: usize, to: *mut f32) {
    let (high, half) = (_mm512_set1_epi32(0xFFFF_0000u32 as i32), _mm512_set1_epi32(0x8000));
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let read = |b: usize| _mm512_castps_si512(_mm512_maskz_loadu_ps(lanes[b], blocks[b].wrapping_add(i * distance)));
            let (a, b) = (_mm512_add_epi32(read(0), half), _mm512_add_epi32(read(1), half));
            let line = _mm512_or_si512(_mm512_srli_epi32::<16>(a), _mm512_and_si512(b, high));
            _mm512_storeu_si512(to.add(i * 16).cast(), line);
        }
    }
}
