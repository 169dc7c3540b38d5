//! Rows keep their number for ever: what a data set holds now is matched against the rows of the
//! cache by path and digest.

use std::collections::{HashMap, VecDeque};

use crate::data::{Dataset, Digest};
use crate::store::disk::rows::{Row, Status};

/// What matching changed, counted in images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// New images: appended.
    pub added: usize,
    /// Known images under another path.
    pub renamed: usize,
    /// Known images with another label.
    pub relabelled: usize,
    /// Known images in another split.
    pub resplit: usize,
    /// Known images of another group.
    pub regrouped: usize,
    /// Those of them that had a group and have none now.
    pub ungrouped: usize,
    /// Images that had been deleted and are there again.
    pub revived: usize,
    /// Images that are gone, or whose file holds another image now.
    pub deleted: usize,
}

/// Rows after matching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    /// All rows, by number.
    pub rows: Vec<Row>,
    /// The row of each entry of the listing.
    pub listed: Vec<u64>,
    /// The number of the next new row.
    pub next_row: u64,
    /// What changed.
    pub changes: Changes,
}

/// The rows that a cache has, and how to match them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Rows by number.
    pub rows: &'a [Row],
    /// Their classes.
    pub classes: &'a [String],
    /// The number of the next new row.
    pub next_row: u64,
    /// Whether the listing is only a part of the data: rows that are not in it stay as they are.
    pub partial: bool,
}

/// Matches a listing against the rows of a cache.
///
/// `digests[i]` is the digest of `dataset.entries[i]`; `None` where the file cannot be read. In
/// this order, an entry gets
/// 1. the row of its path, if the digest is the same, or the file cannot be read now or could not
///    before: a deleted row comes back;
/// 2. the first free row of its digest: the image was renamed, or is back under another path;
/// 3. a new row. New rows are numbered in the order of the listing.
///
/// Rows that get no entry are marked deleted. A row that has a digest never changes it, so a failed
/// image is tried again only as a new row, when its file has changed.
pub(crate) fn reconcile(known: Known<'_>, dataset: &Dataset, digests: &[Option<Digest>]) -> Reconciled {
    let mut matched: Vec<Option<usize>> = vec![None; known.rows.len()];
    let mut unmatched = match_paths(known, dataset, digests, &mut matched);
    match_digests(known, digests, &mut matched, &mut unmatched);

    let relabel = remap(known.classes, &dataset.classes);
    let mut changes = Changes::default();
    let mut rows: Vec<Row> = Vec::with_capacity(known.rows.len() + unmatched.len());
    for (row, entry) in known.rows.iter().zip(&matched) {
        let old_labels: Vec<usize> = row.labels.iter().filter_map(|l| relabel.get(l).copied()).collect();
        rows.push(match entry {
            Some(i) => updated(row, &old_labels, dataset, *i, &mut changes),
            None => {
                let gone = !known.partial && row.status != Status::Deleted;
                changes.deleted += usize::from(gone);
                Row { labels: old_labels, status: if gone { Status::Deleted } else { row.status }, ..row.clone() }
            }
        });
    }
    let mut listed = vec![0; dataset.entries.len()];
    for (row, entry) in known.rows.iter().zip(&matched) {
        if let Some(i) = entry {
            listed[*i] = row.row;
        }
    }
    fill(&mut rows, &listed, digests);
    let mut next_row = rows.last().map_or(0, |r| r.row + 1).max(known.next_row);
    for i in unmatched {
        let (entry, digest) = (&dataset.entries[i], digests[i]);
        rows.push(Row {
            row: next_row,
            path: entry.uri.clone(),
            labels: entry.labels.clone(),
            split: entry.split,
            status: if digest.is_some() { Status::Ok } else { Status::Failed },
            digest,
            group: entry.group.clone(),
        });
        listed[i] = next_row;
        next_row += 1;
        changes.added += 1;
    }
    Reconciled { rows, listed, next_row, changes }
}

