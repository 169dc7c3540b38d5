//! Reading a cache while a writer may be at work on it.
//!
//! | file | what for |
//! |---|---|
//! | `cache` | an opened cache: its manifest and its rows |
//! | `matrix` | features of one tap and view, straight from mapped shards |
//! | `sound` | shards held against their entries and their digests |
//! | `checked` | the digests of a shard are compared once, and that is remembered |

pub(super) mod cache;
mod checked;
pub(super) mod matrix;
pub(super) mod sound;
