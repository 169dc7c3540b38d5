//! Sweeps: many heads trained and compared on cached features.
//!
//! | folder | what for |
//! |---|---|
//! | `settings/` | the sweep file and its search space, checked |
//! | `sources/` | the caches, with labels and splits |
//! | `search/` | trials: a grid, random or Bayesian draws, early termination |
//! | `results/` | records, results, and the files of a sweep's directory |
//! | `running/` | the trials trained, the best head judged |
//!
//! Each folder depends only on those above it.

mod results;
mod running;
mod search;
mod settings;
mod sources;

#[cfg(test)]
mod tests;

pub use results::log::{Past, read_trials};
pub use results::names::{
    CONFIG_FILE, CONFUSION_FILE, LOG_FILE, NOTES_FILE, PER_CLASS_FILE, PREDICTIONS_FILE, REPORT_FILE, RESULTS_FILE, RUN_FILE,
    TENSORBOARD_FOLDER,
};
pub use results::outcome::{BestOf, SweepOutcome};
pub(crate) use results::output::write_csv;
pub use results::record::{EpochRecord, FinalRecord, FinishedTrial, Record, Status, flat};
pub use results::result::TrialResult;
pub use running::job::{Observer, SweepJob};
pub use running::run::run;
pub use running::single::SingleTrial;
pub use search::plan::Search;
pub use search::trial::{Input, Observed, Trial};
pub use settings::axis::Axis;
pub use settings::config::{DEFAULT, ReportBestBy, SweepConfig};
pub use settings::domain::{Choice, Domain, Range};
pub use settings::early::EarlyTermination;
pub use settings::keys::INPUTS;
pub use settings::method::Method;
pub use settings::metric::Metric;
pub use settings::protocol::Protocol;
pub use settings::yaml::{Entry, Node, Origin, Yaml};
pub use sources::open::open_all;
pub use sources::source::{HELD_OUT, Source, TapFeatures};
