//! Groups of rows that are never separated (copies of one image, the photos of one patient or
//! burst), and stratified subsets of rows that respect them.
//!
//! Without groups, a subset depends on labels and seed only. With groups, whole groups are
//! distributed, and each class comes as near to its share as their sizes allow.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::heads::features::labels::Labels;
use crate::heads::features::partition::Partition;
use crate::heads::streams::HOLD_OUT;
use crate::rng::Philox;

/// Number of rows in groups of several, and number of these groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupCount {
    /// Rows that share a group with another row.
    pub rows: usize,
    /// Groups of several rows.
    pub groups: usize,
}

/// The groups of rows that stay together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// For each row, the first row of its group; empty where every row is a group by itself.
    first: Vec<usize>,
    largest: usize,
}

impl Groups {
    /// Groups rows that share a key, and all rows connected through several keys. Rows without a
    /// key are left out of `keys`.
    pub fn join<K: Eq + Hash>(&mut self, rows: usize, keys: impl IntoIterator<Item = (usize, K)>) {
        let mut first = if self.first.is_empty() { (0..rows).collect() } else { std::mem::take(&mut self.first) };
        let mut seen: HashMap<K, usize> = HashMap::new();
        for (row, key) in keys {
            let other = *seen.entry(key).or_insert(row);
            let (a, b) = (root(&mut first, row), root(&mut first, other));
            first[a.max(b)] = a.min(b);
        }
        let mut sizes = vec![0; first.len()];
        // A root comes before all rows below it.
        for row in 0..first.len() {
            first[row] = first[first[row]];
            sizes[first[row]] += 1;
        }
        let largest = sizes.into_iter().max().unwrap_or(0);
        *self = if largest > 1 { Groups { first, largest } } else { Groups::default() };
    }

    /// The first row of a row's group.
    pub fn first(&self, row: usize) -> usize {
        self.first.get(row).copied().unwrap_or(row)
    }

    /// Whether every row is a group by itself.
    pub fn are_single(&self) -> bool {
        self.first.is_empty()
    }

    /// Number of rows of the largest group.
    pub fn largest(&self) -> usize {
        self.largest.max(1)
    }

    /// Counts, among some rows, those that share a group with another of them, and these groups.
    pub fn count(&self, rows: &[usize]) -> GroupCount {
        let sizes = self.sizes(rows);
        let several = sizes.values().filter(|&&n| n > 1);
        several.fold(GroupCount::default(), |count, n| GroupCount { rows: count.rows + n, groups: count.groups + 1 })
    }

    /// Number of `rows` whose group has a row among `others`.
    pub fn shared(&self, rows: &[usize], others: &[usize]) -> usize {
        let there = self.sizes(others);
        if self.are_single() { 0 } else { rows.iter().filter(|&&row| there.contains_key(&self.first(row))).count() }
    }

    fn sizes(&self, rows: &[usize]) -> HashMap<usize, usize> {
        let mut sizes = HashMap::new();
        if !self.are_single() {
            rows.iter().for_each(|&row| *sizes.entry(self.first(row)).or_default() += 1);
        }
        sizes
    }

    /// Some rows by group, in the order of each group's first row.
    pub fn units(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut units: Vec<Vec<usize>> = vec![];
        let mut place = HashMap::new();
        for &row in rows {
            let next = units.len();
            let own = if self.are_single() { next } else { *place.entry(self.first(row)).or_insert(next) };
            if own == next {
                units.push(vec![]);
            }
            units[own].push(row);
        }
        units
    }
}

/// The root of a row, with path halving.
fn root(first: &mut [usize], mut row: usize) -> usize {
    while first[row] != row {
        first[row] = first[first[row]];
        row = first[row];
    }
    row
}

/// Rows of one group.
struct Unit {
    rows: Vec<usize>,
    /// Its classes, ascending, with their rows. (A row counts under its first class, one without
    /// any under `u32::MAX`.)
    classes: Vec<(u32, usize)>,
}

impl Unit {
    fn new(labels: &Labels, rows: Vec<usize>) -> Unit {
        let mut classes = BTreeMap::new();
        rows.iter().for_each(|&row| *classes.entry(labels.of(row).first().copied().unwrap_or(u32::MAX)).or_default() += 1);
        Unit { rows, classes: classes.into_iter().collect() }
    }

    /// The most frequent class of its rows; of several the first.
    fn class(&self) -> u32 {
        self.classes.iter().fold((u32::MAX, 0), |most, &(class, n)| if n > most.1 { (class, n) } else { most }).0
    }
}

