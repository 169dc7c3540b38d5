//! The same head trained with the frozen base in the loop of every epoch, and on features that were
//! cached once: the same predictions, and the time of each.
//!
//! | file | what for |
//! |---|---|
//! | `comparison.rs` | [`Comparison`]: data, backbone and head put together |
//! | `job.rs` | the comparison as it is run, and [`Observer`], who watches it |
//! | `run.rs` | the comparison, arm by arm |
//! | `arms.rs` | both ways of training, timed |
//! | `epoch_features.rs` | a table of features that changes from epoch to epoch |
//! | `record.rs` | the measurements, kept arm by arm |
//! | `line.rs` | time over epochs and trials, break-even |
//! | `outcome.rs` | [`Speedup`]: the whole result as plain data, its table and its files |
//! | `page.rs` | its HTML page |
//!
//! Both arms see train and val, read the same files with the same decoder, run the same engine in
//! the same batches and train the same head from the same seed. In the loop every epoch decodes
//! every image and runs the base over it, as `fit` does on a model whose base is frozen; its
//! features are kept in memory for that epoch and thrown away.

mod arms;
mod comparison;
mod epoch_features;
mod job;
mod line;
mod outcome;
#[cfg(feature = "report")]
mod page;
mod record;
mod run;

pub use comparison::{Comparison, ComparisonBuilder};
pub use job::{Arm, DEFAULT, Observer};
pub use line::Trials;
#[cfg(test)]
pub(crate) use outcome::TABLE_FILE;
pub use outcome::{About, ArmTime, Images, Speedup};
pub(crate) use outcome::{PAGE_FILE, RESULT_FILE};
pub use record::{Agreement, Epoch};
#[cfg(test)]
pub(crate) use record::{CachedArm, InLoopArm, Record};

#[cfg(test)]
mod tests;
