//! Files of other libraries under the names and axis orders of our graphs.
//!
//! A map knows how one library names one network's tensors, and stands with the network's family;
//! [`adapt`] finds the map by the names in the file. A tensor that no map knows keeps its name, so
//! that an audit shows it.
//!
//! | file | what for |
//! |---|---|
//! | `naming.rs` | [`Naming`]: the maps of one network, as its family describes them |
//! | `adapt.rs` | the map that fits a file |
//! | `mapped.rs` | a source renamed, axes turned |
//! | `timm.rs` | names inside timm's building blocks |
//! | `keras.rs` | roles of weights in Keras's and TensorFlow's names |
//! | `applications.rs` | Keras Applications, numbered layers included |
//! | `prefixes.rs` | transformers: names that differ in their beginnings |

mod adapt;
mod applications;
pub(crate) mod keras;
mod mapped;
mod naming;
pub(crate) mod prefixes;
pub(crate) mod timm;

pub(crate) use adapt::adapt;
pub(crate) use mapped::Axes;
#[cfg(test)]
pub(crate) use mapped::Mapped;
pub(crate) use naming::{Adapted, Dialect, NameMap, Names, Naming};

#[cfg(test)]
mod tests;
