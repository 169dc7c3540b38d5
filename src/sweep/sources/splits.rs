//! The rows on which each run of a trial is trained and judged: held-out parts, folds, few-shot
//! subsets.

use super::source::{HELD_OUT, Source};
use crate::heads::{GroupCount, Partition, few_shot, folds};
use crate::sweep::settings::protocol::Protocol;
use crate::text::counted;
use crate::{Error, Result};

/// The rows of one training of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rows {
    /// The rows of a run; run `r · folds + f` is fold `f` of repeat `r`.
    Run {
        /// Number of the run.
        run: usize,
        /// Number of training rows of each class, where they are limited.
        shots: Option<usize>,
    },
    /// Train and val together, nothing held out.
    All {
        /// Number of the repeat.
        repeat: usize,
        /// Number of training rows of each class, where they are limited.
        shots: Option<usize>,
    },
}

/// The partition for one training. Test stays as it is.
///
/// # Errors
/// Too few rows to hold some out.
pub(crate) fn partition(source: &Source, protocol: Protocol, rows: Rows) -> Result<Partition> {
    let mut partition = source.partition.clone();
    let (run, shots) = match rows {
        Rows::Run { run, shots } => (run, shots),
        Rows::All { repeat, shots } => {
            partition.train.append(&mut partition.val);
            partition.train.sort_unstable();
            limit(&mut partition, source, shots, protocol.seed + repeat as u64);
            return Ok(partition);
        }
    };
    let (repeat, fold) = (run / protocol.folds, run % protocol.folds);
    let seed = protocol.seed + repeat as u64;
    // Checked before memory is taken for the folds.
    if protocol.folds > source.labels.len() {
        return Err(too_few(source, protocol));
    }
    if protocol.folds > 1 {
        partition.train.append(&mut partition.val);
        partition.train.sort_unstable();
        partition.val = folds(&source.labels, &source.groups, &partition.train, protocol.folds, seed).swap_remove(fold);
        partition.train.retain(|row| partition.val.binary_search(row).is_err());
    } else if partition.val.is_empty() {
        partition.hold_out(&source.labels, &source.groups, HELD_OUT, seed);
    }
    limit(&mut partition, source, shots, seed);
    if partition.val.is_empty() || partition.train.is_empty() {
        return Err(too_few(source, protocol));
    }
    Ok(partition)
}

fn too_few(source: &Source, protocol: Protocol) -> Error {
    let (train, val) = (source.partition.train.len(), source.partition.val.len());
    let rows = [&source.partition.train[..], if protocol.folds > 1 { &source.partition.val } else { &[] }].concat();
    let GroupCount { rows: together, groups } = source.groups.count(&rows);
    let kept =
        if groups > 0 { format!(" ({together} of them stay together in {})", counted(groups, "group", "groups")) } else { String::new() };
    let problem = format!(
        "{} and {val} of val{kept} are too few to train on some and to choose by others",
        counted(train, "training row", "training rows")
    );
    Error::setting(problem, "add a val split, use fewer `folds`, or add images to the small classes")
}

fn limit(partition: &mut Partition, source: &Source, shots: Option<usize>, seed: u64) {
    if let Some(shots) = shots {
        partition.train = few_shot(&source.labels, &source.groups, &partition.train, shots, seed);
    }
}
