//! Writing a cache: one writer, whole states.
//!
//! | file | what for |
//! |---|---|
//! | `writer` | shards first, then rows and manifest in one step |
//! | `open` | how a writer begins: the lock, what is there, what a killed one left |
//! | `recover` | shards that a killed writer finished and never listed |
//! | `reconcile` | a listing of images held against the rows that are there |

mod open;
pub(super) mod reconcile;
mod recover;
pub(super) mod writer;
