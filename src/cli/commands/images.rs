//! The images that a verb runs a base over: arguments checked, data listed, splits settled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::data::{self, Assigned, Dataset, Digest, ImageSource, ListOptions, Settled, Split, SplitRule};
use crate::extract::Part;
use crate::store::{self, Origin, Row};
use crate::{Error, Result};

use crate::cli::args::Images;
use crate::cli::screen::{Screen, thousands};

/// What there is to read.
pub struct Listed {
    /// Where it is read from.
    pub source: Box<dyn ImageSource>,
    /// The images, no more than the limit.
    pub dataset: Dataset,
    /// The data set's name.
    pub name: String,
    /// Where the data is, in full.
    pub data: PathBuf,
}

impl Images {
    /// How the data is to be listed, if the arguments make sense.
    pub fn check(&self) -> Result<ListOptions> {
        if self.batch == 0 || self.limit == Some(0) {
            return Err(Error::setting("--batch and --limit take 1 or more", "leave them out for their defaults"));
        }
        self.rule()?;
        Ok(ListOptions {
            splits: self.splits.as_deref().map(str::parse).transpose()?,
            group: self.group.as_deref().map(str::parse).transpose()?,
            labels_are_classes: self.labels_are_classes,
            single_label: self.single_label,
            lenient: false,
        })
    }

    pub fn rule(&self) -> Result<SplitRule> {
        self.split.as_deref().map_or(Ok(SplitRule::default()), str::parse)
    }

    /// Lists the data; what the user should know of it is said.
    pub fn list(&self, options: &ListOptions, screen: &Screen) -> Result<Listed> {
        let source = data::open(&self.data, options)?;
        let mut dataset = source.list()?;
        dataset.notes.iter().for_each(|n| screen.note(n));
        dataset.warnings.iter().for_each(|w| screen.warn(w));
        if dataset.own_splits
            && let Some(rule) = &self.split
        {
            screen.warn(format_args!("--split {rule} is for data without splits; this has its own, and keeps them"));
        }
        if let Some(n) = self.limit {
            limit(&mut dataset, n);
        }
        let whole = self.data.canonicalize().map_err(Error::io("find", &self.data))?;
        let name = match self.name.as_deref() {
            Some("") => {
                return Err(Error::setting("--name is empty", "give the data set a name, or leave --name out for that of its folder"));
            }
            Some(name) => name.to_owned(),
            None => folder_name(&whole)?,
        };
        Ok(Listed { source, dataset, name, data: whole })
    }

    /// What can be settled once the digests are known and the cache's folder is: that the caches of this name are made from this data, and the split
    /// of each image, which a part leaves open. What the user should know is said.
    pub fn settle(&self, listed: &mut Listed, digests: &[Result<Digest>], part: Option<Part>, cache: &Path, screen: &Screen) -> Result<()> {
        let digests: Vec<Option<Digest>> = digests.iter().map(|d| d.as_ref().ok().copied()).collect();
        let origin = store::check_origin(cache, &listed.data, &listed.dataset.entries, &digests, self.limit.is_some() || part.is_some())?;
        tell_origin(&origin, cache, screen);
        tell_earlier(&store::earlier_caches(cache), screen);
        if !listed.dataset.own_splits && part.is_none() {
            let (rows, warnings) = store::known_rows(cache, &digests);
            warnings.iter().for_each(|w| screen.warn(w));
            let settled: Vec<Settled<'_>> = rows.iter().filter_map(Row::settled).collect();
            let rule = self.rule()?;
            if let Some(done) = rule.assign(&mut listed.dataset, &digests, &settled) {
                tell_splits(&done, rule, self.split.is_some(), &listed.dataset.classes, screen);
            }
        }
        tell_groups(&listed.dataset, screen);
        Ok(())
    }
}

fn tell_earlier(caches: &[PathBuf], screen: &Screen) {
    for folder in caches {
        screen.note(format_args!(
            "{} was made by an earlier version of headstart and cannot be used any more: it may be deleted",
            folder.display()
        ));
    }
}

