//! The input of an engine: a graph pruned to its taps, shapes inferred, frozen parameters folded
//! and fused into few steps.
//!
//! | file | what for |
//! |---|---|
//! | `layer.rs` | [`Plan`]: its steps, layers and values |
//! | `draft.rs` | from a graph's nodes to steps: folding and fusion |
//! | `arena.rs` | memory that values share when they are not alive at the same time |
//!
//! Batch norm (and every other per-channel affine map) disappears into the convolution before it,
//! or into the one behind it where no padding lies between; bias, activation and residual addition
//! become a convolution's last step. Folding is done in f64. Fusion stops at taps: a tapped value
//! is always computed as it is. Kernel choice and packing are left to the engines.

mod arena;
mod draft;
mod layer;
#[cfg(test)]
mod tests;

pub(crate) use arena::arrange;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use layer::Plan;
pub(crate) use layer::{ConvShape, Layer, Step, ValueId};
