//! Notes before a sweep starts: on the rows that serve for choosing, and on settings that do not
//! suit the data.

use std::collections::BTreeSet;

use super::job::SweepJob;
use crate::heads::{GroupCount, Labels, Params, Partition};
use crate::steps::EXTRACT_AGAIN;
use crate::sweep::results::output::MOST_CLASSES;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::settings::domain::Domain;
use crate::sweep::sources::source::Source;
use crate::sweep::sources::splits::{Rows, partition};
use crate::text::counted;

/// All notes on a sweep.
pub(crate) fn about(job: &SweepJob) -> Vec<String> {
    let (config, source) = (&job.config, &job.sources[0]);
    let mut notes: Vec<String> =
        [about_seeds(config), about_val(job), about_data(&job.sources), about_size(source)].into_iter().flatten().collect();
    notes.extend(about_copies(job));
    // Rows that cannot be parted are refused with the first trial.
    if let Ok(rows) = partition(source, config.protocol(), Rows::Run { run: 0, shots: None }) {
        notes.extend(about_classes(config, source, &rows));
        notes.extend(about_batches(config, &rows));
    }
    notes.extend(about_early_end(config));
    notes
}

/// Several seeds are repeats, not settings to choose from.
fn about_seeds(config: &SweepConfig) -> Option<String> {
    let repeats = config.protocol().repeats;
    (repeats > config.repeats)
        .then(|| format!("`seed`: each setting is trained with {repeats} seeds and judged by its mean, as with `repeats`"))
}

/// Caches judged by different images say little of their backbones.
fn about_data(sources: &[Source]) -> Option<String> {
    let judges = |source: &Source| -> BTreeSet<String> {
        let rows = if source.partition.val.is_empty() { &source.partition.train } else { &source.partition.val };
        rows.iter().map(|&row| source.paths[row].clone()).collect()
    };
    let first = judges(sources.first()?);
    let (other, differ) = sources.iter().map(|s| (s, judges(s).symmetric_difference(&first).count())).find(|(_, differ)| *differ > 0)?;
    Some(format!(
        "{} and {} are judged by different images ({differ} are in one of them only): compare their figures with care",
        sources[0].folder, other.folder
    ))
}

/// The rows that serve for choosing.
fn about_val(job: &SweepJob) -> Option<String> {
    let config = &job.config;
    let source = job.sources.iter().find(|s| s.partition.val.is_empty());
    match (config.folds > 1, source) {
        (true, Some(_)) => Some(format!("train in {} folds, class by class: each serves for choosing once", config.folds)),
        (true, None) => Some(format!("train and val together in {} folds, class by class: each serves for choosing once", config.folds)),
        (false, Some(source)) => {
            let rows = partition(source, config.protocol(), Rows::Run { run: 0, shots: None }).ok()?;
            let (val, train) = (rows.val.len(), rows.train.len());
            Some(format!(
                "no val split: a fifth of train, class by class, serves for choosing ({val} of {}, {train} train)",
                counted(val + train, "row", "rows")
            ))
        }
        (false, None) => None,
    }
}

/// Rows that are kept together, and related rows that the data's own splits have parted.
fn about_copies(job: &SweepJob) -> Vec<String> {
    let (config, source) = (&job.config, &job.sources[0]);
    let Partition { train, val, test } = &source.partition;
    let joins_val = config.folds > 1 || config.refit;
    let learnt = if joins_val { [&train[..], val].concat() } else { train.clone() };
    let mut notes = vec![];
    let is_parted = config.folds > 1 || val.is_empty() || config.axis("shots").is_some();
    let GroupCount { rows: copies, groups: images } = source.copies.count(&learnt);
    if is_parted && copies > 0 {
        let (rows, images) = (counted(learnt.len(), "row", "rows"), counted(images, "image", "images"));
        notes.push(format!("{copies} of {rows} are identical copies: those of an image ({images}) stay on one side"));
    }
    if is_parted && source.groups != source.copies {
        let GroupCount { rows, groups } = source.groups.count(&learnt);
        let (all, groups) = (counted(learnt.len(), "row", "rows"), counted(groups, "group", "groups"));
        notes.push(format!("{rows} of {all} stand in {groups}, each of which stays on one side"));
    }
    let judges = if joins_val { test.clone() } else { [&val[..], test].concat() };
    let by = if joins_val || val.is_empty() { "test" } else { "val or test" };
    let [same, related] = [&source.copies, &source.groups].map(|groups| groups.shared(&learnt, &judges));
    if same > 0 {
        notes.push(format!(
            "{} identical to rows of {by}, by the data's own splits: figures there are too good ({EXTRACT_AGAIN} with option `dedupe` to leave such rows out of train)",
            counted(same, "row to train on is", "rows to train on are")
        ));
    }
    if related > same {
        notes.push(format!(
            "{} a group with rows of {by}, by the data's own splits: figures there are too good",
            counted(related - same, "row to train on shares", "rows to train on share")
        ));
    }
    notes
}

