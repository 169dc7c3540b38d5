//! The results of a sweep: records, their log, and the files of its directory.
//!
//! | file | what for |
//! |---|---|
//! | `names.rs` | names of the files and folders |
//! | `record.rs` | what is recorded of a trial: after each epoch, and at its end |
//! | `log.rs` | `trials.jsonl`, written line by line and read back |
//! | `result.rs` | [`TrialResult`](result::TrialResult): a trial summed up over its runs |
//! | `outcome.rs` | [`SweepOutcome`](outcome::SweepOutcome): all that a sweep found |
//! | `output.rs` | the other files: results, the best head, predictions, confusion |
//! | `edges.rs` | best values at an end of what was searched |
//! | `earlier.rs` | the sweeps that a directory held before |

pub(crate) mod earlier;
pub(crate) mod edges;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod outcome;
pub(crate) mod output;
pub(crate) mod record;
pub(crate) mod result;
