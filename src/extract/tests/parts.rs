//! Parts of an extraction: each reads its own images alone, and merged they are what one run
//! leaves, splits and all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::fixture::{Fake, World, counts};
use crate::data::{Dataset, Digest, ImageSource, ListOptions, Settled, Split, Stamp, dedupe, digests, duplicates, open};
use crate::engine::Engine;
use crate::extract::{ExtractionJob, Outcome, Part, Silent, run};
use crate::store::{Cache, Deferred, Merged, Row, Status, Wait, known_rows, merge};
use crate::{Error, Result};

/// Counts which files are opened.
struct Counted(Box<dyn ImageSource>, Mutex<Vec<String>>);

impl ImageSource for Counted {
    fn list(&self) -> Result<Dataset> {
        self.0.list()
    }
    fn read(&self, uri: &str) -> Result<Vec<u8>> {
        self.1.lock().unwrap().push(uri.into());
        self.0.read(uri)
    }
    fn stamp(&self, uri: &str) -> Result<Stamp> {
        self.0.stamp(uri)
    }
    fn locate(&self, uri: &str) -> String {
        self.0.locate(uri)
    }
}

impl Counted {
    fn of(world: &World) -> Counted {
        Counted(open(&world.data(), &ListOptions::default()).unwrap(), Mutex::default())
    }
}

fn engine(taps: &[String], _: usize) -> Result<Box<dyn Engine>> {
    Ok(Box::new(Fake { taps: taps.to_vec(), pause: std::time::Duration::ZERO }))
}

/// Unread images.
fn unread(dataset: &Dataset) -> Vec<Result<Digest>> {
    dataset.entries.iter().map(|e| Err(Error::Image { path: e.uri.clone(), reason: "was not read".into() })).collect()
}

/// 47 photos without splits: copies of each other, some in groups, classes of one, two and four,
/// one broken file.
fn unsplit() -> World {
    let world = World::new(0);
    let class = |i: u64| ["cats", "dogs", "cats", "dogs", "one", "two", "two", "four", "four", "four", "four"][(i as usize).min(30) % 11];
    (0..38).for_each(|i| world.image(&format!("{}/{i:03}.png", if i < 11 { class(i) } else { class(i % 4) }), i));
    (0..8).for_each(|i| world.image(&format!("{}/copy-{i}.png", class(i)), i));
    fs::write(world.path("cats/broken.png"), b"\x89PNG broken").unwrap();
    world
}

/// What the data are: groups of photos whose names share two digits.
fn listed(source: &dyn ImageSource) -> Dataset {
    let mut dataset = source.list().unwrap();
    assert!(!dataset.own_splits);
    for entry in &mut dataset.entries {
        let number: Option<u64> = entry.uri.split('/').nth(1).and_then(|name| name.split('.').next()).and_then(|n| n.parse().ok());
        entry.group = number.filter(|n| n % 5 == 0).map(|n| format!("g{}", n % 15));
    }
    dataset
}

/// One run over all images, as `features` makes it: digests first, then splits, copies out if asked
/// for.
fn whole(world: &World, deferred: Deferred) {
    let source = Counted::of(world);
    let mut dataset = listed(&source);
    let known: Vec<Option<Digest>> = digests(&source, &dataset.entries, None, &|| {}).unwrap().each.into_iter().map(Result::ok).collect();
    let (rows, _) = known_rows(&world.cache, &known);
    let settled: Vec<Settled<'_>> = rows.iter().filter_map(Row::settled).collect();
    deferred.split.unwrap().assign(&mut dataset, &known, &settled).unwrap();
    if deferred.dedupe {
        let out = dedupe(&dataset.entries, &duplicates(&dataset.entries, &known));
        let mut i = 0..;
        dataset.entries.retain(|_| !out.contains(&i.next().unwrap()));
    }
    world.with_source(&source, &dataset, &engine, |job| run(job, &mut Silent).unwrap());
}

/// One part, and which files it opened.
fn part(world: &mut World, cache: PathBuf, part: Part, deferred: Deferred) -> (Outcome, Vec<String>) {
    (world.cache, world.part, world.deferred) = (cache, Some(part), deferred);
    let source = Counted::of(world);
    let dataset = listed(&source);
    let none = unread(&dataset);
    let outcome = world.with_source(&source, &dataset, &engine, |job| {
        source.1.lock().unwrap().clear();
        run(&ExtractionJob { digests: &none, unread: &vec![true; none.len()], ..*job }, &mut Silent).unwrap()
    });
    (world.part, world.deferred) = (None, Deferred::default());
    (outcome, source.1.into_inner().unwrap())
}

