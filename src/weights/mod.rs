//! Weight files of every format, audited by name and shape, digested, fetched.
//!
//! | file | what for |
//! |---|---|
//! | `source.rs` | [`TensorSource`]: named tensors, read one at a time |
//! | `audit.rs` | [`Audit`]: a file's tensors held against those that are needed |
//! | `open.rs`, `sniff.rs` | a file of any format, told by its content |
//! | `safetensors.rs`, `torch.rs`, `hdf5.rs`, `keras.rs` | the formats |
//! | `pickle.rs`, `archive.rs`, `element.rs`, `file.rs` | parts of formats: PyTorch's pickle, zip archives, kinds of numbers, mapped files |
//! | `formula.rs` | weights from a formula, which Python computes alike |
//! | `convert.rs` | any file as safetensors |
//! | `mapping/` | other libraries' names as the graph's |
//! | `hub/` | files of the Hugging Face hub |
//! | `wheel.rs`, `pip.rs` | files inside Python packages, with a known digest and without |
//! | `digest.rs`, `folders.rs` | digests of files; folders of fetched files |

mod archive;
mod audit;
mod convert;
mod digest;
mod element;
mod file;
mod folders;
mod formula;
mod hdf5;
pub(crate) mod hub;
mod keras;
pub(crate) mod mapping;
mod open;
mod pickle;
mod pip;
mod safetensors;
mod sniff;
mod source;
mod torch;
pub(crate) mod wheel;

pub use crate::graph::Parameter;
pub use audit::Audit;
pub use convert::{Converted, convert};
pub(crate) use digest::hex;
pub(crate) use file::Mapped;
pub(crate) use folders::torch_home;
#[doc(hidden)]
pub use formula::Formula;
pub use open::open;
pub(crate) use pip::PackageFile;
pub(crate) use source::read_shaped;
pub use source::{Fetching, Tensor, TensorSource};
pub(crate) use wheel::WheelEntry;

#[cfg(test)]
mod tests;
