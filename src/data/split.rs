//! Splitting data that comes without splits: by content, so that a photo keeps its split whatever
//! is added or renamed, and on whatever machine.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::{Dataset, Digest, Entry, Split};
use crate::{Error, Result};

/// Shares of train, val and test for data without splits: `hash:80/10/10`.
///
/// - A hash of a photo's content (of its group's name, where it has one) is a number in [0, 1), and
///   the shares are the borders there. So a split needs no seed, is the same on every machine, and
///   depends neither on names nor on what else is there. Copies are never parted, and neither are
///   photos of a group.
/// - A photo that a cache of the data set knows keeps the split that it has there, whatever the
///   rule. Its copies and its group go with it.
/// - The shares are met as nearly as chance has it. Where a class would have nothing in a split,
///   the *new* photo of the class nearest to that split's border is moved into it, with its copies
///   and its group; known photos never move. So a class whose photos come at once has at least
///
/// | photos of a class (copies and photos of a group count once) | 1 | 2 or 3 | 4 and more |
/// |---|---|---|---|
/// | in train/val/test | 1/0/0 | 1/1/0 | 1/1/1 |
///
/// A split with a share of zero gets nothing. A file that cannot be read has no content to go by:
/// it counts for train until it can be read, and is a new photo then.
///
/// ```
/// use headstart::data::SplitRule;
///
/// let rule: SplitRule = "hash:70/15/15".parse()?;
/// assert_eq!(rule, SplitRule::new(70, 15, 15)?);
/// # Ok::<(), headstart::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SplitRule {
    shares: [u32; 3],
}

const SPLITS: [Split; 3] = [Split::Train, Split::Val, Split::Test];
/// From how many photos on a class has at least one in train, val and test.
const LEAST: [usize; 3] = [1, 2, 4];

/// A photo whose split is settled: a row of a cache.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    /// Its content.
    pub digest: Option<Digest>,
    /// Its path.
    pub path: &'a str,
    /// Its group.
    pub group: Option<&'a str>,
    /// Its split, for ever.
    pub split: Split,
}

/// What [`SplitRule::assign`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Assigned {
    /// Photos in train, val and test.
    pub counts: [usize; 3],
    /// Photos that keep the split that they had.
    pub known: usize,
    /// Photos that were moved for the sake of a small class.
    pub moved: usize,
    /// Classes that have nothing in a split although they are large enough: all that could move is
    /// known.
    pub lacking: Vec<(usize, Split)>,
    /// Splits that have a share and not one photo.
    pub empty: Vec<Split>,
}

/// Photos that are never parted: copies of each other, or of one group.
#[derive(Default)]
struct Unit {
    entries: Vec<usize>,
    /// Classes of its photos.
    labels: BTreeSet<usize>,
    /// Its place among the shares; `None` if none of it can be read.
    hash: Option<u64>,
    split: usize,
    is_known: bool,
    is_moved: bool,
}

impl SplitRule {
    /// A rule from three shares of any sum.
    ///
    /// # Errors
    /// No share for train, or shares beyond a million.
    pub fn new(train: u32, val: u32, test: u32) -> Result<SplitRule> {
        let shares = [train, val, test];
        if train == 0 || shares.iter().any(|&s| s > 1_000_000) {
            return Err(Error::setting(format!("`hash:{train}/{val}/{test}` leaves nothing to train on or is too large"), Self::HELP));
        }
        Ok(SplitRule { shares })
    }

    const HELP: &'static str = "give the shares of train, val and test, such as `hash:80/10/10` or `hash:80/20/0`";