fn split(cache: &Path) -> Vec<(String, Option<Split>, Status)> {
    let cache = Cache::open(cache).unwrap();
    let mut rows: Vec<_> = cache.rows().iter().map(|r| (r.path.clone(), r.split, r.status)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

/// Makes two parts and merges them, in both orders one after the other.
fn in_parts(world: &mut World, into: &Path, deferred: Deferred) -> Merged {
    let root = world.folder.path().join("machines");
    let caches = [0, 1].map(|index| root.join(format!("{index}/photos/c@1")));
    let mut opened = vec![];
    for (index, cache) in caches.iter().enumerate() {
        let (outcome, files) = part(world, cache.clone(), Part { index: index as u64, of: 2 }, deferred);
        assert_eq!(files.len(), outcome.computed + outcome.failed.len(), "its own alone");
        opened.extend(files);
        let part = Cache::open(cache).unwrap();
        assert!(part.rows().iter().all(|row| row.split.is_none()));
        let refused = part.settled().unwrap_err().to_string();
        assert!(refused.contains("no split yet") && refused.contains("merge"), "{refused}");
    }
    opened.sort();
    assert_eq!(opened, listed(&Counted::of(world)).entries.into_iter().map(|e| e.uri).collect::<Vec<_>>(), "each file once");
    let merged = merge(into, &caches, Wait::Moment).unwrap();
    assert!(merged.missing.is_empty() && merged.open == 0, "{merged:?}");
    Cache::open(into).unwrap().settled().unwrap();
    fs::remove_dir_all(root).unwrap();
    merged
}

fn rule() -> Deferred {
    Deferred { split: Some("hash:60/20/20".parse().unwrap()), dedupe: false }
}

#[test]
fn parts_without_splits_are_split_by_merge_as_by_one_run() {
    let mut world = unsplit();
    whole(&world, rule());
    let files = world.files();
    let counts = split(&world.cache).iter().fold([0; 3], |mut n, (_, split, _)| {
        n[split.unwrap() as usize] += 1;
        n
    });
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    let into = world.folder.path().join("merged/c@1");
    let merged = in_parts(&mut world, &into, rule());
    assert_eq!(merged.split.unwrap().1.counts, counts);
    world.cache = into;
    assert!(world.files() == files, "the same to the last byte");
}

#[test]
fn merge_takes_copies_out_of_train_as_one_run_does() {
    let deferred = Deferred { dedupe: true, ..rule() };
    let mut world = unsplit();
    whole(&world, deferred);
    let alone = split(&world.cache);
    let into = world.folder.path().join("merged/c@1");
    let merged = in_parts(&mut world, &into, deferred);
    let mut rows = split(&into);
    rows.retain(|(_, _, status)| *status != Status::Deleted);
    assert_eq!(rows, alone);
    assert_eq!(merged.deduped, 47 - alone.len());
    assert!(merged.deduped > 0);
}

#[test]
fn rows_of_the_cache_that_parts_are_merged_into_never_move_and_those_beside_it_are_asked() {
    let other = Deferred { split: Some("hash:10/10/80".parse().unwrap()), dedupe: false };
    let mut world = unsplit();
    let beside = world.folder.path().join("photos/c@1");
    world.cache = beside.clone();
    whole(&world, other);
    let before = split(&beside);

    // Another cache of the data set, merged from parts beside it.
    let into = world.folder.path().join("photos/d@1");
    in_parts(&mut world, &into, rule());
    assert_eq!(split(&into), before);
    // The same rows, with another tap that parts have computed.
    let taps = world.taps.split_off(1);
    fs::remove_dir_all(&into).unwrap();
    world.cache = into.clone();
    whole(&world, rule());
    world.taps = taps;
    let merged = in_parts(&mut world, &into, Deferred { split: Some("hash:1/1/1".parse().unwrap()), dedupe: false });
    assert_eq!((split(&into), merged.split), (before, None));
    assert_eq!(Cache::open(&into).unwrap().manifest().taps.len(), 2);
}

#[test]
fn an_unfinished_merge_leaves_splits_open_and_an_ordinary_run_over_a_part_settles_them() {
    let mut world = unsplit();
    whole(&world, rule());
    let alone = split(&world.cache);
    let at = |name: &str| world.folder.path().join(name).join("c@1");
    let (first, second, into) = (at("1"), at("2"), at("merged"));
    part(&mut world, first.clone(), Part { index: 0, of: 2 }, rule());
    part(&mut world, second.clone(), Part { index: 1, of: 2 }, rule());
    let merged = merge(&into, std::slice::from_ref(&first), Wait::Moment).unwrap();
    assert!(merged.open > 0 && merged.split.is_none() && !merged.missing.is_empty());
    assert!(Cache::open(&into).unwrap().settled().is_err());
    assert_eq!(merge(&into, std::slice::from_ref(&second), Wait::Moment).unwrap().open, 0);
    assert_eq!(split(&into), alone);

    // Parts that were split in another way are not one extraction.
    let third = world.folder.path().join("3/c@1");
    part(&mut world, third.clone(), Part { index: 1, of: 2 }, Deferred { dedupe: true, ..rule() });
    let fresh = world.folder.path().join("4/c@1");
    let refused = merge(&fresh, &[first.clone(), third], Wait::Moment).unwrap_err().to_string();
    assert!(refused.contains("option `split=hash:60/20/20` and option `dedupe`"), "{refused}");
    assert!(!fresh.exists());

    // With all images at hand no merge is needed.
    world.cache = second;
    whole(&world, rule());
    assert_eq!(split(&world.cache), alone);
    assert!(Cache::open(&world.cache).unwrap().manifest().deferred.is_nothing());

    // A part whose manifest is lost still has no splits, and says so.
    fs::remove_file(first.join("manifest.json")).unwrap();
    part(&mut world, first.clone(), Part { index: 0, of: 2 }, rule());
    assert!(Cache::open(&first).unwrap().settled().is_err());
}

#[test]
fn a_part_reads_its_own_images_alone_and_parts_merge_into_what_one_run_leaves() {
    let whole = World { views: 2, ..World::new(21) };
    fs::write(whole.path("train/cats/010.png"), b"\x89PNG broken").unwrap();
    whole.run();
    let mut caches = vec![];
    for index in 0..2 {
        let cache = whole.folder.path().join(format!("part-{index}"));
        let world = World { cache: cache.clone(), views: 2, part: Some(Part { index, of: 2 }), ..World::new(21) };
        fs::write(world.path("train/cats/010.png"), b"\x89PNG broken").unwrap();
        let source = Counted::of(&world);
        let dataset = source.list().unwrap();
        let none = unread(&dataset);
        let outcome = world.with_source(&source, &dataset, &engine, |job| {
            source.1.lock().unwrap().clear();
            run(&ExtractionJob { digests: &none, unread: &[true; 21], ..*job }, &mut Silent).unwrap()
        });
        let own = if index == 0 { 13 } else { 8 };
        assert_eq!(source.1.lock().unwrap().len(), own);
        assert_eq!(counts(&outcome), if index == 0 { [12, 0, 8, 1] } else { [8, 0, 13, 0] });
        assert!(outcome.misrecorded.is_empty());
        let read = Cache::open(&cache).unwrap();
        assert_eq!(read.rows().iter().filter(|r| r.digest.is_some()).count(), own);
        caches.push(cache);
    }
    let into = whole.folder.path().join("merged");
    for order in [[0, 1], [1, 0]] {
        let merged = merge(&into, &order.map(|i: usize| caches[i].clone()), Wait::Moment).unwrap();
        assert!(merged.missing.is_empty(), "{merged:?}");
        assert_eq!(World { cache: into.clone(), ..World::new(0) }.files(), whole.files());
        fs::remove_dir_all(&into).unwrap();
    }
    // A part alone is finished by an ordinary run.
    let rest = World { cache: caches[0].clone(), views: 2, ..whole };
    assert_eq!(counts(&rest.run()), [8, 12, 0, 1]);
    assert_eq!(Cache::open(&rest.cache).unwrap().rows().iter().filter(|r| r.digest.is_none()).count(), 0);
}