/// Units of some rows by their class, each class in a random order of `seed` and `purpose`.
fn shuffled(labels: &Labels, groups: &Groups, rows: &[usize], seed: u64, purpose: u32) -> BTreeMap<u32, Vec<Unit>> {
    let mut by_class = BTreeMap::<u32, Vec<Unit>>::new();
    for unit in groups.units(rows) {
        let unit = Unit::new(labels, unit);
        by_class.entry(unit.class()).or_default().push(unit);
    }
    let order = Philox::new(seed, HOLD_OUT);
    by_class.iter_mut().for_each(|(&class, units)| order.draws([class, purpose]).shuffle(units));
    by_class
}

/// Number of rows of a class: all, those to be held out, and those held out so far.
#[derive(Clone, Copy, Default)]
struct Tally {
    all: usize,
    wanted: usize,
    held: usize,
}

type Tallies = BTreeMap<u32, Tally>;

fn tallies(units: &BTreeMap<u32, Vec<Unit>>, share: f64) -> Tallies {
    let mut tallies = Tallies::new();
    units.values().flatten().flat_map(|unit| &unit.classes).for_each(|&(class, n)| tallies.entry(class).or_default().all += n);
    for tally in tallies.values_mut() {
        tally.wanted = ((tally.all as f64 * share).round() as usize).min(tally.all - 1);
    }
    tallies
}

/// Whether each class of a unit keeps a row to be trained on.
fn can_go(unit: &Unit, tallies: &Tallies) -> bool {
    unit.classes.iter().all(|(class, n)| tallies[class].held + n < tallies[class].all)
}

/// Whether holding out a unit brings its classes nearer to their targets, each weighted by its
/// size.
fn brings_nearer(unit: &Unit, tallies: &Tallies) -> bool {
    let change = |(class, n): &(u32, usize)| {
        let Tally { all, wanted, held } = tallies[class];
        ((held + n).abs_diff(wanted) as f64 - held.abs_diff(wanted) as f64) / all as f64
    };
    unit.classes.iter().map(change).sum::<f64>() < 0.0
}

impl Partition {
    /// Moves a share of train to val, class by class: the first units of each class in a random
    /// order of `seed`.
    ///
    /// Where a class has `n` rows, `round(n · share)` of them move, or as near to that as its units
    /// allow, but never its last one. A class whose units are all too large gives its smallest one.
    pub fn hold_out(&mut self, labels: &Labels, groups: &Groups, share: f64, seed: u64) {
        let mut units = shuffled(labels, groups, &self.train, seed, 0);
        let mut tallies = tallies(&units, share);
        let mut held = vec![];
        let mut take = |unit: &mut Unit, tallies: &mut Tallies| {
            unit.classes.iter().for_each(|(class, n)| tallies.entry(*class).or_default().held += n);
            held.append(&mut unit.rows);
        };
        for unit in units.values_mut().flatten() {
            if brings_nearer(unit, &tallies) && can_go(unit, &tallies) {
                take(unit, &mut tallies);
            }
        }
        for (class, units) in &mut units {
            let lacks = tallies[class].held == 0 && tallies[class].wanted > 0;
            let left = units.iter_mut().filter(|unit| lacks && !unit.rows.is_empty() && can_go(unit, &tallies));
            if let Some(unit) = left.min_by_key(|unit| unit.rows.len()) {
                take(unit, &mut tallies);
            }
        }
        held.sort_unstable();
        self.train.retain(|row| held.binary_search(row).is_err());
        self.val = held;
    }
}

/// Stratified folds of some rows, each ascending, with every class spread as evenly as the groups
/// allow, in a random order of `seed`.
pub(crate) fn folds(labels: &Labels, groups: &Groups, rows: &[usize], folds: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut parts = vec![Fold::default(); folds.max(1)];
    let mut units: Vec<Unit> = shuffled(labels, groups, rows, seed, 1).into_values().flatten().collect();
    let mut sizes = BTreeMap::<u32, usize>::new();
    units.iter().flat_map(|unit| &unit.classes).for_each(|&(class, n)| *sizes.entry(class).or_default() += n);
    // The largest units come first, so that single rows fill up the gaps.
    units.sort_by_key(|unit| std::cmp::Reverse(unit.rows.len()));
    for unit in units {
        // A unit goes to the fold in which its classes are rarest, of several to the smallest, then
        // to the first: single rows go round.
        let crowd = |part: &Fold| unit.classes.iter().map(|(class, n)| (part.of(*class) * n) as f64 / sizes[class] as f64).sum::<f64>();
        let order = |a: &&mut Fold, b: &&mut Fold| crowd(a).total_cmp(&crowd(b)).then(a.rows.len().cmp(&b.rows.len()));
        if let Some(part) = parts.iter_mut().min_by(order) {
            part.take(unit);
        }
    }
    let ascending = |part: Fold| {
        let mut rows = part.rows;
        rows.sort_unstable();
        rows
    };
    parts.into_iter().map(ascending).collect()
}

