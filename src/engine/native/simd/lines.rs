//! Memory that vectors are read from and written to: buffers that start at a line.

use super::LANES;

/// One line of memory: what all offsets are aligned to.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [f32; LANES]);

/// A buffer of zeros, aligned to lines.
pub fn zeroed_lines(floats: usize) -> Vec<Line> {
    let count = floats.div_ceil(LANES);
    let mut lines = Vec::with_capacity(count);
    // Before anything is written: pages are there only then.
    in_huge_pages(&lines);
    lines.resize(count, Line([0.0; LANES]));
    lines
}

/// Asks for huge pages where a buffer is large: walks over maps and weights would wait for translations of addresses.
#[cfg(target_os = "linux")]
fn in_huge_pages(lines: &Vec<Line>) {
    const PAGE: usize = 4096;
    const LARGE: usize = 4 << 20;
    let (start, bytes) = (lines.as_ptr().addr(), lines.capacity() * size_of::<Line>());
    if bytes >= LARGE {
        let first = start.next_multiple_of(PAGE);
        let len = (start + bytes - first) / PAGE * PAGE;
        // SAFETY: whole pages inside the buffer, whose contents this leaves as they are. A refusal changes nothing.
        unsafe {
            libc::madvise(lines.as_ptr().cast_mut().cast::<libc::c_void>().wrapping_byte_add(first - start), len, libc::MADV_HUGEPAGE)
        };
    }
}

#[cfg(not(target_os = "linux"))]
fn in_huge_pages(_: &Vec<Line>) {}

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
