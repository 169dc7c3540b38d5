//! The pipeline from images to a cache: read → decode → infer → write, bounded, timed by phase,
//! resumable.
//!
//! [`run`] computes what a cache lacks and nothing else; [`estimate`] says beforehand what that
//! would be.
//!
//! | file | what for |
//! |---|---|
//! | `job` | everything that an extraction needs to know |
//! | `run` | one extraction from start to end |
//! | `matched` | the listing held against the rows of the cache; what became of each row |
//! | `pass` | what is missing, cut into passes, groups and batches |
//! | `pipeline` | one pass: the coordinating thread, readers, decoders, inference |
//! | `flow` | what travels from phase to phase |
//! | `prepare` | one image: from its bytes to the pixels of every view |
//! | `sink` | encodes features and commits whole groups |
//! | `observe`, `outcome` | what is told while it runs, and at its end |
//! | `estimate` | what a run would compute, and how long it would take |
//! | `recheck` | some images computed again and compared |
//! | `log` | `extract.log.jsonl` |

mod estimate;
mod flow;
mod job;
mod log;
mod matched;
mod observe;
mod outcome;
mod pass;
mod pipeline;
mod prepare;
mod recheck;
mod run;
mod sink;

pub(crate) use estimate::estimate;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use estimate::{Basis, Estimate};
#[cfg(test)]
pub(crate) use job::EngineFactory;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use job::Part;
pub(crate) use job::{ExtractionJob, JobTap};
pub(crate) use observe::Observer;
#[cfg(test)]
pub(crate) use observe::Silent;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use observe::{Lanes, Progress, Seconds};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use outcome::Outcome;
pub(crate) use recheck::recheck;
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use recheck::{Recheck, Rechecked};
pub(crate) use run::{run, run_in};

#[cfg(test)]
mod tests;