/// A fold under construction.
#[derive(Clone, Default)]
struct Fold {
    rows: Vec<usize>,
    classes: HashMap<u32, usize>,
}

impl Fold {
    fn of(&self, class: u32) -> usize {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    fn take(&mut self, unit: Unit) {
        unit.classes.iter().for_each(|(class, n)| *self.classes.entry(*class).or_default() += n);
        self.rows.extend(unit.rows);
    }
}

/// A few-shot subset: at most `shots` units of each class (a group counts as one), the first in a
/// random order of `seed`; ascending.
///
/// A smaller subset is part of a larger one.
pub(crate) fn few_shot(labels: &Labels, groups: &Groups, rows: &[usize], shots: usize, seed: u64) -> Vec<usize> {
    let units = shuffled(labels, groups, rows, seed, 2);
    let mut few: Vec<usize> = units.into_values().flat_map(|units| units.into_iter().take(shots)).flat_map(|unit| unit.rows).collect();
    few.sort_unstable();
    few
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of these sizes, one after the other.
    fn groups(sizes: &[usize]) -> Groups {
        let keys: Vec<usize> = sizes.iter().enumerate().flat_map(|(group, &n)| vec![group; n]).collect();
        let mut groups = Groups::default();
        groups.join(keys.len(), keys.into_iter().enumerate());
        groups
    }

    fn single() -> Groups {
        Groups::default()
    }

    #[test]
    fn rows_hang_together_by_any_of_their_keys() {
        let mut groups = Groups::default();
        groups.join(7, [(0, "x"), (3, "x"), (4, "y")]);
        groups.join(7, [(3, 1), (4, 2), (5, 1), (6, 2)]);
        assert_eq!((0..7).map(|row| groups.first(row)).collect::<Vec<_>>(), [0, 1, 2, 0, 4, 0, 4]);
        assert_eq!(
            (groups.largest(), groups.count(&[0, 1, 3, 4]), groups.shared(&[1, 3, 4], &[0, 2])),
            (3, GroupCount { rows: 2, groups: 1 }, 1)
        );
        groups.join(7, [(4, 'z'), (0, 'z')]);
        assert_eq!(groups.units(&[6, 2, 0]), [vec![6, 0], vec![2]]);
        let mut none = Groups::default();
        none.join(3, [(0, 'a'), (2, 'b')]);
        assert!(none.are_single() && none == single() && none.largest() == 1);
    }

    #[test]
    fn folds_share_out_every_row_and_class() {
        let labels = Labels::One((0..103).map(|row| if row < 100 { row % 2 } else { row - 98 }).collect());
        let parts = folds(&labels, &single(), &(0..103).collect::<Vec<_>>(), 5, 3);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        for part in &parts {
            assert!((20..=21).contains(&part.len()), "{}", part.len());
            assert_eq!(part.iter().filter(|&&row| row < 100 && row % 2 == 0).count(), 10);
        }
        assert_ne!(parts, folds(&labels, &single(), &(0..103).collect::<Vec<_>>(), 5, 4));
    }

    /// As rows were dealt before any stayed together: data without copies must keep their folds,
    /// val and shots bit for bit.
    #[test]
    fn rows_that_stand_alone_are_parted_as_ever() {
        let labels = Labels::One((0..97).map(|row| row * row % 5 % 3).collect());
        let rows: Vec<usize> = (0..97).filter(|row| row % 7 != 2).collect();
        let mut by_class = BTreeMap::<u32, Vec<usize>>::new();
        rows.iter().for_each(|&row| by_class.entry(labels.of(row)[0]).or_default().push(row));
        for seed in 0..20 {
            let order = Philox::new(seed, HOLD_OUT);
            let (mut dealt, mut next) = (vec![vec![]; 4], 0);
            let (mut held, mut shots) = (vec![], vec![]);
            for (&class, rows) in &by_class {
                let shuffled = |purpose| {
                    let mut rows = rows.clone();
                    order.draws([class, purpose]).shuffle(&mut rows);
                    rows
                };
                for row in shuffled(1) {
                    dealt[next % 4].push(row);
                    next += 1;
                }
                held.extend_from_slice(&shuffled(0)[..(rows.len() as f64 * 0.2).round() as usize]);
                shots.extend_from_slice(&shuffled(2)[..6]);
            }
            dealt.iter_mut().chain([&mut held, &mut shots]).for_each(|rows| rows.sort_unstable());
            assert_eq!(folds(&labels, &single(), &rows, 4, seed), dealt);
            assert_eq!(few_shot(&labels, &single(), &rows, 6, seed), shots);
            let mut partition = Partition { train: rows.clone(), ..Partition::default() };
            partition.hold_out(&labels, &single(), 0.2, seed);
            assert_eq!(partition.val, held);
            // Groups that reach beyond these rows leave each of them alone.
            let mut beyond = Groups::default();
            beyond.join(97, (0..97).filter(|row| matches!(row % 7, 1 | 2)).map(|row| (row, row / 7)));
            assert!(!beyond.are_single());
            assert_eq!(folds(&labels, &beyond, &rows, 4, seed), dealt);
        }
    }

    /// Whether no group has rows in two of these parts.
    fn are_kept(groups: &Groups, parts: &[Vec<usize>]) -> bool {
        (0..parts.len()).all(|i| (0..i).all(|j| groups.shared(&parts[i], &parts[j]) == 0))
    }

    #[test]
    fn what_stays_together_is_not_parted_and_classes_stay_near_their_shares() {
        // Copies: three of every image, 20 images a class.
        let copies = groups(&[3; 40]);
        let labels = Labels::One((0..120).map(|row| u32::from(row >= 60)).collect());
        let rows: Vec<usize> = (0..120).collect();
        for seed in 0..20 {
            let parts = folds(&labels, &copies, &rows, 5, seed);
            assert!(are_kept(&copies, &parts) && parts.iter().all(|part| part.len() == 24), "{parts:?}");
            assert!(parts.iter().all(|part| part.iter().filter(|&&row| row < 60).count() == 12));
            let mut partition = Partition { train: rows.clone(), ..Partition::default() };
            partition.hold_out(&labels, &copies, 0.2, seed);
            assert_eq!(partition.val.iter().filter(|&&row| row < 60).count(), 12);
            assert!(are_kept(&copies, &[partition.val, partition.train]));
            let shots = few_shot(&labels, &copies, &rows, 5, seed);
            assert_eq!(
                (shots.len(), copies.count(&shots)),
                (30, GroupCount { rows: 30, groups: 10 }),
                "an image is one shot, however often it is there"
            );
            assert!(few_shot(&labels, &copies, &rows, 2, seed).iter().all(|row| shots.contains(row)));
        }
        // Patients of different sizes, with both classes each.
        let sizes: Vec<usize> = (0..30).map(|patient| 1 + patient * patient % 23).collect();
        let (patients, n) = (groups(&sizes), sizes.iter().sum::<usize>());
        let labels = Labels::One((0..n as u32).map(|row| u32::from(row % 4 == 0)).collect());
        let rows: Vec<usize> = (0..n).collect();
        for seed in 0..20 {
            let parts = folds(&labels, &patients, &rows, 5, seed);
            assert!(are_kept(&patients, &parts) && parts.concat().len() == n);
            for part in &parts {
                let share = part.iter().filter(|&&row| row % 4 == 0).count() as f64 / part.len() as f64;
                assert!(part.len().abs_diff(n / 5) <= n / 20 && (share - 0.25).abs() < 0.06, "{} of {n}, {share}", part.len());
            }
            let mut partition = Partition { train: rows.clone(), ..Partition::default() };
            partition.hold_out(&labels, &patients, 0.2, seed);
            assert!(partition.val.len().abs_diff(n / 5) <= n / 20, "{} of {n}", partition.val.len());
            assert!(are_kept(&patients, &[partition.val, partition.train]));
        }
    }

    #[test]
    fn holding_out_is_stratified_and_leaves_no_class_without_training_rows() {
        let labels = Labels::One((0..103).map(|row| if row < 100 { row % 2 } else { row - 98 }).collect());
        let mut partition = Partition { train: (0..103).collect(), ..Partition::default() };
        partition.hold_out(&labels, &single(), 0.2, 0);
        assert_eq!(partition.val.len(), 20);
        assert_eq!(partition.val.iter().filter(|&&r| r % 2 == 0).count(), 10);
        assert_eq!(partition.train.len() + partition.val.len(), 103);
        assert!((100..103).all(|row| partition.train.contains(&row)));
        // Two groups a class: the smaller one is more than a fifth, and serves all the same. One
        // group: nothing can be held out.
        let labels = Labels::One([vec![0; 30], vec![1; 20]].concat());
        let mut partition = Partition { train: (0..50).collect(), ..Partition::default() };
        partition.hold_out(&labels, &groups(&[10, 20, 20]), 0.2, 0);
        assert_eq!(partition.val, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn few_shots_are_some_of_each_class_and_nested() {
        let labels = Labels::One((0..60).map(|row| row % 3).collect());
        let rows: Vec<usize> = (0..50).collect();
        let (two, five) = (few_shot(&labels, &single(), &rows, 2, 0), few_shot(&labels, &single(), &rows, 5, 0));
        assert_eq!((two.len(), five.len()), (6, 15));
        assert!(two.iter().all(|row| five.contains(row)));
        assert_eq!(few_shot(&labels, &single(), &rows, 99, 0), rows);
    }
}
