//! Engines on devices: several batches at once, and too little memory.

use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::fixture::{Fake, World, counts};
use crate::engine::{Batch, Engine};
use crate::extract::{Observer, Progress, Silent, run};
use crate::{Error, Result};

/// An engine on a device that takes two batches at once: the first begins only when the second is
/// through.
struct Overlapping {
    fake: Fake,
    /// Batches that came, and that are through.
    calls: Mutex<[usize; 2]>,
    changed: Condvar,
}

impl Overlapping {
    fn wait_for_another(&self) {
        let calls = self.calls.lock().unwrap();
        let waited = self.changed.wait_timeout_while(calls, Duration::from_secs(60), |[_, through]| *through == 0).unwrap().1;
        assert!(!waited.timed_out(), "no other batch came meanwhile");
    }

    fn count(&self, which: usize) -> usize {
        let mut calls = self.calls.lock().unwrap();
        calls[which] += 1;
        assert!(calls[0] - calls[1] <= 2, "no more than it takes");
        self.changed.notify_all();
        calls[which]
    }
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
        let Batch::Pixels { images, size, rgb, .. } = batch else { panic!("images travel as bytes") };
        assert_eq!(rgb.len(), images * size[0] * size[1] * 3);
        if self.count(0) == 1 {
            self.wait_for_another();
        }
        let features = self.fake.run(batch);
        self.count(1);
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
        Ok(Box::new(Overlapping { fake, calls: Mutex::default(), changed: Condvar::new() }) as Box<dyn Engine>)
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
            _ => Err(Error::out_of_memory("small", "copying images")("the device is full")),
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
