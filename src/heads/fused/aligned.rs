//! Buffers that start at a line of memory: a vector that straddles two lines takes twice as long to load and longer still to store.

use std::ops::{Deref, DerefMut};

use crate::simd::{LANES, Lines, floats, floats_mut};

/// Numbers whose first one starts a line.
pub(super) struct Aligned {
    lines: Lines,
    len: usize,
}

impl Aligned {
    /// So many zeros.
    pub(super) fn zeros(len: usize) -> Aligned {
        Aligned { lines: Lines::zeroed(len), len }
    }

    /// Changes the length; what is added is 0, or left over from a greater length.
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