    /// Sets the split of every entry of data that has no splits of its own. `digests[i]` is the
    /// digest of entry `i`, where it can be read; of `settled`, the first that fits counts.
    pub fn assign(&self, dataset: &mut Dataset, digests: &[Option<Digest>], settled: &[Settled<'_>]) -> Option<Assigned> {
        if dataset.own_splits {
            return None;
        }
        let known = Known::new(settled);
        let mut units = units(&dataset.entries, digests);
        for unit in &mut units {
            let members = unit.entries.iter().map(|&i| (&dataset.entries[i], digests[i]));
            if let Some(split) = known.of_unit(members) {
                (unit.split, unit.is_known) = (split as usize, true);
            } else if let Some(hash) = unit.hash {
                unit.split = self.split_of(hash);
            }
        }
        let lacking = self.provide(&mut units, dataset.classes.len());

        let mut done = Assigned { lacking, ..Assigned::default() };
        for unit in &units {
            for &i in &unit.entries {
                let entry = &mut dataset.entries[i];
                let own = known.of_photo(entry, digests[i]);
                let split = own.unwrap_or(SPLITS[unit.split]);
                entry.split = Some(split);
                done.counts[split as usize] += 1;
                done.known += usize::from(own.is_some());
            }
            done.moved += if unit.is_moved { unit.entries.len() } else { 0 };
        }
        // A photo that is known keeps its split even where its group has another one.
        let there: BTreeSet<(usize, Split)> =
            dataset.entries.iter().flat_map(|e| e.labels.iter().filter_map(|&label| Some((label, e.split?)))).collect();
        done.lacking.retain(|lack| !there.contains(lack));
        done.empty = SPLITS.into_iter().filter(|&split| self.shares[split as usize] > 0 && done.counts[split as usize] == 0).collect();
        Some(done)
    }

    /// Moves new units so that no class that is large enough lacks a split, and returns what is
    /// lacking still.
    fn provide(&self, units: &mut [Unit], classes: usize) -> Vec<(usize, Split)> {
        let mut of_class: Vec<Vec<usize>> = vec![vec![]; classes];
        let mut counts = vec![[0; 3]; classes];
        for (u, unit) in units.iter().enumerate().filter(|(_, unit)| unit.hash.is_some()) {
            for &class in &unit.labels {
                of_class[class].push(u);
                counts[class][unit.split] += 1;
            }
        }
        let needs = |class: usize, split: usize| self.shares[split] > 0 && of_class[class].len() >= LEAST[split];
        let mut lacking = vec![];
        for class in 0..classes {
            for split in (0..3).filter(|&split| needs(class, split)) {
                if counts[class][split] > 0 {
                    continue;
                }
                let can_go = |unit: &Unit| unit.labels.iter().all(|&c| counts[c][unit.split] > usize::from(needs(c, unit.split)));
                let free = of_class[class].iter().copied().filter(|&u| !units[u].is_known && can_go(&units[u]));
                let nearest = free.min_by_key(|&u| units[u].hash.map(|hash| (self.distance(hash, split), hash)));
                let Some(u) = nearest else {
                    lacking.push((class, SPLITS[split]));
                    continue;
                };
                for &c in &units[u].labels {
                    counts[c][units[u].split] -= 1;
                    counts[c][split] += 1;
                }
                (units[u].split, units[u].is_moved) = (split, true);
            }
        }
        lacking
    }

    fn split_of(&self, hash: u64) -> usize {
        (0..3).find(|&split| self.distance(hash, split) == 0).unwrap_or_default()
    }

    /// How far a hash lies from the range of a split; 0 inside.
    fn distance(&self, hash: u64, split: usize) -> u128 {
        let sum = |shares: &[u32]| shares.iter().map(|&s| u128::from(s)).sum::<u128>();
        let at = u128::from(hash) * sum(&self.shares);
        let (from, to) = (sum(&self.shares[..split]) << 64, sum(&self.shares[..=split]) << 64);
        if at < from {
            from - at
        } else if at >= to {
            at - to + 1
        } else {
            0
        }
    }
}

/// What photos are joined by.
#[derive(PartialEq, Eq, Hash)]
enum Tie<'a> {
    Group(&'a str),
    Image(Digest),
}

impl Tie<'_> {
    /// A number that is evenly spread.
    fn hash(&self) -> u64 {
        let hash = match self {
            Tie::Group(name) => Sha256::new().chain_update(b"split group\0").chain_update(name),
            Tie::Image(digest) => Sha256::new().chain_update(b"split image\0").chain_update(digest.0),
        };
        let bytes = hash.finalize();
        bytes[..8].iter().fold(0, |hash, &byte| hash << 8 | u64::from(byte))
    }
}

fn ties(entry: &Entry, digest: Option<Digest>) -> impl Iterator<Item = Tie<'_>> {
    entry.group.as_deref().map(Tie::Group).into_iter().chain(digest.map(Tie::Image))
}

