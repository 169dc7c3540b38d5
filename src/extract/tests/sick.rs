//! Disks that do not give what they hold, and records that do not fit it.

use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;

use super::fixture::{Fake, World, counts, tap};
use crate::data::{Dataset, Digest, ImageSource, ListOptions, Stamp, digests, forget, open};
use crate::engine::Engine;
use crate::extract::{ExtractionJob, Outcome, Silent, recheck, run};
use crate::store::{Cache, Status};
use crate::{Error, Result};

/// A source of which some files cannot be read a number of times.
struct Sick {
    honest: Box<dyn ImageSource>,
    /// What cannot be read, and how often still; digests are taken before.
    failing: Mutex<Vec<(&'static str, usize)>>,
}

impl Sick {
    fn new(world: &World) -> Sick {
        Sick { honest: open(&world.data(), &ListOptions::default()).unwrap(), failing: Mutex::default() }
    }
}

impl ImageSource for Sick {
    fn list(&self) -> Result<Dataset> {
        self.honest.list()
    }
    fn read(&self, uri: &str) -> Result<Vec<u8>> {
        if let Some((_, left)) = self.failing.lock().unwrap().iter_mut().find(|(sick, left)| *sick == uri && *left > 0) {
            *left -= 1;
            return Err(Error::io("read", uri)(std::io::Error::from_raw_os_error(5)));
        }
        self.honest.read(uri)
    }
    fn stamp(&self, uri: &str) -> Result<Stamp> {
        self.honest.stamp(uri)
    }
    fn locate(&self, uri: &str) -> String {
        self.honest.locate(uri)
    }
}

/// Runs an extraction with digests that were taken earlier, from a source that fails only now.
fn run_with(world: &World, source: &Sick, digests: &[Result<Digest>], failing: &[(&'static str, usize)]) -> Outcome {
    let engine = |taps: &[String], _: usize| Ok(Box::new(Fake { taps: taps.to_vec(), pause: world.pause }) as Box<dyn Engine>);
    let dataset = source.list().unwrap();
    world.with_source(source, &dataset, &engine, |job| {
        *source.failing.lock().unwrap() = failing.to_vec();
        run(&ExtractionJob { digests, ..*job }, &mut Silent).unwrap()
    })
}

fn all_digests(source: &Sick) -> Vec<Result<Digest>> {
    digests(source, &source.list().unwrap().entries, None, &|| {}).unwrap().each
}

#[test]
fn a_file_that_the_disk_does_not_give_is_asked_for_again_then_fails_until_the_next_run() {
    let whole = World::new(10);
    whole.run();
    let world = World { cache: whole.folder.path().join("sick"), ..World::new(10) };
    let source = Sick::new(&world);
    let known = all_digests(&source);
    let (twice, always) = (("train/cats/004.png", 2), ("train/dogs/007.png", usize::MAX));
    let outcome = run_with(&world, &source, &known, &[twice, always]);
    assert_eq!(counts(&outcome), [9, 0, 0, 1]);
    assert!(outcome.failed[0].retry && outcome.failed[0].reason.contains("os error 5"), "{:?}", outcome.failed);
    let cache = Cache::open(&world.cache).unwrap();
    let row = cache.rows().iter().find(|r| r.path == always.0).unwrap();
    assert_eq!((row.status, row.digest.is_some()), (Status::Failed, true), "not deleted");
    assert!(cache.manifest().failed[0].retry);
    assert_eq!(cache.features("gap", 0).unwrap().len(), 9, "heads can be trained without it");

    let again = run_with(&world, &source, &known, &[always]);
    assert_eq!(counts(&again), [0, 9, 0, 1]);
    let healed = run_with(&world, &source, &known, &[]);
    assert_eq!(counts(&healed), [2, 8, 0, 0], "the shards that it would have been in are made anew with it");
    assert_eq!(world.files(), whole.files(), "as if the disk had never failed");
}

#[test]
fn a_disk_that_fails_for_a_while_leaves_what_a_sound_one_leaves() {
    let whole = World { views: 2, ..World::new(21) };
    whole.run();
    for sick in [&["train/cats/000.png"][..], &["train/dogs/007.png", "train/cats/008.png"], &["train/cats/020.png"]] {
        let world = World { cache: whole.folder.path().join(sick[0].replace('/', "-")), views: 2, ..World::new(21) };
        let source = Sick::new(&world);
        let failing: Vec<(&'static str, usize)> = sick.iter().map(|uri| (*uri, usize::MAX)).collect();
        // First while digests are taken, then while images are read.
        *source.failing.lock().unwrap() = failing.clone();
        let unknown = all_digests(&source);
        let outcome = run_with(&world, &source, &unknown, &failing);
        assert_eq!(counts(&outcome), [21 - sick.len(), 0, 0, sick.len()]);
        assert!(outcome.failed.iter().all(|f| f.retry));
        *source.failing.lock().unwrap() = vec![];
        run_with(&world, &source, &all_digests(&source), &[]);
        assert_eq!(world.files(), whole.files(), "{sick:?}");
    }
}

#[test]
fn what_cannot_even_be_digested_keeps_its_row_and_is_tried_again() {
    let world = World::new(6);
    let source = Sick::new(&world);
    let (sick, known) = (("train/cats/002.png", usize::MAX), all_digests(&source));
    *source.failing.lock().unwrap() = vec![sick];
    let unknown = all_digests(&source);
    let outcome = run_with(&world, &source, &unknown, &[sick]);
    assert_eq!(counts(&outcome), [5, 0, 0, 1]);
    assert!(outcome.failed[0].retry);
    let still = run_with(&world, &source, &unknown, &[sick]);
    assert_eq!((counts(&still), still.failed[0].retry), ([0, 5, 0, 1], true));
    let healed = run_with(&world, &source, &known, &[]);
    assert_eq!((counts(&healed), healed.changes.added, healed.changes.deleted), ([6, 0, 0, 0], 0, 0));
    // One that can be read when its turn comes never failed.
    let other = World { cache: world.folder.path().join("other"), ..World::new(6) };
    assert_eq!(counts(&run_with(&other, &source, &unknown, &[])), [6, 0, 0, 0]);
    assert_eq!(other.files(), world.files());
    // With features it keeps them.
    *source.failing.lock().unwrap() = vec![sick];
    let outcome = run_with(&world, &source, &all_digests(&source), &[]);
    assert_eq!((counts(&outcome), outcome.failed[0].retry), ([0, 5, 0, 1], true));
    assert_eq!(Cache::open(&world.cache).unwrap().features("gap", 0).unwrap().len(), 6);
}

#[test]
fn a_wrong_digest_of_a_new_image_is_corrected_by_its_bytes() {
    let whole = World { views: 2, ..World::new(10) };
    whole.run();
    let world = World { cache: whole.folder.path().join("wrong"), views: 2, ..World::new(10) };
    let source = Sick::new(&world);
    let mut wrong = all_digests(&source);
    wrong[3] = Ok(Digest([7; 32]));
    let outcome = run_with(&world, &source, &wrong, &[]);
    assert_eq!(counts(&outcome), [10, 0, 0, 0], "the image is used");
    assert_eq!(outcome.misrecorded, [source.list().unwrap().entries[3].uri.clone()]);
    assert!(outcome.warnings.last().unwrap().contains(&outcome.misrecorded[0]), "{:?}", outcome.warnings);
    assert_eq!(world.files(), whole.files(), "views are drawn by the digest that the file has");
    assert_eq!(counts(&run_with(&world, &source, &all_digests(&source), &[])), [0, 10, 0, 0]);
}

#[test]
fn a_file_that_is_another_one_under_its_old_date_is_told_and_made_anew_by_the_next_run() {
    let mut world = World { taps: vec![tap("gap")], ..World::new(6) };
    let source = Sick::new(&world);
    let known = world.folder.path().join("files.csv");
    let entries = source.list().unwrap().entries;
    for entry in &entries {
        let file = fs::File::options().append(true).open(world.path(&entry.uri)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).unwrap();
    }
    let recorded = || digests(&source, &entries, Some(&known), &|| {}).unwrap().each;
    run_with(&world, &source, &recorded(), &[]);
    world.image("train/dogs/003.png", 99);
    world.taps.push(tap("map"));
    // The record still has the digest of before.
    let stale: Vec<Result<Digest>> = Cache::open(&world.cache).unwrap().rows().iter().map(|r| Ok(r.digest.unwrap())).collect();
    let outcome = run_with(&world, &source, &stale, &[]);
    assert_eq!(counts(&outcome), [5, 0, 0, 1]);
    assert_eq!(outcome.misrecorded, ["train/dogs/003.png"]);
    forget(&source, outcome.misrecorded.iter().map(String::as_str), &known).unwrap();
    let healed = run_with(&world, &source, &recorded(), &[]);
    assert_eq!((counts(&healed), healed.changes.added), ([1, 5, 0, 0], 1));
}

#[test]
fn rechecking_names_what_it_could_not_compare() {
    let world = World::new(9);
    world.run();
    world.image("train/cats/002.png", 99);
    fs::remove_file(world.path("train/dogs/003.png")).unwrap();
    fs::rename(world.path("train/cats/004.png"), world.path("train/cats/moved.png")).unwrap();
    world.image("train/dogs/new.png", 100);
    let before = world.files();
    let found = world.with_job(|job| recheck(job, 100)).unwrap();
    assert_eq!(found.changed, ["train/cats/002.png"]);
    assert_eq!(found.missing, ["train/dogs/003.png"]);
    assert_eq!((found.unknown, found.left_out()), (1, 2));
    let compared: HashSet<&str> = found.compared.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(compared.len(), 7, "a renamed photo is the same one");
    assert!(compared.contains("train/cats/moved.png"));
    assert_eq!(world.files(), before, "nothing is written");
}
