//! No CPU of this architecture has tiles: nothing here is ever called, as the tokens have no value.

use super::Block;
use crate::simd::{Avx512, Tiles};

macro_rules! absent {
    ($($name:ident)*) => {
        $(
            /// # Safety
            /// Cannot be called.
            pub unsafe fn $name(tiles: &Tiles, _: &Block) {
                tiles.absent()
            }
        )*
    };
}

absent! { three_by_two three_by_one one_by_two one_by_one two_by_two two_by_one }

/// # Safety
/// Cannot be called.
pub unsafe fn interleave(avx512: Avx512, _: usize, _: [Option<*const f32>; 4], _: usize, _: usize, _: *mut f32, _: usize) {
    avx512.absent()
}
