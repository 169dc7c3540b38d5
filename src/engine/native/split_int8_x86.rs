//! The instructions: the inner loop, and from f32 to digits.

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::{Block, Destination, LINE, Rows, Run, SMALLEST, Split, TILE};
use crate::simd::{Avx512, LANES, Line, TILE_ROWS, Tiles};

/// Sums of two tiles, up to three significances each.
type Sums = MaybeUninit<[Line; 2 * 3 * TILE_ROWS]>;

/// Multiplies sixteen rows at a time by the weights to two output blocks.
///
/// # Safety
/// Every access of the block is inside its buffers.
pub(super) unsafe fn multiply(_: &Tiles, block: &Block) {
    // SAFETY: a `Tiles` exists only beside the token for AVX-512, and while this thread's tiles are
    // configured; the caller promises the block.
    unsafe { multiply_configured(block) }
}

/// # Safety
/// Every access of the block is inside its buffers; this thread's tiles are configured.
#[target_feature(enable = "avx512f")]
unsafe fn multiply_configured(block: &Block) {
    let &Block { digits, panel, tiles, steps, weights, scales, to, to_block, next } = block;
    let mut sums = Sums::uninit();
    let lines = 2 * steps * digits.step() / LINE;
    for tile in 0..tiles {
        // A share of the next block's weights to the second-level cache while this one's products
        // are made.
        if let Some(next) = next {
            for line in lines * tile / tiles..lines * (tile + 1) / tiles {
                _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(line).cast());
            }
        }
        // SAFETY: the caller promises that panel, weights, scales and target hold the tiles and
        // steps of the block.
        unsafe {
            let panel = panel.add(tile * (steps * digits.step() + LINE));
            match digits {
                Split::One => unreachable!("integers have two digits or three"),
                Split::Two => two(panel, weights, steps, &mut sums),
                Split::Three => three(panel, weights, steps, &mut sums),
            }
            let rows = panel.add(steps * digits.step()).cast();
            for side in 0..2 {
                let sums = sums.as_ptr().cast::<i32>().add(side * digits.count() * TILE_ROWS * LANES);
                let (outputs, to) = (scales.add(side * LANES), to.add(side * to_block + tile * TILE_ROWS * LANES));
                match digits {
                    Split::One => unreachable!("integers have two digits or three"),
                    Split::Two => finish::<2>(sums, rows, outputs, to),
                    Split::Three => finish::<3>(sums, rows, outputs, to),
                }
            }
        }
    }
}

/// Sums of one tile, the highest significance first, to f32.
///
/// # Safety
/// A tile of sums for each digit, sixteen scales each of rows and outputs, a tile to write.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish<const DIGITS: usize>(sums: *const i32, rows: *const f32, outputs: *const f32, to: *mut f32) {
    let base = _mm512_set1_ps(256.0);
    let square = _mm512_set1_ps(65536.0);
    // SAFETY: the caller promises the sums of every digit, sixteen scales of rows and of outputs,
    // and room for a tile.
    unsafe {
        let outputs = _mm512_loadu_ps(outputs);
        for row in 0..TILE_ROWS {
            let sum = |digit: usize| _mm512_cvtepi32_ps(_mm512_loadu_si512(sums.add((digit * TILE_ROWS + row) * LANES).cast()));
            let lowest = _mm512_fmadd_ps(sum(DIGITS - 2), base, sum(DIGITS - 1));
            let value = if DIGITS == 3 { _mm512_fmadd_ps(sum(0), square, lowest) } else { lowest };
            let value = _mm512_mul_ps(_mm512_mul_ps(value, outputs), _mm512_set1_ps(*rows.add(row)));
            _mm512_storeu_ps(to.add(row * LANES), value);
        }
    }
}

/// All steps of sixteen rows by two tiles: $body is one step, {p} and {w} are at its two sides.
macro_rules! product {
    ($name:ident, [$($zero:literal)*], [$($body:literal)*], $step:literal, [$($store:literal)*]) => {
        /// # Safety
        /// `steps` steps of both sides can be read; this thread's tiles are configured.
        #[inline(always)]
        unsafe fn $name(panel: *const u8, weights: *const u8, steps: usize, sums: &mut Sums) {
            // SAFETY: the caller promises both sides and configured tiles; `sums` holds the six
            // tiles that are stored at most.
            unsafe {
                asm!(
                    $($zero,)*
                    "2:",
                    $($body,)*
                    concat!("add {p}, ", $step),
                    concat!("add {w}, 2 * ", $step),
                    "dec {n}",
                    "jnz 2b",
                    $($store,)*
                    p = inout(reg) panel => _,
                    w = inout(reg) weights => _,
                    n = inout(reg) steps => _,
                    to = in(reg) sums.as_mut_ptr(),
                    line = in(reg) LINE,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack)
                );
            }
        }
    };
}

