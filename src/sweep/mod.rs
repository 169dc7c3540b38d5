//! Sweeps: many heads on cached features, and the directory that they leave.

mod results;
mod running;
mod search;
mod settings;
mod sources;

#[cfg(test)]
mod tests;

pub use results::output::NOTES_FILE;
pub use results::record::{EpochRecord, FinalRecord, Past, Record, Status, flat, read_trials};
pub use results::result::TrialResult;
pub use running::run::{BestOf, Observer, SweepJob, SweepOutcome, run};
pub use running::single::Single;
pub use search::plan::{Inputs, Search, Trial};
pub use settings::config::{DEFAULT, EarlyTerminate, Method, Metric, Protocol, SweepConfig};
pub use settings::space::{Axis, Domain, INPUTS, Range};
pub use settings::yaml::{Entry, Node, Origin, Yaml};
pub use sources::source::{HELD_OUT, Source, TapFeatures, open_all};
