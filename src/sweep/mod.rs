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

pub use crate::heads::{Epoch, Metrics};
pub(crate) use results::log::read_trials;
pub(crate) use results::names::{
    CONFIG_FILE, CONFUSION_FILE, LOG_FILE, NOTES_FILE, PER_CLASS_FILE, PREDICTIONS_FILE, REPORT_FILE, RUN_FILE, TENSORBOARD_FOLDER,
};
pub use results::outcome::{BestOf, SweepOutcome};
pub(crate) use results::output::write_csv;
pub use results::record::{EpochRecord, Status};
pub(crate) use results::record::{FinalRecord, FinishedTrial};
pub use results::result::TrialResult;
pub use running::job::Observer;
#[doc(hidden)]
pub use running::job::SweepJob;
#[doc(hidden)]
pub use running::run::run;
pub(crate) use running::single::SingleTrial;
#[doc(hidden)]
pub use search::plan::Search;
#[cfg(test)]
pub(crate) use search::trial::Input;
pub use search::trial::Trial;
#[doc(hidden)]
pub use settings::axis::Axis;
pub(crate) use settings::config::DEFAULT;
pub use settings::config::SweepConfig;
#[doc(hidden)]
pub use settings::domain::Domain;
pub use settings::keys::head_settings;
pub(crate) use sources::open::open_all;
#[doc(hidden)]
pub use sources::source::{Source, TapFeatures};
