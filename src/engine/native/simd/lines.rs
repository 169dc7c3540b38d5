//! Memory that vectors are read from and written to: buffers that start at a line.

use super::LANES;

/// One line of memory: what all offsets are aligned to.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [f32; LANES]);

/// A buffer of zeros, aligned to lines.
pub fn zeroed_lines(floats: usize) -> Vec<Line> {
    vec![Line([0.0; LANES]); floats.div_ceil(LANES)]
}

/// The buffer as plain numbers.
pub fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: `Line` is `repr(C)` around an array of f32, without padding: 64 bytes aligned to 64.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

/// The buffer as plain numbers.
pub fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as in `floats`.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}