fn about_size(source: &Source) -> Option<String> {
    let classes = source.classes.len();
    (classes > MOST_CLASSES)
        .then(|| format!("predictions.csv leaves out the probabilities of the single classes: {classes} are more than {MOST_CLASSES}"))
}

/// Classes that are too small for `folds` or `shots`.
fn about_classes(config: &SweepConfig, source: &Source, rows: &Partition) -> Vec<String> {
    let mut notes = vec![];
    let counts = class_counts(&source.labels, source.classes.len(), &rows.train);
    let empty: Vec<&str> = source.classes.iter().zip(&counts).filter(|(_, n)| **n == 0).map(|(class, _)| class.as_str()).collect();
    if !empty.is_empty() {
        let more = if empty.len() > 5 { ", …" } else { "" };
        notes.push(format!(
            "no row to train on: {}{more} ({} of {} classes)",
            empty[..empty.len().min(5)].join(", "),
            empty.len(),
            counts.len()
        ));
    }
    let all: Vec<usize> = rows.train.iter().chain(&rows.val).copied().collect();
    let mut smallest = |of: &[usize], key: &str, wanted: usize, so: &str| {
        let counts = class_counts(&source.labels, source.classes.len(), of);
        let least = source.classes.iter().zip(counts).filter(|(_, n)| *n > 0).min_by_key(|(_, n)| *n);
        if let Some((class, n)) = least.filter(|(_, n)| *n < wanted) {
            notes.push(format!("`{key}: {wanted}`: class `{class}` has {}, {so}", counted(n, "row", "rows")));
        }
    };
    if config.folds > 1 {
        smallest(&all, "folds", config.folds, "so that some folds are judged without it");
    }
    smallest(&rows.train, "shots", most(config, "shots").unwrap_or(0), "and gives all of them");
    notes
}

fn class_counts(labels: &Labels, classes: usize, rows: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; classes];
    rows.iter().flat_map(|&row| labels.of(row)).for_each(|&class| counts[class as usize] += 1);
    counts
}

/// A batch that holds all rows makes an epoch a single step.
fn about_batches(config: &SweepConfig, rows: &Partition) -> Option<String> {
    let size = most(config, "batch_size").unwrap_or(Params::default().batch_size);
    (config.trains() && size > rows.train.len())
        .then(|| format!("`batch_size: {size}` is more than the {} training rows: an epoch is one step", rows.train.len()))
}

/// Early termination that comes too late for every head.
fn about_early_end(config: &SweepConfig) -> Option<String> {
    let early = config.early_terminate?;
    let epochs = most(config, "epochs").unwrap_or(Params::default().epochs);
    (early.min_iter >= epochs)
        .then(|| format!("`early_terminate` ends no trial: its `min_iter: {}` is not below `epochs: {epochs}`", early.min_iter))
}

/// The largest value that a parameter may take.
fn most(config: &SweepConfig, key: &str) -> Option<usize> {
    match &config.axis(key)?.domain {
        Domain::Range(range) => Some(range.max as usize),
        Domain::Values(values) => values.iter().filter_map(|choice| choice.value.as_u64()).max().map(|n| n as usize),
    }
}