fn tell_origin(origin: &Origin, cache: &Path, screen: &Screen) {
    let Origin::Moved { from, here, of } = origin else { return };
    let (here, of) = (thousands(*here as u64), thousands(*of as u64));
    let name = cache.parent().unwrap_or(cache).display();
    match from {
        Some(from) => screen
            .note(format_args!("{name} was made from {}: {here} of {of} photos are here, so this is the same data, moved", from.display())),
        None if here != of => screen.note(format_args!("{name} is taken for caches of this data: {here} of {of} photos are here")),
        None => {}
    }
}

/// What a rule did, where it did something now.
pub fn tell_splits(done: &Assigned, rule: SplitRule, asked: bool, classes: &[String], screen: &Screen) {
    let [train, val, test] = done.counts.map(|n| thousands(n as u64));
    let images: usize = done.counts.iter().sum();
    if done.known < images {
        let moved = match done.moved {
            0 => String::new(),
            n => format!("; {n} new photos of small classes were moved over the border, for the sake of classes that would lack a split"),
        };
        let known = if done.known == 0 { String::new() } else { format!(" ({} as before)", thousands(done.known as u64)) };
        screen.note(format_args!(
            "split by content, {rule}: {train} train, {val} val, {test} test{known}; each photo's digest decides, so shares are met nearly{moved}"
        ));
    }
    if asked && done.known > 0 {
        screen.note(format_args!(
            "{} photos keep the split that the cache has for them, whatever --split says; another --name or --cache splits them anew",
            thousands(done.known as u64)
        ));
    }
    for split in done.empty.iter() {
        screen.warn(format_args!("{split} has no photos at all: there are too few of them, or too few groups, to part any"));
    }
    for split in [Split::Train, Split::Val, Split::Test] {
        let lacking: Vec<&str> = done.lacking.iter().filter(|(_, s)| *s == split).map(|(class, _)| classes[*class].as_str()).collect();
        if !lacking.is_empty() {
            let names = data::name_some(lacking.iter().copied());
            screen.warn(format_args!(
                "{split} has no photos of {} classes, since those that are known keep their split: {names}",
                lacking.len()
            ));
        }
    }
}

/// How many groups there are, and those that stand in several splits.
fn tell_groups(dataset: &Dataset, screen: &Screen) {
    let mut groups: BTreeMap<&str, BTreeSet<Option<Split>>> = BTreeMap::new();
    for entry in &dataset.entries {
        if let Some(group) = &entry.group {
            groups.entry(group).or_default().insert(entry.split);
        }
    }
    if groups.is_empty() {
        return;
    }
    screen.note(format_args!("{} groups, none of which is parted in folds and held-out parts", thousands(groups.len() as u64)));
    let parted: Vec<&str> = groups.iter().filter(|(_, splits)| splits.len() > 1).map(|(group, _)| *group).collect();
    if !parted.is_empty() {
        let way = if dataset.own_splits {
            "give each group one split"
        } else {
            "their photos were split before: another --name splits them anew"
        };
        screen.warn(format_args!("{} groups stand in several splits: {} ({way})", parted.len(), data::name_some(parted.iter().copied())));
    }
}

/// `photos` for `some/photos/` and `some/photos.csv`.
fn folder_name(whole: &Path) -> Result<String> {
    let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    name.map(|n| n.to_string_lossy().into_owned())
        .ok_or_else(|| Error::setting(format!("{} has no name to call the data set by", whole.display()), "give one with --name"))
}

/// Keeps `n` images spread over all folders: those whose paths hash lowest, so that a larger limit keeps what a smaller one took.
fn limit(dataset: &mut Dataset, n: usize) {
    let mut ranked: Vec<(Digest, usize)> = dataset.entries.iter().enumerate().map(|(i, e)| (Digest::of(e.uri.as_bytes()), i)).collect();
    ranked.sort_unstable();
    let mut kept: Vec<usize> = ranked.into_iter().take(n).map(|(_, i)| i).collect();
    kept.sort_unstable();
    dataset.entries = kept.into_iter().map(|i| dataset.entries[i].clone()).collect();
}
