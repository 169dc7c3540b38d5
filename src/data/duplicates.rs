//! The same image in several places: a leak where it stands in two splits, a contradiction where it
//! stands in two classes.

use std::collections::{BTreeMap, BTreeSet};

use super::text::name_some;
use super::{Digest, Entry, Split};
use crate::text::{counted, visible};

/// Entries whose files hold the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Duplicate {
    /// The bytes that they share.
    pub digest: Digest,
    /// Indices of two or more entries, ascending.
    pub entries: Vec<usize>,
    /// Whether they stand in different splits.
    pub across_splits: bool,
    /// Whether their labels differ.
    pub across_classes: bool,
}

impl Duplicate {
    /// Whether it is worth a warning: its copies differ in split or labels.
    pub(crate) fn is_across(&self) -> bool {
        self.across_splits || self.across_classes
    }

    /// Whether a copy that is worth a warning stands in train.
    pub(crate) fn harms_train(&self, entries: &[Entry]) -> bool {
        self.is_across() && self.entries.iter().any(|&i| entries[i].split == Some(Split::Train))
    }
}

/// The warning of an image whose copies stand in several splits or classes.
pub(crate) fn copies_text(uris: &[&str], across_splits: bool, across_classes: bool) -> String {
    let several = match (across_splits, across_classes) {
        (true, true) => "splits and classes",
        (true, false) => "splits",
        _ => "classes",
    };
    format!("the same image stands in several {several}: {}", uris.iter().map(|uri| visible(uri)).collect::<Vec<_>>().join(", "))
}

/// All groups of entries with the same digest, by their first entry; entries without a digest
/// (unreadable files) are in none.
///
/// Worth a warning are those that [are across](Duplicate::is_across) splits or classes.
pub(crate) fn duplicates(entries: &[Entry], digests: &[Option<Digest>]) -> Vec<Duplicate> {
    let mut groups: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
    for (i, digest) in digests.iter().enumerate().take(entries.len()) {
        if let Some(digest) = digest {
            groups.entry(*digest).or_default().push(i);
        }
    }
    let mut found: Vec<Duplicate> = groups
        .into_iter()
        .filter(|(_, members)| members.len() > 1)
        .map(|(digest, members)| {
            let first = &entries[members[0]];
            let across_splits = members.iter().any(|&i| entries[i].split != first.split);
            let across_classes = members.iter().any(|&i| entries[i].labels != first.labels);
            Duplicate { digest, entries: members, across_splits, across_classes }
        })
        .collect();
    found.sort_by_key(|d| d.entries[0]);
    found
}

/// The entries to drop from train, ascending. Val and test stay as they are. Of a group of
/// identical images in train go
/// - all, where copies differ in their labels: it is not known which is right;
/// - all, where a copy stands in val or test: a head would be judged by what it has learnt by
///   heart;
/// - all but the first otherwise.
pub(crate) fn dedupe(entries: &[Entry], duplicates: &[Duplicate]) -> Vec<usize> {
    let mut dropped: Vec<usize> = duplicates
        .iter()
        .flat_map(|group| {
            let train = group.entries.iter().copied().filter(|&i| entries[i].split == Some(Split::Train));
            train.skip(usize::from(!group.across_classes && !group.across_splits))
        })
        .collect();
    dropped.sort_unstable();
    dropped
}

/// What is said of classes that had images in train and have none without those that are `dropped`.
pub(crate) fn emptied_classes(entries: &[Entry], dropped: &[usize], classes: &[String]) -> Option<String> {
    let labels = |is_wanted: &dyn Fn(usize) -> bool| -> BTreeSet<usize> {
        let train = entries.iter().enumerate().filter(|(i, e)| e.split == Some(Split::Train) && is_wanted(*i));
        train.flat_map(|(_, e)| e.labels.iter().copied()).collect()
    };
    let kept = labels(&|i| dropped.binary_search(&i).is_err());
    let emptied: Vec<&str> = labels(&|_| true).difference(&kept).map(|&label| classes[label].as_str()).collect();
    let count = counted(emptied.len(), "class", "classes");
    (!emptied.is_empty()).then(|| format!("without copies, train has no images left of {count}: {}", name_some(emptied.into_iter())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_all_copies_is_named() {
        let (entries, digests) = data(&["0 train a", "0 test a", "1 train b", "1 train c", "1 test c"]);
        let dropped = dedupe(&entries, &duplicates(&entries, &digests));
        let classes = ["cats".to_string(), "dogs".into()];
        assert_eq!(emptied_classes(&entries, &dropped, &classes).unwrap(), "without copies, train has no images left of 1 class: cats");
        assert_eq!(emptied_classes(&entries, &[3], &classes), None);
    }

    /// Entries from "class split content" words; content `-` stands for an unreadable file.
    fn data(lines: &[&str]) -> (Vec<Entry>, Vec<Option<Digest>>) {
        let one = |(i, line): (usize, &&str)| {
            let words: Vec<&str> = line.split(' ').collect();
            let entry =
                Entry { uri: format!("{i:03}"), labels: vec![words[0].parse().unwrap()], split: words[1].parse().ok(), group: None };
            (entry, (words[2] != "-").then(|| Digest::of(words[2].as_bytes())))
        };
        lines.iter().enumerate().map(one).unzip()
    }

    #[test]
    fn groups_say_what_is_wrong_with_them() {
        let (entries, digests) =
            data(&["0 train x", "0 train y", "1 train x", "0 val y", "1 train z", "1 train z", "0 train -", "0 val -"]);
        let found = duplicates(&entries, &digests);
        let view: Vec<_> = found.iter().map(|d| (d.entries.clone(), d.across_splits, d.across_classes)).collect();
        assert_eq!(view, [(vec![0, 2], false, true), (vec![1, 3], true, false), (vec![4, 5], false, false)]);
        assert_eq!(found[0].digest, Digest::of(b"x"));
        assert_eq!(found.iter().map(|d| d.harms_train(&entries)).collect::<Vec<_>>(), [true, true, false]);
        let (entries, digests) = data(&["0 val x", "0 test x"]);
        let found = duplicates(&entries, &digests);
        assert!(found[0].is_across() && !found[0].harms_train(&entries), "nothing to take out of train");
    }

    #[test]
    fn dedupe_follows_its_rule() {
        let dropped = |lines: &[&str]| {
            let (entries, digests) = data(lines);
            dedupe(&entries, &duplicates(&entries, &digests))
        };
        assert_eq!(dropped(&["0 train x", "0 train x", "0 train x", "1 train y"]), [1, 2], "the first copy stays");
        assert_eq!(dropped(&["0 train x", "0 test x", "0 train x", "0 val x"]), [0, 2], "a leak goes from train alone");
        assert_eq!(dropped(&["0 train x", "1 train x", "0 train x"]), [0, 1, 2], "a contradiction goes");
        assert_eq!(dropped(&["0 val x", "1 val x", "0 test x"]), [0; 0], "val and test stay");
        assert_eq!(dropped(&["0 train x", "1 val x"]), [0]);
    }
}
