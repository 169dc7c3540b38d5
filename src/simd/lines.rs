//! Buffers of vectors, aligned to cache lines.

use std::ops::{Deref, DerefMut};

use super::vector::LANES;

/// One cache line, the unit of alignment.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [f32; LANES]);

/// A buffer of zeros, aligned to lines.
pub(crate) fn zeroed_lines(floats: usize) -> Vec<Line> {
    let count = floats.div_ceil(LANES);
    let mut lines = Vec::with_capacity(count);
    // Before the first write, which is when pages come into being.
    in_huge_pages(&lines);
    lines.resize(count, Line([0.0; LANES]));
    lines
}

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Asks for huge pages where a buffer is sure to fill one, so that walks over maps and weights do
/// not wait for address translation.
#[cfg(target_os = "linux")]
fn in_huge_pages<T>(buffer: &Vec<T>) {
    const PAGE: usize = 4096;
    let (start, bytes) = (buffer.as_ptr().addr(), buffer.capacity() * size_of::<T>());
    if bytes >= 2 * HUGE || align_of::<T>() == HUGE {
        let first = start.next_multiple_of(PAGE);
        let len = (start + bytes - first) / PAGE * PAGE;
        // SAFETY: the range is whole pages inside the buffer's allocation; the advice leaves
        // contents as they are, and a refusal changes nothing.
        unsafe {
            libc::madvise(buffer.as_ptr().cast_mut().cast::<libc::c_void>().wrapping_byte_add(first - start), len, libc::MADV_HUGEPAGE)
        };
    }
}

#[cfg(not(target_os = "linux"))]
fn in_huge_pages<T>(_: &Vec<T>) {}

/// A huge page.
#[repr(C, align(0x20_0000))]
pub(crate) struct Page([Line; HUGE / size_of::<Line>()]);

/// Lines, in huge pages of their own where they fill most of one: a [`Vec`] of a megabyte or two
/// starts at any address, and so may contain no whole huge page.
pub(crate) enum Lines {
    /// Anywhere in memory.
    Plain(Vec<Line>),
    /// In huge pages, and the number of lines.
    Huge(Vec<Page>, usize),
}

impl Lines {
    /// Lines for `floats` numbers, all zero.
    pub(crate) fn zeroed(floats: usize) -> Lines {
        let count = floats.div_ceil(LANES);
        let bytes = count * size_of::<Line>();
        if bytes <= HUGE / 2 {
            return Lines::Plain(zeroed_lines(floats));
        }
        let pages = bytes.div_ceil(HUGE);
        let mut many: Vec<Page> = Vec::with_capacity(pages);
        in_huge_pages(&many);
        // SAFETY: `many` has capacity for `pages` pages, all of which are written here; zero bytes
        // are valid f32 numbers.
        unsafe {
            many.as_mut_ptr().write_bytes(0, pages);
            many.set_len(pages);
        }
        Lines::Huge(many, count)
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Lines::Plain(lines) => lines,
            // SAFETY: a `Page` is an array of lines without padding, and `zeroed` made enough pages
            // for `count` lines.
            Lines::Huge(pages, count) => unsafe { std::slice::from_raw_parts(pages.as_ptr().cast(), *count) },
        }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        match self {
            Lines::Plain(lines) => lines,
            // SAFETY: as in `deref`; the borrow of `self` is exclusive.
            Lines::Huge(pages, count) => unsafe { std::slice::from_raw_parts_mut(pages.as_mut_ptr().cast(), *count) },
        }
    }
}

/// The buffer as plain numbers.
pub(crate) fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: `Line` is `repr(C)` around an array of f32, without padding: 64 bytes aligned to 64.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

/// The buffer as plain numbers.
pub(crate) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as in `floats`; the borrow of `lines` is exclusive.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_zero_and_apart_whatever_pages_they_lie_in() {
        let page = HUGE / size_of::<f32>();
        let mut all: Vec<Lines> = [0, 1, 17, page / 2, page / 2 + 1, page, 2 * page + 5].map(Lines::zeroed).into();
        for (i, lines) in all.iter_mut().enumerate() {
            let values = floats_mut(lines);
            assert!(values.iter().all(|&v| v == 0.0));
            values.fill(i as f32);
        }
        for (i, (lines, count)) in all.iter().zip([0, 1, 17, page / 2, page / 2 + 1, page, 2 * page + 5]).enumerate() {
            assert!(matches!(lines, Lines::Huge(..)) == (count > page / 2) && lines.len() == count.div_ceil(LANES), "{count}");
            assert!(floats(lines).iter().all(|&v| v == i as f32) && lines.as_ptr().addr().is_multiple_of(align_of::<Line>()));
        }
    }
}