/// A row whose file could not be read so far gets the digest that the file has now: it has no
/// features, so they are of no other image.
fn fill(rows: &mut [Row], listed: &[u64], digests: &[Option<Digest>]) {
    let known: HashMap<u64, Digest> = listed.iter().zip(digests).filter_map(|(row, digest)| Some((*row, (*digest)?))).collect();
    for row in rows.iter_mut().filter(|row| row.digest.is_none()) {
        if let Some(digest) = known.get(&row.row) {
            (row.digest, row.status) = (Some(*digest), Status::Ok);
        }
    }
}

/// Step 1. Returns the entries that are left, in order.
fn match_paths(known: Known<'_>, dataset: &Dataset, digests: &[Option<Digest>], matched: &mut [Option<usize>]) -> Vec<usize> {
    // Of several rows with one path (all but one of them deleted), live ones come first, then lower
    // numbers.
    let mut by_path: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, row) in known.rows.iter().enumerate() {
        by_path.entry(&row.path).or_default().push(i);
    }
    by_path.values_mut().for_each(|rows| rows.sort_by_key(|&i| (known.rows[i].status == Status::Deleted, i)));
    let fits = |row: &Row, digest: Option<Digest>| match digest {
        Some(_) => row.digest == digest || row.digest.is_none() && row.status != Status::Deleted,
        None => row.status != Status::Deleted,
    };
    let mut unmatched = vec![];
    for (i, entry) in dataset.entries.iter().enumerate() {
        let rows = by_path.get(entry.uri.as_str()).map(Vec::as_slice).unwrap_or_default();
        match rows.iter().find(|&&r| matched[r].is_none() && fits(&known.rows[r], digests[i])) {
            Some(&r) => matched[r] = Some(i),
            None => unmatched.push(i),
        }
    }
    unmatched
}

/// Step 2. Identical files are paired in order: rows that live before deleted ones, then by number;
/// entries as listed.
fn match_digests(known: Known<'_>, digests: &[Option<Digest>], matched: &mut [Option<usize>], unmatched: &mut Vec<usize>) {
    let mut free: HashMap<Digest, VecDeque<usize>> = HashMap::new();
    for deleted in [false, true] {
        // Part of a listing cannot tell a renamed image from a copy of one that is not listed.
        let candidates = known.rows.iter().enumerate().filter(|(_, r)| (r.status == Status::Deleted) == deleted);
        for (r, row) in candidates.filter(|(r, _)| matched[*r].is_none() && (deleted || !known.partial)) {
            if let Some(digest) = row.digest {
                free.entry(digest).or_default().push_back(r);
            }
        }
    }
    unmatched.retain(|&i| {
        let row = digests[i].and_then(|d| free.get_mut(&d)).and_then(VecDeque::pop_front);
        if let Some(r) = row {
            matched[r] = Some(i);
        }
        row.is_none()
    });
}

/// A row as the listing has it now. Where the data has no splits of its own, the row keeps the one
/// that it was given.
fn updated(row: &Row, old_labels: &[usize], dataset: &Dataset, i: usize, changes: &mut Changes) -> Row {
    let entry = &dataset.entries[i];
    let split = if dataset.own_splits { entry.split } else { row.split.or(entry.split) };
    changes.renamed += usize::from(row.path != entry.uri);
    changes.relabelled += usize::from(old_labels != entry.labels);
    changes.resplit += usize::from(row.split.is_some() && row.split != split);
    changes.regrouped += usize::from(row.group != entry.group);
    changes.ungrouped += usize::from(row.group.is_some() && entry.group.is_none());
    changes.revived += usize::from(row.status == Status::Deleted);
    Row {
        row: row.row,
        path: entry.uri.clone(),
        labels: entry.labels.clone(),
        split,
        digest: row.digest,
        status: if row.status == Status::Failed { Status::Failed } else { Status::Ok },
        group: entry.group.clone(),
    }
}

