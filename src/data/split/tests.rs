//! Splits by content: shares, small classes, copies and groups.

use super::*;
use proptest::prelude::*;

/// A photo of a class with a content.
fn photo(class: usize, content: usize) -> (Entry, Option<Digest>) {
    let entry = Entry { uri: format!("{class}/{content}.jpg"), labels: vec![class], split: None, group: None };
    (entry, Some(Digest::of(&content.to_le_bytes())))
}

fn in_group(group: &str, photo: (Entry, Option<Digest>)) -> (Entry, Option<Digest>) {
    (Entry { group: Some(group.into()), ..photo.0 }, photo.1)
}

type Photos = Vec<(Entry, Option<Digest>)>;

fn flat(sizes: &[usize]) -> Photos {
    let of_class = |(class, &n): (usize, &usize)| (0..n).map(move |i| photo(class, class * 100_000 + i));
    sizes.iter().enumerate().flat_map(of_class).collect()
}

/// Splits photos where some are settled, and settles them.
fn split(photos: &Photos, before: &Photos, rule: SplitRule) -> (Photos, Assigned) {
    let (entries, digests): (Vec<Entry>, Vec<Option<Digest>>) = photos.iter().cloned().unzip();
    let classes = entries.iter().flat_map(|e| &e.labels).max().map_or(0, |m| m + 1);
    let mut dataset = Dataset { entries, classes: (0..classes).map(|c| c.to_string()).collect(), ..Dataset::default() };
    let settled: Vec<Settled<'_>> =
        before.iter().map(|(e, d)| Settled { digest: *d, path: &e.uri, group: e.group.as_deref(), split: e.split.unwrap() }).collect();
    let done = rule.assign(&mut dataset, &digests, &settled).unwrap();
    assert_eq!(done.counts.iter().sum::<usize>(), photos.len());
    (dataset.entries.into_iter().zip(digests).collect(), done)
}

fn counts(photos: &Photos, class: usize) -> [usize; 3] {
    SPLITS.map(|s| photos.iter().filter(|(e, _)| e.labels == [class] && e.split == Some(s)).count())
}

fn of(photos: &Photos, digest: Option<Digest>) -> Vec<Split> {
    photos.iter().filter(|(_, d)| *d == digest).filter_map(|(e, _)| e.split).collect()
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
fn the_same_photo_has_the_same_split_everywhere() {
    // A change of these numbers would part caches of one data set.
    let (photos, _) = split(&flat(&[40]), &vec![], SplitRule::default());
    let letter = |split| match split {
        Split::Train => '.',
        Split::Val => 'v',
        Split::Test => 't',
    };
    let letters: String = photos.iter().filter_map(|(e, _)| e.split.map(letter)).collect();
    assert_eq!(letters, "..t..t..ttvt....vv..v....v.....v..tt....");
}

#[test]
fn the_documented_table_holds() {
    for start in 0..50 {
        for (n, least) in [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 0]), (4, [1, 1, 1]), (9, [1, 1, 1])] {
            let class: Photos = (0..n).map(|i| photo(0, start * 100 + i)).collect();
            let (class, done) = split(&class, &vec![], SplitRule::default());
            assert!(counts(&class, 0).iter().zip(least).all(|(n, least)| *n >= least), "{n}: {:?}", counts(&class, 0));
            assert!(done.lacking.is_empty());
        }
    }
    let (class, _) = split(&flat(&[30]), &vec![], "hash:80/20/0".parse().unwrap());
    assert_eq!(counts(&class, 0)[2], 0, "a share of zero gets nothing");
}

#[test]
fn known_photos_stay_where_another_rule_put_them_and_take_their_copies_and_group_along() {
    let known = |n: usize, split| (Entry { split: Some(split), ..photo(0, n).0 }, photo(0, n).1);
    let before: Photos = vec![known(1, Split::Test), in_group("p", known(2, Split::Val))];
    let copy = (Entry { uri: "copy.jpg".into(), ..photo(0, 1).0 }, photo(0, 1).1);
    let photos = vec![photo(0, 1), copy, photo(0, 2), in_group("p", photo(0, 3)), (photo(0, 1).0, None)];
    let (after, done) = split(&photos, &before, SplitRule::default());
    let splits: Vec<Split> = after.iter().filter_map(|(e, _)| e.split).collect();
    assert_eq!(splits, [Split::Test, Split::Test, Split::Val, Split::Val, Split::Test], "the last cannot be read now");
    assert_eq!((done.known, done.moved), (4, 0));
    assert_eq!(done.lacking, [(0, Split::Train)], "and that is said");
}

