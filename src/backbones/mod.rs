//! The zoo: networks as graphs under the parameter names of their originals, and their pretrained
//! weights.
//!
//! | file | what for |
//! |---|---|
//! | `info.rs` | [`BackboneInfo`]: one network, as its family describes it |
//! | `options.rs` | [`BuildOptions`]: classes, the original to follow, input transform |
//! | `entry.rs` | [`WeightsEntry`]: one set of pretrained weights |
//! | `usual.rs` | preprocesses for weights that say nothing of theirs |
//! | `net.rs` | a graph under construction |
//! | `families/` | one file a family, and the list of them |
//! | `opening.rs` | weights opened: an entry, a file or a formula |

mod entry;
mod families;
mod info;
mod net;
mod opening;
mod options;
mod usual;

pub use entry::WeightsEntry;
pub use families::{all, entries, find, find_entry};
pub use info::BackboneInfo;
#[doc(hidden)]
pub use opening::{Opened, open_weights};
#[doc(hidden)]
pub use options::{BuildOptions, Flavour};

#[cfg(test)]
mod tests;
