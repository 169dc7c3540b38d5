//! Vectors of sixteen f32 lanes, behind tokens that prove the instructions.
//!
//! | file | what for |
//! |---|---|
//! | `isa.rs` | [`Isa`]: the instruction sets of this CPU, each with its token; the choice among them |
//! | `vector.rs` | [`Simd`], the operations on sixteen lanes; [`Vectorized`], work that is generic over them |
//! | `avx2.rs`, `avx512.rs`, `neon.rs`, `portable.rs` | one implementation and its token a file |
//! | `amx.rs` | the token for AMX, and a thread's tile registers |
//! | `absent.rs` | the tokens of other architectures: types without a value |
//! | `lines.rs` | memory aligned to cache lines and huge pages |
//! | `math.rs`, `transpose.rs` | functions of vectors; squares of sixteen by sixteen transposed |
//!
//! # Tokens
//!
//! A token is a value of size zero that only run-time detection makes ([`Avx512::detect`] and so
//! on), so that holding one is the proof that this CPU has the instructions. Safe code cannot
//! obtain a token that the CPU does not back, and a function that needs an instruction set takes
//! its token: the argument for each `unsafe` block around intrinsics is that its token exists.
//! [`Isa`] is an enum of tokens and therefore a proof as well.
//!
//! # Kernels
//!
//! A kernel is a [`Vectorized`] value: generic over [`Simd`], marked `#[inline(always)]`, and
//! entered by [`dispatch`] or [`Simd::vectorize`], which compile it with the instructions enabled.
//! Every instruction set presents the same sixteen lanes: one AVX-512 register, two of AVX2, four
//! of NEON, or a plain array. The same kernel therefore reads and writes the same memory layout
//! everywhere.
//!
//! # Prior art
//!
//! Tokens as proofs and generic dispatch are those of [`pulp`](https://docs.rs/pulp) (`Simd`,
//! `WithSimd`), [`fearless_simd`](https://docs.rs/fearless_simd) and
//! [`rten-simd`](https://docs.rs/rten-simd) (`Isa`, `SimdOp`);
//! [Highway](https://github.com/google/highway) does the same in C++ with tags. Those leave the
//! number of lanes to the CPU. Here it is fixed, because a map's blocks of sixteen channels are
//! part of the memory layout, and a few operations (bf16 pairs in a word, estimated reciprocals)
//! are specific to this crate's kernels.

mod absent;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
mod lines;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;
mod transpose;
mod vector;

#[cfg(not(target_arch = "aarch64"))]
pub(crate) use absent::Neon;
#[cfg(not(target_arch = "x86_64"))]
pub use absent::{Amx, Avx2, Avx512, Tiles};
#[cfg(target_arch = "x86_64")]
pub(crate) use amx::{Amx, Tiles};
#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use isa::{Isa, dispatch};
pub(crate) use lines::{Line, Lines, floats, floats_mut, zeroed_lines};
pub(crate) use math::{exp2, polynomial};
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub(crate) use portable::Portable;
pub(crate) use transpose::transpose;
pub(crate) use vector::{LANES, Simd, TILE_ROWS, Vectorized};
