//! Decisions that need the digests of the images: whether the caches of this name are of
//! this data, splits, groups, copies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::listing::Listed;
use super::observe::{Event, Observer, events_of_split};
use super::options::ExtractionOptions;
use crate::Result;
use crate::data::{self, Dataset, Digest, Settled, Split};
use crate::store::{self, Origin, Row};

/// Digests of all entries, or why their files cannot be read.
pub(super) type Digests = Vec<Result<Digest>>;

/// Checks that the caches of this name are made from this data, and gives each image its split,
/// which a part leaves open.
pub(super) fn settle(
    listed: &mut Listed<'_>,
    digests: &Digests,
    cache: &Path,
    options: &ExtractionOptions,
    observer: &mut dyn Observer,
) -> Result<()> {
    let digests: Vec<Option<Digest>> = digests.iter().map(|d| d.as_ref().ok().copied()).collect();
    let dataset = &mut listed.dataset;
    let is_part = options.part.is_some_and(|part| part.of > 1);
    if let Some(place) = &listed.place {
        let partial = options.limit.is_some() || is_part;
        let origin = store::check_origin(cache, place, &dataset.entries, &digests, partial)?;
        tell_origin(&origin, cache, observer);
    }
    store::earlier_caches(cache).iter().for_each(|folder| observer.event(&Event::EarlierVersion(folder)));
    if !dataset.own_splits && !is_part {
        let (rows, warnings) = store::known_rows(cache, &digests);
        warnings.iter().for_each(|text| observer.event(&Event::CacheUnread(text)));
        let settled: Vec<Settled<'_>> = rows.iter().filter_map(Row::settled).collect();
        let rule = options.split.unwrap_or_default();
        if let Some(done) = rule.assign(dataset, &digests, &settled) {
            events_of_split(&done, rule, options.split.is_some(), &dataset.classes).iter().for_each(|event| observer.event(event));
        }
    }
    tell_groups(dataset, observer);
    Ok(())
}

fn tell_origin(origin: &Origin, cache: &Path, observer: &mut dyn Observer) {
    let Origin::Moved { from, here, of } = origin else { return };
    if from.is_some() || here != of {
        let caches = cache.parent().unwrap_or(cache);
        observer.event(&Event::Moved { caches, from: from.as_deref(), here: *here, of: *of });
    }
}

/// How many groups there are, and those that stand in several splits.
fn tell_groups(dataset: &Dataset, observer: &mut dyn Observer) {
    let mut splits: BTreeMap<&str, BTreeSet<Option<Split>>> = BTreeMap::new();
    for entry in &dataset.entries {
        if let Some(group) = &entry.group {
            splits.entry(group).or_default().insert(entry.split);
        }
    }
    if splits.is_empty() {
        return;
    }
    observer.event(&Event::Groups(splits.len()));
    let groups: Vec<&str> = splits.iter().filter(|(_, splits)| splits.len() > 1).map(|(group, _)| *group).collect();
    if !groups.is_empty() {
        observer.event(&Event::GroupsParted { groups, own_splits: dataset.own_splits });
    }
}

/// Tells of images that stand in several splits or classes; with `dedupe` takes copies out of
/// train.
pub(super) fn settle_copies(dedupe: bool, dataset: &mut Dataset, digests: Digests, observer: &mut dyn Observer) -> Digests {
    let known: Vec<Option<Digest>> = digests.iter().map(|d| d.as_ref().ok().copied()).collect();
    let duplicates = data::duplicates(&dataset.entries, &known);
    for copies in duplicates.iter().filter(|copies| copies.is_across()) {
        let uris = copies.entries.iter().map(|&i| dataset.entries[i].uri.as_str()).collect();
        observer.event(&Event::Copies { uris, across_splits: copies.across_splits, across_classes: copies.across_classes });
    }
    if !dedupe {
        if duplicates.iter().any(|copies| copies.harms_train(&dataset.entries)) {
            observer.event(&Event::CopiesStay);
        }
        return digests;
    }
    let dropped = data::dedupe(&dataset.entries, &duplicates);
    if let Some(text) = data::emptied_classes(&dataset.entries, &dropped, &dataset.classes) {
        observer.event(&Event::ClassesEmptied(&text));
    }
    let dropped: BTreeSet<usize> = dropped.into_iter().collect();
    observer.event(&Event::CopiesLeftOut(dropped.len()));
    keep(dataset, digests, |i, _| !dropped.contains(&i))
}

/// Leaves out the images of test.
pub(super) fn leave_out_test(dataset: &mut Dataset, digests: Digests, observer: &mut dyn Observer) -> Digests {
    let before = dataset.entries.len();
    let digests = keep(dataset, digests, |_, entry| entry.split != Some(Split::Test));
    if dataset.entries.len() < before {
        observer.event(&Event::TestLeftOut(before - dataset.entries.len()));
    }
    digests
}

/// Keeps some entries with their digests.
fn keep(dataset: &mut Dataset, digests: Digests, is_kept: impl Fn(usize, &data::Entry) -> bool) -> Digests {
    let entries = std::mem::take(&mut dataset.entries);
    let all = entries.into_iter().zip(digests).enumerate();
    let kept;
    (dataset.entries, kept) = all.filter(|(i, (entry, _))| is_kept(*i, entry)).map(|(_, pair)| pair).unzip();
    kept
}
