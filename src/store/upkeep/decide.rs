//! What parts of an extraction leave open, decided once every image was read.

use std::path::Path;

use super::origin::known_rows_with;
use crate::data::{Assigned, Dataset, Digest, Entry, Settled, SplitRule, copies_text, dedupe, duplicates, emptied_classes};
use crate::store::disk::manifest::Deferred;
use crate::store::disk::rows::{Row, Status};
use crate::{Error, Result};

/// What was decided.
#[derive(Default)]
pub(super) struct Decided {
    /// What the rule did, where a split was open.
    pub split: Option<(SplitRule, Assigned)>,
    /// Copies that were taken out of train.
    pub deduped: usize,
    /// Whether train has copies of images that stand in another split or class, too.
    pub copies_stay: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Splits the rows whose split is open, looks for copies and takes them out of train if asked to,
/// exactly as one run over all images would have: by the same rule, which goes by their digests,
/// groups and classes, and by what this cache and those beside it know. `None` where something is
/// to be decided and some images were not read yet.
pub(super) fn decide_deferred(rows: &mut [Row], classes: &[String], deferred: Deferred, folder: &Path) -> Result<Option<Decided>> {
    let mut decided = Decided::default();
    let mut live: Vec<usize> = (0..rows.len()).filter(|&i| rows[i].status != Status::Deleted).collect();
    let is_open = live.iter().any(|&i| rows[i].split.is_none());
    if live.iter().any(|&i| rows[i].status == Status::Ok && rows[i].digest.is_none()) {
        return Ok((!is_open && !deferred.dedupe).then_some(decided));
    }
    // The order of a listing.
    live.sort_by(|&a, &b| rows[a].path.cmp(&rows[b].path));
    let entry = |&i: &usize| {
        let Row { path, labels, split, group, .. } = &rows[i];
        Entry { uri: path.clone(), labels: labels.clone(), split: *split, group: group.clone() }
    };
    let digests: Vec<Option<Digest>> = live.iter().map(|&i| rows[i].digest).collect();
    let mut dataset = Dataset { classes: classes.to_vec(), entries: live.iter().map(entry).collect(), ..Dataset::default() };
    if is_open {
        let Some(rule) = deferred.split else {
            let hint = "extract the features again with option `part` in each part, or over all of the data";
            return Err(Error::cache(folder, "has images without a split, and no part says how to split them", hint));
        };
        let (known, warnings) = known_rows_with(folder, rows.to_vec(), &digests);
        let settled: Vec<Settled<'_>> = known.iter().filter_map(Row::settled).collect();
        decided.split = rule.assign(&mut dataset, &digests, &settled).map(|done| (rule, done));
        decided.warnings = warnings;
    }
    let found = duplicates(&dataset.entries, &digests);
    for across in found.iter().filter(|copies| copies.is_across()) {
        let uris: Vec<&str> = across.entries.iter().map(|&i| dataset.entries[i].uri.as_str()).collect();
        decided.warnings.push(copies_text(&uris, across.across_splits, across.across_classes));
    }
    decided.copies_stay = !deferred.dedupe && found.iter().any(|copies| copies.harms_train(&dataset.entries));
    let copies = if deferred.dedupe { dedupe(&dataset.entries, &found) } else { vec![] };
    decided.deduped = copies.len();
    decided.warnings.extend(emptied_classes(&dataset.entries, &copies, classes));
    for (&i, entry) in live.iter().zip(&dataset.entries) {
        rows[i].split = entry.split;
    }
    copies.into_iter().for_each(|copy| rows[live[copy]].status = Status::Deleted);
    Ok(Some(decided))
}