#[test]
fn a_split_that_known_photos_of_a_new_group_are_in_is_not_lacking() {
    let known = |n: usize, split| (Entry { split: Some(split), ..photo(0, n).0 }, photo(0, n).1);
    let splits = [Split::Train, Split::Test, Split::Val, Split::Train, Split::Train, Split::Train];
    let before: Photos = splits.iter().enumerate().map(|(n, split)| known(n, *split)).collect();
    let now: Photos = (0..6).map(|n| if n < 2 { in_group("p", photo(0, n)) } else { photo(0, n) }).collect();
    let (after, done) = split(&now, &before, SplitRule::default());
    assert_eq!(after.iter().filter_map(|(e, _)| e.split).collect::<Vec<_>>(), splits);
    assert_eq!((done.lacking, done.empty), (vec![], vec![]));
}

#[test]
fn a_file_that_cannot_be_read_counts_for_train() {
    let (after, _) = split(&vec![(photo(0, 1).0, None)], &vec![], SplitRule::default());
    assert_eq!(after[0].0.split, Some(Split::Train));
}

#[test]
fn shares_are_met_within_what_chance_allows() {
    for (rule, shares) in [("hash:80/10/10", [0.8, 0.1, 0.1]), ("hash:1/1/2", [0.25, 0.25, 0.5])] {
        let (photos, _) = split(&flat(&[10_000]), &vec![], rule.parse().unwrap());
        for (n, share) in counts(&photos, 0).into_iter().zip(shares) {
            let deviation = f64::sqrt(10_000.0 * share * (1.0 - share));
            assert!((n as f64 - 10_000.0 * share).abs() < 4.0 * deviation, "{rule}: {n}");
        }
    }
}

proptest! {
    #[test]
    fn adding_renaming_and_reordering_move_no_photo(
        sizes in prop::collection::vec(1_usize..12, 1..5), steps in 1_usize..5, turn in 0_usize..50, copies in 0_usize..4
    ) {
        let mut all = flat(&sizes);
        for i in 0..copies.min(all.len()) {
            let (entry, digest) = all[i * 7 % all.len()].clone();
            all.push((Entry { uri: format!("copy {i}"), ..entry }, digest));
        }
        let middle = turn % all.len();
        all.rotate_left(middle);
        let mut before: Photos = vec![];
        for step in 1..=steps {
            let mut now: Photos = all[..all.len() * step / steps].to_vec();
            now.iter_mut().for_each(|(e, _)| e.uri = format!("{step} {}", e.uri));
            let (after, done) = split(&now, &before, SplitRule::default());
            for (entry, digest) in &before {
                prop_assert!(of(&after, *digest).iter().all(|s| Some(*s) == entry.split));
            }
            for (entry, digest) in &after {
                prop_assert!(of(&after, *digest).iter().all(|s| Some(*s) == entry.split), "copies are together");
            }
            if step == 1 {
                prop_assert!(done.lacking.is_empty());
                let mut other = now.clone();
                other.reverse();
                let (mut again, _) = split(&other, &vec![], SplitRule::default());
                again.reverse();
                prop_assert_eq!(&again, &after, "the order of the listing does not count");
            }
            before = after;
        }
    }

    #[test]
    fn groups_and_their_copies_are_never_parted(groups in prop::collection::vec(0_usize..6, 1..30), copies in prop::collection::vec(0_usize..8, 30)) {
        let photos: Photos = groups.iter().zip(&copies).enumerate().map(|(i, (g, c))| {
            let (entry, digest) = photo(i % 2, *c);
            in_group(&g.to_string(), (Entry { uri: i.to_string(), ..entry }, digest))
        }).collect();
        let (after, _) = split(&photos, &vec![], SplitRule::default());
        for (a, digest) in &after {
            prop_assert!(after.iter().filter(|(b, d)| a.group == b.group || digest == d).all(|(b, _)| a.split == b.split));
        }
    }

    #[test]
    fn every_class_that_is_large_enough_has_val_and_test(sizes in prop::collection::vec(1_usize..9, 1..6), shift in 0_usize..1000) {
        let photos: Photos = flat(&sizes).into_iter().map(|(e, _)| {
            let digest = Digest::of(format!("{shift} {}", e.uri).as_bytes());
            (e, Some(digest))
        }).collect();
        let (after, done) = split(&photos, &vec![], SplitRule::default());
        for (class, &n) in sizes.iter().enumerate() {
            let [train, val, test] = counts(&after, class);
            prop_assert!(train >= 1 && (n < 2 || val >= 1) && (n < 4 || test >= 1));
        }
        prop_assert!(done.lacking.is_empty());
    }
}
