//! Splitting data that comes without splits: stratified, and the same on every machine.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::{Entry, Split};
use crate::{Error, Result};

/// Shares of train, val and test for data without splits: `hash:80/10/10`.
///
/// Within each class images are ordered by a hash of their URI; the first go to train, the next to val, the rest to test. So the split needs
/// no seed, does not depend on the order of files, and hardly moves while the data grows: only images near one of the two borders can change.
/// An image with several labels is counted in the class of its first one.
///
/// Of a class with `n` images, val gets its share rounded to the nearest whole number but at least one, and so does test, as long as train
/// keeps half of the class (or its share, where that is less) and at least one image; val comes first. Under 80/10/10:
///
/// | images | 1 | 2 | 3 | 4 | 5 | 10 | 15 | 20 |
/// |---|---|---|---|---|---|---|---|---|
/// | train/val/test | 1/0/0 | 1/1/0 | 2/1/0 | 2/1/1 | 3/1/1 | 8/1/1 | 11/2/2 | 16/2/2 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitRule {
    shares: [u32; 3],
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

    /// How many of a class's `n` images go to train, val and test.
    pub fn counts(&self, n: usize) -> [usize; 3] {
        let total: u64 = self.shares.iter().map(|&s| u64::from(s)).sum();
        let share = |s: u32| ((n as u64 * u64::from(s) * 2 + total) / (total * 2)) as usize;
        let wanted = |s: u32| if s == 0 { 0 } else { share(s).max(1) };
        let train = share(self.shares[0]).min(n.div_ceil(2)).max(1).min(n);
        let val = wanted(self.shares[1]).min(n - train);
        let test = wanted(self.shares[2]).min(n - train - val);
        [n - val - test, val, test]
    }

    /// Sets the split of every entry.
    pub fn assign(&self, entries: &mut [Entry]) {
        let mut classes: BTreeMap<Option<usize>, Vec<([u8; 32], usize)>> = BTreeMap::new();
        for (i, entry) in entries.iter().enumerate() {
            let hash = Sha256::digest(entry.uri.as_bytes()).into();
            classes.entry(entry.labels.first().copied()).or_default().push((hash, i));
        }
        for (_, mut members) in classes {
            members.sort_unstable();
            let [train, val, _] = self.counts(members.len());
            for (rank, (_, i)) in members.into_iter().enumerate() {
                entries[i].split = match rank {
                    r if r < train => Split::Train,
                    r if r < train + val => Split::Val,
                    _ => Split::Test,
                };
            }
        }
    }
}

impl Default for SplitRule {
    fn default() -> Self {
        SplitRule { shares: [80, 10, 10] }
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(class: usize, n: usize) -> impl Iterator<Item = Entry> {
        (0..n).map(move |i| Entry { uri: format!("{class}/{i}.jpg"), labels: vec![class], split: Split::Train, group: None })
    }

    #[test]
    fn the_documented_table_holds() {
        let rule = SplitRule::default();
        let want = [
            (1, [1, 0, 0]),
            (2, [1, 1, 0]),
            (3, [2, 1, 0]),
            (4, [2, 1, 1]),
            (5, [3, 1, 1]),
            (10, [8, 1, 1]),
            (15, [11, 2, 2]),
            (20, [16, 2, 2]),
        ];
        for (n, counts) in want {
            assert_eq!(rule.counts(n), counts, "{n} images");
        }
        assert_eq!(rule.counts(0), [0, 0, 0]);
        assert_eq!("hash:80/20/0".parse::<SplitRule>().unwrap().counts(5), [4, 1, 0]);
    }

    #[test]
    fn text_round_trips_and_nonsense_is_refused_with_the_way_out() {
        let rule: SplitRule = "hash:7/2/1".parse().unwrap();
        assert_eq!(rule.to_string(), "hash:7/2/1");
        for bad in ["80/10/10", "hash:80/10", "hash:0/50/50", "hash:a/b/c", "hash:80/10/10/0", "hash:-1/1/1", "hash:9999999/1/1", ""] {
            let error = bad.parse::<SplitRule>().unwrap_err().to_string();
            assert!(error.contains("hash:80/10/10"), "{bad}: {error}");
        }
    }

    #[test]
    fn growing_data_moves_few_images() {
        let mut before: Vec<Entry> = flat(0, 900).collect();
        let mut after: Vec<Entry> = flat(0, 1000).collect();
        SplitRule::default().assign(&mut before);
        SplitRule::default().assign(&mut after);
        let moved = before.iter().zip(&after).filter(|(b, a)| b.split != a.split).count();
        assert!(moved < 40, "{moved} of 900 images changed their split");
    }

    proptest! {
        #[test]
        fn counts_add_up_and_train_is_never_empty(n in 1_usize..5000, train in 1_u32..100, val in 0_u32..100, test in 0_u32..100) {
            let [a, b, c] = SplitRule::new(train, val, test).unwrap().counts(n);
            prop_assert_eq!(a + b + c, n);
            prop_assert!(a >= 1);
            prop_assert!((val > 0) || b == 0);
            prop_assert!((test > 0) || c == 0);
            prop_assert!(n < 2 || val == 0 || b >= 1);
            if n >= 1000 {
                let share = f64::from(val) / f64::from(train + val + test);
                prop_assert!((b as f64 / n as f64 - share).abs() < 0.002);
            }
        }

        #[test]
        fn the_split_does_not_depend_on_the_order_of_entries(sizes in prop::collection::vec(1_usize..30, 1..5), turn in 0_usize..100) {
            let mut entries: Vec<Entry> = sizes.iter().enumerate().flat_map(|(class, &n)| flat(class, n)).collect();
            let mut turned = entries.clone();
            let middle = turn % turned.len();
            turned.rotate_left(middle);
            SplitRule::default().assign(&mut entries);
            SplitRule::default().assign(&mut turned);
            turned.rotate_right(middle);
            prop_assert_eq!(&entries, &turned);
            for (class, &n) in sizes.iter().enumerate() {
                let count = |split| entries.iter().filter(|e| e.labels == [class] && e.split == split).count();
                prop_assert_eq!([count(Split::Train), count(Split::Val), count(Split::Test)], SplitRule::default().counts(n));
            }
        }
    }
}
