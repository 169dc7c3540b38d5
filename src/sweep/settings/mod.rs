//! The settings of a sweep: its file, checked, with each mistake pointed at by its line.
//!
//! | file | what for |
//! |---|---|
//! | `yaml.rs` | a YAML document as a tree that knows its lines |
//! | `keys.rs` | keys of the top level, names of parameters |
//! | `method.rs`, `metric.rs`, `early.rs`, `protocol.rs` | how trials are chosen, compared, ended early, and on which rows they are judged |
//! | `domain.rs` | the values that a parameter may take |
//! | `distribution.rs` | an entry of `parameters` → a domain |
//! | `axis.rs` | a parameter with its checked domain |
//! | `fields.rs` | the entries beside `parameters` |
//! | `config.rs` | [`SweepConfig`](config::SweepConfig): the whole sweep, from a file and from `KEY=VALUE`, and back to YAML |

pub(crate) mod axis;
pub(crate) mod config;
mod distribution;
pub(crate) mod domain;
pub(crate) mod early;
mod fields;
pub(crate) mod keys;
pub(crate) mod method;
pub(crate) mod metric;
pub(crate) mod protocol;
pub(crate) mod yaml;
