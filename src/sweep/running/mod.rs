//! Running a sweep: its trials trained and compared, the best head judged and written.
//!
//! | file | what for |
//! |---|---|
//! | `job.rs` | [`SweepJob`](job::SweepJob) and [`Observer`](job::Observer): a sweep to be run, and who watches it |
//! | `notes.rs`, `metric_check.rs` | notes before training; trials without the metric |
//! | `folder.rs` | the sweep's directory, claimed or refused |
//! | `features.rs` | features joined, pooled and transformed, each made once |
//! | `non_finite.rs` | the search for features that are not finite numbers |
//! | `state.rs` | how far each trial is |
//! | `runner.rs` | what trials share, and the steps that every way of training takes |
//! | `solo.rs`, `lockstep.rs` | trials trained one by one, and side by side |
//! | `cohort.rs` | a cohort of trials, from rung to rung |
//! | `finalize.rs` | the chosen head, calibrated and judged, and its files |
//! | `run.rs` | [`run`](run::run): the whole sweep |
//! | `single.rs` | one trial by itself, for callers that train it step by step |

mod cohort;
mod features;
mod finalize;
mod folder;
pub(crate) mod job;
mod lockstep;
mod metric_check;
mod non_finite;
mod notes;
pub(crate) mod run;
mod runner;
pub(crate) mod single;
mod solo;
mod state;
