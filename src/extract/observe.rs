//! What an extraction tells while it runs.

use std::ops::ControlFlow;
use std::time::Instant;

/// Seconds by phase. Phases overlap, so they add up to more than `wall`.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Seconds {
    /// Reading files, summed over threads.
    pub read: f64,
    /// Decoding, resizing and augmenting, summed over threads.
    pub decode: f64,
    /// The engine's calls. On a CPU its threads take up decoding whenever they would wait, so some of that is in here.
    pub infer: f64,
    /// Encoding, writing and syncing shards.
    pub write: f64,
    /// From start to end.
    pub wall: f64,
}

/// How far an extraction is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Images to compute in this run.
    pub images: usize,
    /// Images that need nothing.
    pub reused: usize,
    /// Images whose features are computed, or that failed.
    pub done: usize,
    /// Images of these that failed.
    pub failed: usize,
    /// Images whose features are on disk for good.
    pub stored: usize,
    /// Seconds by phase so far.
    pub seconds: Seconds,
}

/// Watches an extraction. Called on the thread that called it.
pub trait Observer {
    /// The work is known: `images` to compute, `reused` to take as they are.
    fn started(&mut self, _progress: &Progress) {}

    /// Something was done. `Break` stops: what is stored stays, and the next run goes on from there.
    fn progress(&mut self, _progress: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Something that the user should know.
    fn message(&mut self, _text: &str) {}
}

/// An observer with what it is told.
pub(super) struct Watch<'a> {
    pub progress: Progress,
    start: Instant,
    observer: &'a mut dyn Observer,
}

impl<'a> Watch<'a> {
    pub fn new(start: Instant, observer: &'a mut dyn Observer) -> Watch<'a> {
        Watch { progress: Progress::default(), start, observer }
    }

    /// The work is known.
    pub fn started(&mut self, images: usize, reused: usize) {
        self.progress = Progress { images, reused, ..Progress::default() };
        self.observer.started(&self.progress);
    }

    /// `done` images more, `failed` of them.
    pub fn advance(&mut self, done: usize, failed: usize) -> ControlFlow<()> {
        self.progress.done += done;
        self.progress.failed += failed;
        self.observer.progress(&Progress { seconds: self.seconds(), ..self.progress })
    }

    pub fn message(&mut self, text: &str) {
        self.observer.message(text);
    }

    pub fn seconds(&self) -> Seconds {
        Seconds { wall: self.start.elapsed().as_secs_f64(), ..self.progress.seconds }
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
