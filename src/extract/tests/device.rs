//! Engines on devices: several batches at once, and too little memory.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::fixture::{Fake, World, counts};
use crate::engine::{Batch, Engine};
use crate::extract::{Observer, Progress, Silent, run};
use crate::{Error, Result};

/// An engine on a device that takes two batches at once and is through with every other one sooner than with the one before it.
struct Overlapping {
    fake: Fake,
    calls: AtomicUsize,
    at_once: AtomicUsize,
}

impl Engine for Overlapping {
    fn name(&self) -> &'static str {
        "overlapping"
    }
    fn device(&self) -> String {
        "gpu".into()
    }
    fn in_flight(&self) -> usize {
        2
    }
    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        assert!(self.at_once.fetch_add(1, Ordering::SeqCst) < 2, "no more than it takes");
        if self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let features = self.fake.run(batch);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        features
    }
}

#[test]
fn two_batches_in_flight_leave_the_same_files() {
    let plain = World::new(26);
    plain.run();
    let world = World::new(26);
    let engine = |taps: &[String], _: usize| {
        let fake = Fake { taps: taps.to_vec(), pause: Duration::ZERO };
        Ok(Box::new(Overlapping { fake, calls: AtomicUsize::new(0), at_once: AtomicUsize::new(0) }) as Box<dyn Engine>)
    };
    let outcome = world.with_engine(&engine, |job| run(job, &mut Silent)).unwrap();
    assert_eq!(counts(&outcome), [26, 0, 0, 0]);
    assert!(outcome.bottleneck.is_some());
    assert_eq!(world.files(), plain.files());
}

/// An engine on a device with memory for two images.
struct Small(Fake);

impl Engine for Small {
    fn name(&self) -> &'static str {
        "small"
    }
    fn device(&self) -> String {
        "gpu".into()
    }
    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        match batch.images() {
            0..=2 => self.0.run(batch),
            _ => Err(Error::engine("small", "copying images")("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")")),
        }
    }
}

#[derive(Default)]
struct Heard(Vec<String>, Option<&'static str>);

impl Observer for Heard {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.1 = Some(progress.bottleneck());
        ControlFlow::Continue(())
    }
    fn message(&mut self, text: &str) {
        self.0.push(text.into());
    }
}

#[test]
fn too_little_memory_halves_the_batch_says_so_and_goes_on() {
    let world = World { batch: 8, ..World::new(20) };
    let engine = |taps: &[String], _: usize| Ok(Box::new(Small(Fake { taps: taps.to_vec(), pause: Duration::ZERO })) as Box<dyn Engine>);
    let mut heard = Heard::default();
    let outcome = world.with_engine(&engine, |job| run(job, &mut heard)).unwrap();
    assert_eq!(counts(&outcome), [20, 0, 0, 0]);
    assert_eq!(heard.0.len(), 2, "8, 4, 2: {:?}", heard.0);
    assert!(heard.0[1].contains("4 images") && heard.0[1].contains("going on with 2"), "{:?}", heard.0);
    assert!(heard.1.is_some());
}
