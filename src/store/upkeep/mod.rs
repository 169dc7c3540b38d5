//! What is done to whole caches.
//!
//! | file | what for |
//! |---|---|
//! | `verify` | every shard compared with its digest |
//! | `gc` | deleted rows and leftovers go |
//! | `inspect` | a cache in numbers |
//! | `merge`, `decide` | parts of an extraction become one cache; what they had left open is decided |
//! | `compare` | how the rows of two caches differ |
//! | `origin` | which data the caches of one name were made from, and what they know of it |

pub(super) mod compare;
mod decide;
pub(super) mod gc;
pub(super) mod inspect;
pub(super) mod merge;
pub(super) mod origin;
pub(super) mod verify;
