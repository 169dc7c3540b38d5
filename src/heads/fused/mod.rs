//! The fused CPU trainer: heads trained in as few passes over their weights as there are steps.
//!
//! A head is so small that frameworks spend their time on overhead and on passes over its weights:
//! forward, gradient, and two to five for the optimiser. Here a step passes once over the weights
//! (see [`pass`]); threads share it (see [`step`]) where trials are few, and take a trial each
//! where they are many (see [`group`]). Numbers do not depend on the number of threads: sums are
//! made in an order that the head's shape alone decides.
//!
//! | file | what for |
//! |---|---|
//! | `trainer` | `FusedTrainer` |
//! | `pool` | threads that groups share |
//! | `group` | heads that see the same batches |
//! | `learner` | a head in training |
//! | `step` | one training step by a team of threads |
//! | `team` | threads that meet at barriers; buffers that they share |
//! | `layer` | weights of a layer in chunks |
//! | `layout` | the layout of a weight matrix |
//! | `aligned` | buffers aligned to cache lines |
//! | `batches` | packed batches of features |
//! | `pack` | features into tiles, with dropout and batch norm |
//! | `mask` | dropout on a block of units |
//! | `nonzero` | masks of nonzero features |
//! | `operands` | operands of the kernels |
//! | `pass` | one pass over weights |
//! | `dense` | the pass over mostly nonzero features |
//! | `sparse` | the pass that skips zeros |
//! | `product` | products of features with weights |
//! | `update` | updates of optimisers on vectors |
//! | `output` | activation, softmax and their gradients |

mod aligned;
mod batches;
mod dense;
mod group;
mod layer;
mod layout;
mod learner;
mod mask;
mod nonzero;
mod operands;
mod output;
mod pack;
mod pass;
mod pool;
mod product;
mod sparse;
mod step;
mod team;
mod trainer;
mod update;

pub use trainer::FusedTrainer;
