//! The candle trainer: heads as autograd variables on any candle device. On a CPU it is the plain
//! reference of the fused trainer.
//!
//! Heads of one shape that see the same batches train side by side: their weights lie behind each
//! other, each batch of features goes to the device once, and each layer of all heads is one
//! batched product. A head's results do not depend on the others: on a CPU to the bit, on a GPU
//! except for the last bits, because its library may choose another kernel for another number of
//! heads.
//!
//! | file | what for |
//! |---|---|
//! | `trainer` | `CandleTrainer` |
//! | `group` | the batches and stacks of heads in lockstep |
//! | `member` | one head of a group |
//! | `common` | the settings and constants that the heads of a group share |
//! | `rates` | values that differ from head to head |
//! | `batch` | a training batch on the device |
//! | `stack` | weights of several heads behind each other; forward, loss, gradient |
//! | `update` | the step of an optimiser |
//! | `error` | errors of candle |

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