// Digits a, b, c of the left side times digits a, b, c of two tiles of the right side: ac, ab, bb,
// ab, ba, ca, each significance in its own sum. Each change loads one side only.
product!(three,
    ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3" "tilezero tmm4" "tilezero tmm5"],
    [
        "tileloadd tmm6, [{p} + {line}]"
        "tileloadd tmm7, [{w} + {line}]" "tdpbssd tmm0, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line} + 1024]" "tdpbssd tmm3, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line} + 4096]" "tdpbssd tmm2, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line} + 5120]" "tdpbssd tmm5, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line} + 2048]" "tdpbssd tmm1, tmm6, tmm7"
        "tileloadd tmm6, [{p} + {line} + 1024]" "tdpbssd tmm2, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line} + 3072]" "tdpbssd tmm5, tmm6, tmm7"
        "tileloadd tmm6, [{p} + {line}]" "tdpbssd tmm4, tmm6, tmm7"
        "tileloadd tmm6, [{p} + {line} + 1024]"
        "tileloadd tmm7, [{w} + {line}]" "tdpbssd tmm1, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line} + 1024]" "tdpbssd tmm4, tmm6, tmm7"
        "tileloadd tmm6, [{p} + {line} + 2048]" "tdpbssd tmm5, tmm6, tmm7"
        "tileloadd tmm7, [{w} + {line}]" "tdpbssd tmm2, tmm6, tmm7"
    ],
    "3072",
    [
        "tilestored [{to} + {line}], tmm0" "tilestored [{to} + {line} + 1024], tmm1" "tilestored [{to} + {line} + 2048], tmm2"
        "tilestored [{to} + {line} + 3072], tmm3" "tilestored [{to} + {line} + 4096], tmm4" "tilestored [{to} + {line} + 5120], tmm5"
    ]
);

// Digits a, b of the left side times digits a, b of two tiles of the right side: aa, ba, ab.
product!(two,
    ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    [
        "tileloadd tmm4, [{p} + {line}]" "tileloadd tmm6, [{w} + {line}]" "tileloadd tmm7, [{w} + {line} + 1024]"
        "tdpbssd tmm0, tmm4, tmm6" "tdpbssd tmm2, tmm4, tmm7"
        "tileloadd tmm5, [{p} + {line} + 1024]"
        "tdpbssd tmm1, tmm5, tmm6" "tdpbssd tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{w} + {line} + 2048]" "tileloadd tmm7, [{w} + {line} + 3072]"
        "tdpbssd tmm1, tmm4, tmm6" "tdpbssd tmm3, tmm4, tmm7"
    ],
    "2048",
    [
        "tilestored [{to} + {line}], tmm0" "tilestored [{to} + {line} + 1024], tmm1"
        "tilestored [{to} + {line} + 2048], tmm2" "tilestored [{to} + {line} + 3072], tmm3"
    ]
);

/// The larger of each lane of two halves of two vectors.
macro_rules! halves {
    ($low:ident, $high:ident, $a:expr, $b:expr) => {
        _mm512_max_epu32($low($a, $b), $high($a, $b))
    };
    (<$low:literal, $high:literal> $a:expr, $b:expr) => {
        _mm512_max_epu32(_mm512_shuffle_i32x4::<$low>($a, $b), _mm512_shuffle_i32x4::<$high>($a, $b))
    };
}

/// The largest lane of each of sixteen vectors, in one vector.
///
/// # Safety
/// The CPU has AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f")]
fn largest(v: [__m512i; TILE_ROWS]) -> __m512i {
    let twos: [_; 8] = std::array::from_fn(|i| halves!(_mm512_unpacklo_epi32, _mm512_unpackhi_epi32, v[2 * i], v[2 * i + 1]));
    let fours: [_; 4] = std::array::from_fn(|i| halves!(_mm512_unpacklo_epi64, _mm512_unpackhi_epi64, twos[2 * i], twos[2 * i + 1]));
    let eights: [_; 2] = std::array::from_fn(|i| halves!(<0b01_00_01_00, 0b11_10_11_10> fours[2 * i], fours[2 * i + 1]));
    halves!(<0b10_00_10_00, 0b11_01_11_01> eights[0], eights[1])
}

