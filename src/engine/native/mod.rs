//! The native CPU engine: a plan compiled to kernels over channel-blocked maps in one arena.
//!
//! | place | purpose |
//! |---|---|
//! | `simd/` | sixteen lanes behind ISA tokens, and buffers aligned to them |
//! | `memory.rs`, `places.rs` | layout of a map, memory plan |
//! | `rewrite.rs` | channels that only move, steps computed within others |
//! | `step.rs` | what a kernel offers: tasks that write disjoint parts |
//! | `dense.rs`, `depthwise.rs`, `pool.rs`, `pointwise.rs`, `gather.rs`, `winograd/` | one strategy a file |
//! | `register_tile.rs` | how much of a row a direct convolution sums at once |
//! | `pair.rs` | two steps in turn, some blocks at a time |
//! | `amx.rs`, `digits.rs` | matrix products in tiles of bf16 and of int8 |
//! | `matrix.rs`, `stem.rs` | convolutions by them |
//! | `bf16/` | maps in bf16: which values, convolutions, what makes up for rounded weights |
//! | `finish.rs` | a product's rows to the map |
//! | `epilogue.rs` | residual, clamp, activation at a sum's end |
//! | `compile.rs` | a plan's steps to prepared kernels |
//! | `run.rs`, `io.rs` | images over threads, values in and out |
//! | `peak.rs` | what profiles are held against |
//!
//! An image's features depend on the weights, the kernels chosen and the image alone: not on its neighbours in the batch, nor on the
//! number of threads.

// Where there are no tiles nothing is made of them.
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
mod peak;
mod pointwise;
mod pool;
mod register_tile;
mod rewrite;
mod run;
// Where there are no tiles nothing is split for them.
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

pub use crate::simd::Isa;
pub use compile::rounds_weights;
pub(super) use memory::as_map;
pub use options::NativeOptions;
pub use peak::peak_gflops;
pub use run::{LayerTime, NativeEngine};
pub use split::nearest_bf16;

/// Grows whenever the engine's numbers change for the same plan and instruction set: part of the cache key.
pub const NUMERICS_VERSION: u32 = 6;

/// The same for `--dtype bf16`, whose kernels are others; on GPUs too.
pub const BF16_NUMERICS_VERSION: u32 = 7;
