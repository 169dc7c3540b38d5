//! Buffers aligned to cache lines: a vector that straddles two lines takes twice as long to load
//! and longer still to store.

use std::ops::{Deref, DerefMut};

use crate::simd::{LANES, Lines, floats, floats_mut};

/// Numbers that start at a cache line.
pub(super) struct Aligned {
    lines: Lines,
    len: usize,
}

impl Aligned {
    /// Zeros.
    pub(super) fn zeros(len: usize) -> Aligned {
        Aligned { lines: Lines::zeroed(len), len }
    }

    /// Changes the length. Added values are 0, or left over from a greater length.
    pub(super) fn resize(&mut self, len: usize) {
        if len > self.lines.len() * LANES {
            self.lines = Lines::zeroed(len);
        }
        self.len = len;
    }

    /// The first value's address.
    pub(super) fn pointer(&self) -> *mut f32 {
        self.lines.as_ptr().cast_mut().cast()
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &floats(&self.lines)[..self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut floats_mut(&mut self.lines)[..self.len]
    }
}
