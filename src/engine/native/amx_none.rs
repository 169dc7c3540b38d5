//! No tiles on this architecture: nothing here is ever called.

use super::Block;

pub fn configure(_: usize) {}

pub fn release() {}

macro_rules! absent {
    ($($name:ident($($argument:ty),*);)*) => {
        $(pub unsafe fn $name($(_: $argument),*) {
            unreachable!("no engine is made for tiles that this architecture lacks")
        })*
    };
}

absent! {
    three_by_two(&Block);
    three_by_one(&Block);
    one_by_two(&Block);
    one_by_one(&Block);
    two_by_two(&Block);
    two_by_one(&Block);
    interleave(usize, [Option<*const f32>; 4], usize, usize, *mut f32, usize);
}
