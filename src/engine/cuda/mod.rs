//! The fast engine on NVIDIA GPUs: a plan compiled to a list of library calls and kernels over one
//! arena, channels last, f32, bf16 or f16.
//!
//! | file | what for |
//! |---|---|
//! | `lower.rs` | plan → calls: which library or kernel does what; no GPU needed |
//! | `map.rs`, `exact.rs` | layout of a value; which values stay f32 in any case |
//! | `program.rs`, `memory.rs` | the calls, and where everything lies |
//! | `kernels.cu` | the steps that cuDNN and cuBLAS leave; compiled at run time |
//! | `device/` | the only part that talks to a GPU: libraries prepared once, everything captured in one CUDA graph, two batches in flight |
//!
//! Nothing is chosen by timing: cuDNN's and cuBLAS's heuristics are asked once, and answer the same
//! for the same shapes on the same GPU. Batches are always computed whole: where one brings fewer
//! images than planned, the others' places hold what was there before.
//!
//! Without a GPU the tests run the very same programs and kernels on a CPU, the libraries' parts as
//! plain loops.

#[cfg(feature = "cuda")]
mod device;
mod exact;
mod lower;
mod map;
mod memory;
mod program;

#[cfg(feature = "cuda")]
pub use device::{CudaEngine, without_tf32};

#[cfg(test)]
mod tests;
