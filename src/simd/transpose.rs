//! Transposing squares of sixteen by sixteen numbers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::isa::Isa;
use super::vector::LANES;

/// Sixteen rows of sixteen, `width` apart, become sixteen columns: column `i` goes to
/// `to[places[i]..]`.
pub(crate) fn transpose(isa: Isa, from: &[f32], width: usize, to: &mut [f32], places: &[usize; LANES]) {
    assert!((LANES - 1) * width + LANES <= from.len() && places.iter().all(|&place| place + LANES <= to.len()));
    #[cfg(target_arch = "x86_64")]
    if isa.avx512().is_some() {
        // SAFETY: the token for AVX-512 exists; all rows and columns lie inside the slices, as
        // asserted.
        return unsafe { avx512(from.as_ptr(), width, to.as_mut_ptr(), places) };
    }
    let _ = isa;
    for (column, &place) in places.iter().enumerate() {
        for (row, value) in to[place..][..LANES].iter_mut().enumerate() {
            *value = from[row * width + column];
        }
    }
}

/// # Safety
/// Sixteen rows of sixteen values, `width` apart, are valid for reading; sixteen values at each of
/// `places` for writing.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(from: *const f32, width: usize, to: *mut f32, places: &[usize; LANES]) {
    let mut a = [_mm512_setzero_ps(); LANES];
    let mut b = a;
    for (i, a) in a.iter_mut().enumerate() {
        // SAFETY: the caller promises sixteen rows.
        *a = unsafe { _mm512_loadu_ps(from.add(i * width)) };
    }
    // Pairs of numbers, then of pairs, within each quarter of a row.
    for i in (0..LANES).step_by(2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (i, j) in (0..LANES).step_by(4).flat_map(|i| [(i, 0), (i, 1)]) {
        let (x, y) = (_mm512_castps_pd(b[i + j]), _mm512_castps_pd(b[i + j + 2]));
        a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
        a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
    }
    // Even and odd quarters of rows 0–7 and of rows 8–15, then of both.
    for j in 0..4 {
        b[j] = _mm512_shuffle_f32x4::<0x88>(a[j], a[j + 4]);
        b[j + 4] = _mm512_shuffle_f32x4::<0xDD>(a[j], a[j + 4]);
        b[j + 8] = _mm512_shuffle_f32x4::<0x88>(a[j + 8], a[j + 12]);
        b[j + 12] = _mm512_shuffle_f32x4::<0xDD>(a[j + 8], a[j + 12]);
    }
    for j in 0..4 {
        a[j] = _mm512_shuffle_f32x4::<0x88>(b[j], b[j + 8]);
        a[j + 8] = _mm512_shuffle_f32x4::<0xDD>(b[j], b[j + 8]);
        a[j + 4] = _mm512_shuffle_f32x4::<0x88>(b[j + 4], b[j + 12]);
        a[j + 12] = _mm512_shuffle_f32x4::<0xDD>(b[j + 4], b[j + 12]);
    }
    for (column, &place) in a.into_iter().zip(places) {
        // SAFETY: the caller promises room for a column at each place.
        unsafe { _mm512_storeu_ps(to.add(place), column) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_where_they_are_sent() {
        let (width, places): (usize, [usize; LANES]) = (19, std::array::from_fn(|i| (i * 7 % 16) * 17));
        let from: Vec<f32> = (0..LANES * width).map(|i| i as f32).collect();
        for isa in Isa::available() {
            let mut to = vec![0.0; 17 * 16];
            transpose(isa, &from, width, &mut to, &places);
            for (row, column) in (0..LANES).flat_map(|row| (0..LANES).map(move |column| (row, column))) {
                assert_eq!(to[places[column] + row], from[row * width + column], "{isa:?}");
            }
        }
    }
}
