//! What cannot be stored or computed is said clearly.

use std::fs;
use std::path::PathBuf;

use super::fixture::{Fake, World, counts};
use crate::data::{Dataset, ImageSource, ListOptions, Stamp, open};
use crate::engine::{Batch, Engine};
use crate::extract::{Silent, run};
use crate::store::{Cache, Dtype};
use crate::{Error, Result};

/// Alters the features of an honest engine.
struct Altered(Fake, fn(&mut Vec<Vec<f32>>) -> Result<()>);

impl Engine for Altered {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn device(&self) -> String {
        "gpu".into()
    }
    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        let mut features = self.0.run(batch)?;
        self.1(&mut features)?;
        Ok(features)
    }
}

fn altered(world: &World, alter: fn(&mut Vec<Vec<f32>>) -> Result<()>) -> String {
    let engine =
        |taps: &[String], _: usize| Ok(Box::new(Altered(Fake { taps: taps.to_vec(), pause: world.pause }, alter)) as Box<dyn Engine>);
    world.with_engine(&engine, |job| run(job, &mut Silent)).unwrap_err().to_string()
}

#[test]
fn a_value_that_f16_cannot_hold_names_tap_image_and_way_out() {
    let world = World { dtype: Dtype::F16, ..World::new(5) };
    let error = altered(&world, |features| {
        features[1][12] = 7e4;
        Ok(())
    });
    assert!(error.contains("train/cats/002.png") && error.contains("`map`") && error.contains("option `store=bf16`"), "{error}");
    assert_eq!(counts(&world.run()), [5, 0, 0, 0], "nothing is left in the way");
}

#[test]
fn nan_and_infinity_are_errors_of_the_network() {
    for value in [f32::NAN, f32::INFINITY] {
        assert!(!value.is_finite());
    }
    let error = altered(&World::new(3), |features| {
        features[0][0] = f32::NAN;
        Ok(())
    });
    assert!(error.contains("NaN") && error.contains("train/cats/000.png") && error.contains("weights"), "{error}");
    let error = altered(&World::new(3), |features| {
        features[0][35] = f32::INFINITY;
        Ok(())
    });
    assert!(error.contains("inf") && error.contains("train/dogs/001.png"), "{error}");
}

#[test]
fn an_engine_that_fails_panics_or_gives_nonsense_is_an_error() {
    let world = World::new(20);
    let error = altered(&world, |_| Err(Error::engine("fake", "running")("no such kernel")));
    assert!(error.contains("no such kernel"), "{error}");
    let error = altered(&world, |features| {
        features[0].pop();
        Ok(())
    });
    assert!(error.contains("another shape"), "{error}");
    let error = altered(&world, |_| panic!("on purpose"));
    assert!(error.contains("panicked"), "{error}");
    assert_eq!(counts(&world.run()), [20, 0, 0, 0]);
}

/// Lets some files vanish or change after they were listed and digested.
struct Shifty {
    honest: Box<dyn ImageSource>,
    folder: PathBuf,
}

impl ImageSource for Shifty {
    fn list(&self) -> Result<Dataset> {
        self.honest.list()
    }
    fn read(&self, uri: &str) -> Result<Vec<u8>> {
        let bytes = self.honest.read(uri)?;
        match uri {
            "train/cats/002.png" => fs::remove_file(self.folder.join(uri)).unwrap(),
            "train/dogs/003.png" => fs::copy(self.folder.join("train/dogs/001.png"), self.folder.join(uri)).map(drop).unwrap(),
            _ => {}
        }
        Ok(bytes)
    }
    fn stamp(&self, uri: &str) -> Result<Stamp> {
        self.honest.stamp(uri)
    }
    fn locate(&self, uri: &str) -> String {
        self.honest.locate(uri)
    }
}

#[test]
fn files_that_vanish_meanwhile_are_failures_of_this_run_only_and_changed_ones_are_read_as_they_are() {
    let world = World::new(6);
    let source = Shifty { honest: open(&world.data(), &ListOptions::default()).unwrap(), folder: world.data() };
    let dataset = source.list().unwrap();
    let engine = |taps: &[String], _: usize| Ok(Box::new(Fake { taps: taps.to_vec(), pause: world.pause }) as Box<dyn Engine>);
    let outcome = world.with_source(&source, &dataset, &engine, |job| run(job, &mut Silent)).unwrap();
    assert_eq!(counts(&outcome), [5, 0, 0, 1]);
    assert!(outcome.failed[0].reason.contains("cannot") && !outcome.failed[0].retry, "{:?}", outcome.failed);
    assert_eq!(outcome.misrecorded, ["train/dogs/003.png"]);
    assert!(Cache::open(&world.cache).unwrap().manifest().failed.is_empty());

    world.image("train/cats/002.png", 2);
    world.image("train/dogs/003.png", 3);
    let again = world.run();
    assert_eq!(counts(&again), [2, 4, 0, 0]);
    assert_eq!(again.changes.added, 1, "one is back in its row, the other one is another image than was computed");
}