/// Old label to new label, by class name.
fn remap(old: &[String], new: &[String]) -> HashMap<usize, usize> {
    let place: HashMap<&str, usize> = new.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    old.iter().enumerate().filter_map(|(i, name)| place.get(name.as_str()).map(|&to| (i, to))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Entry, Split};

    /// A digest with a name of one letter; the empty name is none.
    fn digest(name: &str) -> Option<Digest> {
        name.bytes().next().map(|b| Digest([b; 32]))
    }

    /// A listing from `(path, digest)`; an empty digest is a file that cannot be read. The class is
    /// the path's first letter.
    fn listing(files: &[(&str, &str)]) -> (Dataset, Vec<Option<Digest>>) {
        let mut files = files.to_vec();
        files.sort();
        let mut classes: Vec<String> = files.iter().map(|(p, _)| p[..1].to_string()).collect();
        classes.sort();
        classes.dedup();
        let entry = |path: &str| Entry {
            uri: path.into(),
            labels: vec![classes.iter().position(|c| *c == path[..1]).unwrap()],
            split: Some(Split::Train),
            group: None,
        };
        let entries = files.iter().map(|(p, _)| entry(p)).collect();
        let digests = files.iter().map(|(_, d)| digest(d)).collect();
        (Dataset { classes, entries, ..Dataset::default() }, digests)
    }

    /// Rows and their classes after a series of listings.
    fn after(listings: &[&[(&str, &str)]]) -> (Reconciled, Vec<String>) {
        let mut state = (Reconciled::default(), vec![]);
        for files in listings {
            let (dataset, digests) = listing(files);
            let known = Known { rows: &state.0.rows, classes: &state.1, next_row: state.0.next_row, partial: false };
            state = (reconcile(known, &dataset, &digests), dataset.classes);
        }
        state
    }

    fn paths(state: &Reconciled) -> Vec<(u64, &str, String, Status)> {
        let name = |r: &Row| r.digest.map(|d| (d.0[0] as char).to_string()).unwrap_or_default();
        state.rows.iter().map(|r| (r.row, r.path.as_str(), name(r), r.status)).collect()
    }

    fn row((row, path, digest, status): (u64, &'static str, &str, Status)) -> (u64, &'static str, String, Status) {
        (row, path, digest.into(), status)
    }

    use Status::{Deleted, Failed, Ok as Fine};

    #[test]
    fn new_images_append_in_order() {
        let (state, _) = after(&[&[("b", "2"), ("d", "4")], &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]]);
        assert_eq!(paths(&state), [(0, "b", "2", Fine), (1, "d", "4", Fine), (2, "a", "1", Fine), (3, "c", "3", Fine)].map(row));
        assert_eq!(state.changes, Changes { added: 2, ..Changes::default() });
    }

    #[test]
    fn renamed_swapped_replaced_vanished_and_back() {
        let start: &[(&str, &str)] = &[("a", "1"), ("b", "2")];
        let (renamed, classes) = after(&[start, &[("c", "1"), ("b", "2")]]);
        assert_eq!(paths(&renamed), [(0, "c", "1", Fine), (1, "b", "2", Fine)].map(row));
        assert_eq!((renamed.changes.renamed, renamed.changes.added, classes), (1, 0, vec!["b".to_string(), "c".into()]));
        assert_eq!(renamed.rows[0].labels, [1]);

        let (swapped, _) = after(&[start, &[("a", "2"), ("b", "1")]]);
        assert_eq!(paths(&swapped), [(0, "b", "1", Fine), (1, "a", "2", Fine)].map(row));

        let (replaced, _) = after(&[start, &[("a", "9"), ("b", "2")]]);
        assert_eq!(paths(&replaced), [(0, "a", "1", Deleted), (1, "b", "2", Fine), (2, "a", "9", Fine)].map(row));

        let (back, _) = after(&[start, &[("b", "2")], &[("a", "1"), ("b", "2")]]);
        assert_eq!(paths(&back), [(0, "a", "1", Fine), (1, "b", "2", Fine)].map(row));
        assert_eq!(back.changes, Changes { revived: 1, relabelled: 1, ..Changes::default() }, "the class was forgotten");
    }

    #[test]
    fn identical_files_are_two_rows_and_pair_in_order() {
        let (state, _) = after(&[&[("a", "1"), ("b", "1")], &[("b", "1"), ("c", "1"), ("d", "1")]]);
        assert_eq!(paths(&state), [(0, "c", "1", Fine), (1, "b", "1", Fine), (2, "d", "1", Fine)].map(row));
    }

    #[test]
    fn unreadable_files_fail_until_they_can_be_read() {
        let (state, _) = after(&[&[("a", ""), ("b", "2")], &[("a", ""), ("b", "2")]]);
        assert_eq!(paths(&state), [(0, "a", "", Failed), (1, "b", "2", Fine)].map(row));
        let (state, _) = after(&[&[("a", ""), ("b", "2")], &[("a", "1"), ("b", "")]]);
        assert_eq!(paths(&state), [(0, "a", "1", Fine), (1, "b", "2", Fine)].map(row), "a is read at last, features of b stay");
    }

    #[test]
    fn failed_images_stay_failed_while_their_bytes_are_the_same() {
        let (mut state, classes) = after(&[&[("a", "1"), ("b", "2")]]);
        state.rows[0].status = Failed;
        let (dataset, digests) = listing(&[("b", "2"), ("z", "1")]);
        let known = Known { rows: &state.rows, classes: &classes, next_row: 2, partial: false };
        assert_eq!(paths(&reconcile(known, &dataset, &digests)), [(0, "z", "1", Failed), (1, "b", "2", Fine)].map(row));
        let (dataset, digests) = listing(&[("a", "3"), ("b", "2")]);
        assert_eq!(
            paths(&reconcile(known, &dataset, &digests)),
            [(0, "a", "1", Deleted), (1, "b", "2", Fine), (2, "a", "3", Fine)].map(row)
        );
    }

    #[test]
    fn a_partial_listing_deletes_nothing_and_takes_no_copy_for_a_renaming() {
        let (state, classes) = after(&[&[("a", "1"), ("b", "2")]]);
        let (dataset, digests) = listing(&[("a", "1"), ("c", "2")]);
        let known = Known { rows: &state.rows, classes: &classes, next_row: 2, partial: true };
        assert_eq!(paths(&reconcile(known, &dataset, &digests)), [(0, "a", "1", Fine), (1, "b", "2", Fine), (2, "c", "2", Fine)].map(row));
    }

    #[test]
    fn another_group_is_counted_and_so_is_a_lost_one() {
        let (mut state, classes) = after(&[&[("a", "1"), ("b", "2")]]);
        state.rows[0].group = Some("p".into());
        let (mut dataset, digests) = listing(&[("a", "1"), ("b", "2")]);
        dataset.entries[1].group = Some("q".into());
        let known = Known { rows: &state.rows, classes: &classes, next_row: 2, partial: false };
        let now = reconcile(known, &dataset, &digests);
        assert_eq!(now.rows.iter().map(|r| r.group.as_deref()).collect::<Vec<_>>(), [None, Some("q")]);
        assert_eq!(now.changes, Changes { regrouped: 2, ungrouped: 1, ..Changes::default() });
    }

    #[test]
    fn a_row_keeps_the_split_that_a_rule_gave_it() {
        let (state, classes) = after(&[&[("a", "1"), ("b", "2")]]);
        let (mut dataset, digests) = listing(&[("c", "1"), ("b", "2")]);
        dataset.entries.iter_mut().for_each(|e| e.split = Some(Split::Test));
        let known = Known { rows: &state.rows, classes: &classes, next_row: 2, partial: false };
        let splits = |dataset: &Dataset| reconcile(known, dataset, &digests).rows.iter().map(|r| r.split).collect::<Vec<_>>();
        assert_eq!(splits(&dataset), [Some(Split::Train); 2]);
        dataset.own_splits = true;
        assert_eq!(splits(&dataset), [Some(Split::Test); 2], "one that the data has counts");
    }

    #[test]
    fn an_open_split_stays_open_until_a_rule_or_the_data_give_one() {
        let (mut dataset, digests) = listing(&[("a", "1"), ("b", "2")]);
        dataset.entries.iter_mut().for_each(|e| e.split = None);
        let nothing = Known { rows: &[], classes: &[], next_row: 0, partial: false };
        let open = reconcile(nothing, &dataset, &digests);
        assert!(open.rows.iter().all(|r| r.split.is_none()));
        dataset.entries[1].split = Some(Split::Test);
        let known = Known { rows: &open.rows, classes: &dataset.classes, next_row: 2, partial: false };
        let now = reconcile(known, &dataset, &digests);
        assert_eq!(now.rows.iter().map(|r| r.split).collect::<Vec<_>>(), [None, Some(Split::Test)]);
        assert_eq!(now.changes, Changes::default(), "that does not count as a changed split");
    }

    #[test]
    fn numbers_are_not_used_again() {
        let (dataset, digests) = listing(&[("a", "1")]);
        let known = Known { rows: &[], classes: &[], next_row: 7, partial: false };
        assert_eq!(reconcile(known, &dataset, &digests).rows[0].row, 7);
    }

    proptest! {
        #[test]
        fn rows_live_as_listed_and_never_change_their_image(
            listings in prop::collection::vec(prop::collection::btree_map("[a-e]", "[1-4]", 0..5), 1..6)
        ) {
            let mut state = (Reconciled::default(), vec![]);
            for files in &listings {
                let files: Vec<(&str, &str)> = files.iter().map(|(p, d)| (p.as_str(), d.as_str())).collect();
                let (dataset, digests) = listing(&files);
                let before = state.0.rows.clone();
                let known = |rows, classes, next_row| Known { rows, classes, next_row, partial: false };
                let now = reconcile(known(&before, &state.1, state.0.next_row), &dataset, &digests);

                // The live rows are the listing.
                let mut live: Vec<_> = now.rows.iter().filter(|r| r.status == Fine).map(|r| (r.path.as_str(), r.digest)).collect();
                live.sort();
                let listed: Vec<_> = files.iter().map(|(p, d)| (*p, digest(d))).collect();
                prop_assert_eq!(live, listed);
                for (entry, row) in dataset.entries.iter().zip(&now.listed) {
                    let i = now.rows.binary_search_by_key(row, |r| r.row).unwrap();
                    prop_assert_eq!((&now.rows[i].path, &now.rows[i].labels), (&entry.uri, &entry.labels));
                }
                // Numbers ascend, and each keeps its digest.
                prop_assert!(now.rows.windows(2).all(|w| w[0].row < w[1].row));
                prop_assert!(before.iter().zip(&now.rows).all(|(b, n)| b.row == n.row && b.digest == n.digest));
                // Only images that no row knew are new: counted by digest.
                for name in ["1", "2", "3", "4"] {
                    let had = before.iter().filter(|r| r.digest == digest(name)).count();
                    let has = now.rows.iter().filter(|r| r.digest == digest(name)).count();
                    let wants = files.iter().filter(|(_, d)| *d == name).count();
                    prop_assert_eq!(has, had.max(wants));
                }
                // Doing it again changes nothing.
                let again = reconcile(known(&now.rows, &dataset.classes, now.next_row), &dataset, &digests);
                prop_assert_eq!(again.changes, Changes::default());
                prop_assert_eq!(&again.rows, &now.rows);
                state = (now, dataset.classes);
            }
        }
    }
}
