//! The fused CPU trainer: heads trained in as few passes over their weights as there are steps.
//!
//! A head is so small that frameworks spend their time on overhead and on passes over its weights:
//! forward, gradient, and two to five for the optimiser. Here a step passes once over the weights
//! (see [`pass`]); threads share it (see [`step`]) where trials are few, and take a trial each
//! where they are many (see [`group`]). Numbers do not depend on the number of threads: sums are
//! made in an order that the head's shape alone decides.

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
