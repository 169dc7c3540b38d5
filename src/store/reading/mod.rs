//! Reading a cache while a writer may be at work on it.
//!
//! | file | what for |
//! |---|---|
//! | `cache` | an opened cache: its manifest and its rows |
//! | `find` | the cache that a path stands for |
//! | `matrix` | features of one tap and view, straight from mapped shards |
//! | `sound` | shards held against their entries and their digests |
//! | `checked` | the digests of a shard are compared once, and that is remembered |

pub(super) mod cache;
mod checked;
pub(super) mod find;
pub(super) mod matrix;
pub(super) mod sound;
