//! No tiles on this architecture: nothing here is ever called.

use super::{Block, Places, Rows};

/// # Safety
/// Never called.
pub unsafe fn multiply(_: &Block) {
    unreachable!("no tiles on this architecture");
}

/// # Safety
/// Never called.
pub unsafe fn fill<const DIGITS: usize>(_: &Rows<'_>, _: &Places) {
    unreachable!("no tiles on this architecture");
}
