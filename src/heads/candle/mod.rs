//! The candle trainer: heads as autograd variables on any candle device. On a CPU it is the plain
//! reference of the fused trainer.
//!
//! Heads of one shape that see the same batches train side by side: their weights lie behind each
//! other, each batch of features goes to the device once, and each layer of all heads is one
//! batched product. A head's results do not depend on the others: on a CPU to the bit, on a GPU
//! except for the last bits, because its library may choose another kernel for another number of
//! heads.

mod batch;
mod common;
mod error;
mod group;
mod member;
mod rates;
mod stack;
mod trainer;
mod update;

#[cfg(test)]
pub(super) use stack::memory;

pub use trainer::CandleTrainer;
