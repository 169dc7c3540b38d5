//! The native CPU engine: a plan compiled to kernels over channel-blocked maps in one arena.
//!
//! | place | what for |
//! |---|---|
//! | `options.rs` | how an engine is built |
//! | `memory.rs`, `memory_plan.rs` | layout of a map; views, halos and the arena |
//! | `rewrite.rs` | moves of channels followed to their source, steps computed within others |
//! | `step.rs` | the interface of a kernel: tasks that write disjoint parts |
//! | `dense.rs`, `depthwise.rs`, `pool.rs`, `pointwise.rs`, `gather.rs`, `winograd/` | one strategy a file |
//! | `register_tile.rs` | number of pixels of a row that a direct convolution sums at once |
//! | `pair.rs` | two steps in turn, some blocks at a time |
//! | `split.rs`, `split_bf16.rs`, `split_int8.rs` | matrix products in AMX tiles by error-free splitting |
//! | `matrix.rs`, `stem.rs` | convolutions by such products |
//! | `bf16/` | maps in bf16: choice of values, convolutions |
//! | `finish.rs`, `epilogue.rs` | a product's rows to the map; residual, clamp and activation |
//! | `compile.rs` | a plan's steps to prepared kernels |
//! | `run.rs`, `io.rs` | images over threads; values in and out |
//!
//! An image's features depend on the weights, the kernels chosen and the image alone: not on its
//! neighbours in the batch, nor on the number of threads.

// Without tiles nothing is stored for them.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod bf16;
mod compile;
mod dense;
mod depthwise;
mod epilogue;
mod finish;
mod gather;
mod io;
mod matrix;
mod memory;
mod memory_plan;
mod options;
mod pair;
mod pointwise;
mod pool;
mod register_tile;
mod rewrite;
mod run;
// Without tiles nothing is split for them.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod split;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod split_bf16;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod split_int8;
mod stem;
mod step;
#[cfg(test)]
mod tests;
mod winograd;

pub(crate) use crate::simd::Isa;
pub use compile::rounds_weights;
pub(super) use memory::as_map;
pub use options::NativeOptions;
pub use run::{LayerTime, NativeEngine};
pub use split::nearest_bf16;

/// Part of the cache key; rises whenever the engine's numbers change for the same plan and
/// instruction set.
pub const NUMERICS_VERSION: u32 = 6;

/// The same for dtype `bf16`, which has kernels of its own; on GPUs too.
pub const BF16_NUMERICS_VERSION: u32 = 7;
