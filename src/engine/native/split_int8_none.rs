//! No CPU of this architecture has tiles: nothing here is ever called, as the tokens have no value.

use super::{Block, Destination, Rows};
use crate::simd::{Avx512, Tiles};

/// # Safety
/// Cannot be called.
pub unsafe fn multiply(tiles: &Tiles, _: &Block) {
    tiles.absent()
}

/// # Safety
/// Cannot be called.
pub unsafe fn fill<const DIGITS: usize>(avx512: Avx512, _: &Rows<'_>, _: &Destination) {
    avx512.absent()
}
