//! Sets of row numbers, kept as half-open ranges: a shard of a thousand rows is `[[0, 1000]]` in
//! the manifest.

use serde::{Deserialize, Serialize};

/// A sorted set of row numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowSet {
    ranges: Vec<[u64; 2]>,
}

impl RowSet {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|[start, end]| end.saturating_sub(*start) as usize).fold(0, usize::saturating_add)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The smallest row.
    pub fn first(&self) -> Option<u64> {
        self.ranges.first().map(|[start, _]| *start)
    }

    /// One more than the largest row; 0 where there is none.
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |[_, end]| *end)
    }

    /// The rows of several sets; `None` where one is in two of them. Counts ranges, never rows.
    pub(in crate::store) fn union<'a>(sets: impl Iterator<Item = &'a RowSet>) -> Option<RowSet> {
        let mut all: Vec<[u64; 2]> = sets.flat_map(|set| set.ranges.iter().copied()).collect();
        all.sort_unstable();
        let mut ranges: Vec<[u64; 2]> = Vec::with_capacity(all.len());
        for [start, end] in all {
            match ranges.last_mut() {
                Some([_, before]) if *before > start => return None,
                Some([_, before]) if *before == start => *before = end,
                _ => ranges.push([start, end]),
            }
        }
        Some(RowSet { ranges })
    }

    /// Whether `row` is among them.
    pub fn contains(&self, row: u64) -> bool {
        let after = self.ranges.partition_point(|[start, _]| *start <= row);
        after > 0 && row < self.ranges[after - 1][1]
    }

    /// All rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(|[start, end]| *start..*end)
    }

    /// Whether the ranges are in order, apart and not empty, as [`RowSet::from_iter`] leaves them.
    pub(in crate::store) fn is_canonical(&self) -> bool {
        self.ranges.iter().all(|[start, end]| start < end) && self.ranges.windows(2).all(|w| w[0][1] < w[1][0])
    }
}

/// From rows in any order.
impl FromIterator<u64> for RowSet {
    fn from_iter<I: IntoIterator<Item = u64>>(rows: I) -> RowSet {
        let mut rows: Vec<u64> = rows.into_iter().collect();
        rows.sort_unstable();
        let mut ranges: Vec<[u64; 2]> = vec![];
        for row in rows {
            match ranges.last_mut() {
                Some([_, end]) if row < *end => {}
                Some([_, end]) if row == *end => *end = row + 1,
                _ => ranges.push([row, row + 1]),
            }
        }
        RowSet { ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_answer() {
        let set = RowSet::from_iter([5, 0, 1, 2, 2, 7, 6]);
        assert_eq!(serde_json::to_string(&set).unwrap(), "[[0,3],[5,8]]");
        assert_eq!((set.len(), set.first()), (6, Some(0)));
        assert_eq!((0..10).filter(|&r| set.contains(r)).collect::<Vec<_>>(), set.iter().collect::<Vec<_>>());
        assert!(set.is_canonical());
        assert!(RowSet::default().is_empty() && !RowSet::default().contains(0));
    }

    #[test]
    fn sets_join_unless_they_share_a_row() {
        let [a, b, c] = [vec![0, 1, 6], vec![2, 3], vec![3, 9]].map(RowSet::from_iter);
        assert_eq!(RowSet::union([&a, &b].into_iter()), Some(RowSet::from_iter([0, 1, 2, 3, 6])));
        assert_eq!(RowSet::union([&a, &b, &c].into_iter()), None);
        assert_eq!((a.end(), RowSet::default().end()), (7, 0));
        let huge: RowSet = serde_json::from_str("[[0,18446744073709551615]]").unwrap();
        assert_eq!(RowSet::union([&huge].into_iter()).map(|u| u.contains(1 << 60)), Some(true));
    }

    #[test]
    fn overlapping_ranges_from_a_file_are_noticed() {
        for bad in ["[[3,3]]", "[[0,2],[2,4]]", "[[4,5],[0,1]]"] {
            assert!(!serde_json::from_str::<RowSet>(bad).unwrap().is_canonical(), "{bad}");
        }
    }
}
