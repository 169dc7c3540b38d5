//! The search for good settings: which trials a sweep has, and which of them go on.
//!
//! | file | what for |
//! |---|---|
//! | `trial.rs` | [`Trial`](trial::Trial): one head with one setting on one set of features |
//! | `builder.rs` | settings → a trial; the combinations of a grid, the draws of a random search |
//! | `conflicts.rs` | settings that do not go together, or have no effect |
//! | `tpe.rs` | the draws of a Bayesian search |
//! | `plan.rs` | [`Search`](plan::Search): the trials cohort by cohort |
//! | `halving.rs` | successive halving and Hyperband |

mod builder;
mod conflicts;
pub(crate) mod halving;
pub(crate) mod plan;
mod tpe;
pub(crate) mod trial;