/// Entries by what joins them, in the order of their first ones.
fn units(entries: &[Entry], digests: &[Option<Digest>]) -> Vec<Unit> {
    let mut parents: Vec<usize> = (0..entries.len()).collect();
    let mut first: HashMap<Tie<'_>, usize> = HashMap::new();
    for (i, (entry, digest)) in entries.iter().zip(digests).enumerate() {
        for tie in ties(entry, *digest) {
            match first.entry(tie) {
                Slot::Vacant(slot) => {
                    slot.insert(i);
                }
                Slot::Occupied(slot) => {
                    let (a, b) = (root(&mut parents, *slot.get()), root(&mut parents, i));
                    parents[a.max(b)] = a.min(b);
                }
            }
        }
    }
    let mut place = vec![0; entries.len()];
    let mut units: Vec<Unit> = vec![];
    for (i, entry) in entries.iter().enumerate() {
        let top = root(&mut parents, i);
        if top == i {
            place[i] = units.len();
            units.push(Unit::default());
        }
        let unit = &mut units[place[top]];
        unit.entries.push(i);
        unit.labels.extend(&entry.labels);
    }
    for unit in &mut units {
        let group = unit.entries.iter().filter_map(|&i| entries[i].group.as_deref()).map(|name| Tie::Group(name).hash()).min();
        unit.hash = group.or_else(|| unit.entries.iter().filter_map(|&i| digests[i]).map(|d| Tie::Image(d).hash()).min());
    }
    units
}

fn root(parents: &mut [usize], mut i: usize) -> usize {
    while parents[i] != i {
        parents[i] = parents[parents[i]];
        i = parents[i];
    }
    i
}

/// Settled photos, found by what they are.
struct Known<'a> {
    settled: &'a [Settled<'a>],
    images: HashMap<Digest, Vec<usize>>,
    groups: HashMap<&'a str, usize>,
    paths: HashMap<&'a str, usize>,
}

impl<'a> Known<'a> {
    fn new(settled: &'a [Settled<'a>]) -> Known<'a> {
        let mut known = Known { settled, images: HashMap::new(), groups: HashMap::new(), paths: HashMap::new() };
        for (i, photo) in settled.iter().enumerate() {
            known.paths.entry(photo.path).or_insert(i);
            if let Some(group) = photo.group {
                known.groups.entry(group).or_insert(i);
            }
            if let Some(digest) = photo.digest {
                known.images.entry(digest).or_default().push(i);
            }
        }
        known
    }

    /// The split that this very photo has: under its path first, since copies may stand in several
    /// splits of older caches.
    fn of_photo(&self, entry: &Entry, digest: Option<Digest>) -> Option<Split> {
        let Some(digest) = digest else { return self.paths.get(entry.uri.as_str()).map(|&i| self.settled[i].split) };
        let places = self.images.get(&digest)?;
        let i = places.iter().find(|&&i| self.settled[i].path == entry.uri).or(places.first())?;
        Some(self.settled[*i].split)
    }

    /// The split of the first settled photo that belongs to a unit.
    fn of_unit<'e>(&self, members: impl Iterator<Item = (&'e Entry, Option<Digest>)>) -> Option<Split> {
        let first = members.flat_map(|(entry, digest)| {
            let image = match digest {
                Some(digest) => self.images.get(&digest).and_then(|places| places.first()),
                None => self.paths.get(entry.uri.as_str()),
            };
            let group = entry.group.as_deref().and_then(|group| self.groups.get(group));
            image.into_iter().chain(group).copied()
        });
        first.min().map(|i| self.settled[i].split)
    }
}

impl Default for SplitRule {
    fn default() -> Self {
        SplitRule { shares: [80, 10, 10] }
    }
}

impl From<SplitRule> for String {
    fn from(rule: SplitRule) -> String {
        rule.to_string()
    }
}

impl TryFrom<String> for SplitRule {
    type Error = Error;

    fn try_from(text: String) -> Result<SplitRule> {
        text.parse()
    }
}

impl fmt::Display for SplitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, val, test] = self.shares;
        write!(f, "hash:{train}/{val}/{test}")
    }
}

impl FromStr for SplitRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<SplitRule> {
        let shares = text.strip_prefix("hash:").and_then(|list| list.split('/').map(|s| s.parse().ok()).collect::<Option<Vec<u32>>>());
        match shares.as_deref() {
            Some(&[train, val, test]) => SplitRule::new(train, val, test),
            _ => Err(Error::setting(format!("`{text}` is not a rule for splitting"), Self::HELP)),
        }
    }
}

#[cfg(test)]
mod tests;