/// Writes rows as digits, and their scales.
///
/// # Safety
/// The rows' runs can be read and the panels written.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn fill<const DIGITS: usize>(_: Avx512, rows: &Rows<'_>, to: &Destination) {
    let &Rows { from, count, runs } = rows;
    let &Destination { tile, index, panel } = to;
    let digits = if DIGITS == 2 { Split::Two } else { Split::Three };
    // As integers, magnitudes are in order, and what is not a number is above all.
    let magnitude = _mm512_set1_epi32(0x7FFF_FFFF);
    let mut most = [_mm512_setzero_si512(); TILE_ROWS];
    for run in runs {
        for (most, from) in most.iter_mut().zip(from) {
            // SAFETY: the mask keeps the load within the run, which the caller promises for every
            // row.
            let x = unsafe { _mm512_maskz_loadu_epi32(run.lanes, from.wrapping_add(run.offset).cast()) };
            *most = _mm512_max_epu32(*most, _mm512_and_si512(x, magnitude));
        }
    }
    let most = _mm512_castsi512_ps(_mm512_max_epu32(largest(most), _mm512_set1_epi32(SMALLEST.to_bits().cast_signed())));
    let mut scales = Line([0.0; LANES]);
    let mut inverse = Line([0.0; LANES]);
    // SAFETY: each `Line` holds sixteen values and is aligned to 64 bytes.
    unsafe {
        _mm512_store_ps(scales.0.as_mut_ptr(), _mm512_mul_ps(most, _mm512_set1_ps(1.0 / digits.largest())));
        _mm512_store_ps(inverse.0.as_mut_ptr(), _mm512_div_ps(_mm512_set1_ps(digits.largest()), most));
    }
    // Each row's sixteen, and its place there.
    let place = |i: usize| panel.map_or((tile, index + i), |distance| (tile.wrapping_add(i * distance), index));
    let to: [*mut u8; TILE_ROWS] = std::array::from_fn(|i| {
        let (tile, index) = place(i);
        tile.cast::<u8>().wrapping_add(index * LINE)
    });
    for (step, four) in runs.chunks(4).enumerate() {
        let absent = Run { offset: 0, lanes: 0 };
        let four: [Run; 4] = std::array::from_fn(|i| four.get(i).copied().unwrap_or(absent));
        for ((from, to), scale) in from.into_iter().zip(to).zip(inverse.0).take(count) {
            // SAFETY: as above for the runs; the caller promises a panel for each row, with room
            // for every step.
            unsafe {
                let x = four.map(|run| _mm512_maskz_loadu_ps(run.lanes, from.wrapping_add(run.offset)));
                split::<DIGITS>(x, _mm512_set1_ps(scale), to.add(step * DIGITS * TILE));
            }
        }
    }
    let behind = runs.len().div_ceil(4) * DIGITS * TILE / size_of::<f32>();
    for (i, &scale) in scales.0[..count].iter().enumerate() {
        let (tile, index) = place(i);
        // SAFETY: the line of scales behind a panel's last step belongs to the panel that the
        // caller promises.
        unsafe { tile.add(behind + index).write(scale) };
    }
}

/// Four vectors times a scale as a line of each digit, the highest first.
///
/// # Safety
/// A line at `to`, and one in each of the next tiles, can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn split<const DIGITS: usize>(x: [__m512; 4], scale: __m512, to: *mut u8) {
    const ODD_BYTES: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    const ODD_WORDS: u32 = 0xAAAA_AAAA;
    // Half a digit more in the lower places carries to the place above where a digit is negative,
    // and turns its sign bit.
    let carry = _mm512_set1_epi32(if DIGITS == 3 { 0x8080 } else { 0x80 });
    let sign = _mm512_set1_epi8(-128);
    let n = x.map(|x| _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(x, scale)), carry));
    // Bytes 0 and 2, and byte 1, of two numbers side by side.
    let outer = |a: __m512i, b: __m512i| _mm512_mask_blend_epi8(ODD_BYTES, a, _mm512_slli_epi32::<8>(b));
    let inner = |a: __m512i, b: __m512i| _mm512_mask_blend_epi8(ODD_BYTES, _mm512_srli_epi32::<8>(a), b);
    let (front, back) = (outer(n[0], n[1]), outer(n[2], n[3]));
    let low = _mm512_mask_blend_epi16(ODD_WORDS, front, _mm512_slli_epi32::<16>(back));
    let middle = _mm512_mask_blend_epi16(ODD_WORDS, inner(n[0], n[1]), _mm512_slli_epi32::<16>(inner(n[2], n[3])));
    // SAFETY: the caller promises a line in each digit's tile.
    unsafe {
        if DIGITS == 3 {
            let high = _mm512_mask_blend_epi16(ODD_WORDS, _mm512_srli_epi32::<16>(front), back);
            _mm512_storeu_si512(to.cast(), high);
            _mm512_storeu_si512(to.add(TILE).cast(), _mm512_xor_si512(middle, sign));
        } else {
            _mm512_storeu_si512(to.cast(), middle);
        }
        _mm512_storeu_si512(to.add((DIGITS - 1) * TILE).cast(), _mm512_xor_si512(low, sign));
    }
}
