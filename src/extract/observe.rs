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
    /// The engine's calls. On a CPU its threads take up decoding whenever they would wait, so some
    /// of that is in here.
    pub infer: f64,
    /// Encoding, writing and syncing shards.
    pub write: f64,
    /// From start to end.
    pub wall: f64,
}

/// How many of each phase go on at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lanes {
    /// Files that are read.
    pub read: usize,
    /// Images that are decoded.
    pub decode: usize,
    /// Batches in the engine.
    pub infer: usize,
}

impl Seconds {
    /// The phase that the others wait for: the one that was at work for the largest share of the
    /// time that its lanes had.
    pub fn bottleneck(&self, lanes: Lanes) -> &'static str {
        let share = |seconds: f64, lanes: usize| seconds / lanes.max(1) as f64;
        let phases = [
            ("infer", share(self.infer, lanes.infer)),
            ("decode", share(self.decode, lanes.decode)),
            ("read", share(self.read, lanes.read)),
            ("write", self.write),
        ];
        // The first of equals, so that an extraction that has not begun is said to wait for the
        // engine.
        phases.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("infer", |(name, _)| name)
    }
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
    /// How many of each phase go on at the same time.
    pub lanes: Lanes,
}

impl Progress {
    /// The phase that the others wait for: `read`, `decode`, `infer` or `write`.
    pub fn bottleneck(&self) -> &'static str {
        self.seconds.bottleneck(self.lanes)
    }
}

/// Watches an extraction. Called on the thread that called it.
pub(crate) trait Observer {
    /// The work is known: `images` to compute, `reused` to take as they are.
    fn started(&mut self, _progress: &Progress) {}

    /// Something was done. `Break` stops: what is stored stays, and the next run goes on from
    /// there.
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
    pub(super) fn new(start: Instant, observer: &'a mut dyn Observer) -> Watch<'a> {
        Watch { progress: Progress::default(), start, observer }
    }

    /// The work is known.
    pub(super) fn started(&mut self, images: usize, reused: usize) {
        self.progress = Progress { images, reused, ..Progress::default() };
        self.observer.started(&self.progress);
    }

    /// `done` images more, `failed` of them.
    pub(super) fn advance(&mut self, done: usize, failed: usize) -> ControlFlow<()> {
        self.progress.done += done;
        self.progress.failed += failed;
        self.observer.progress(&Progress { seconds: self.seconds(), ..self.progress })
    }

    pub(super) fn message(&mut self, text: &str) {
        self.observer.message(text);
    }

    /// The phase that the others waited for.
    pub(super) fn bottleneck(&self) -> &'static str {
        self.progress.bottleneck()
    }

    pub(super) fn seconds(&self) -> Seconds {
        Seconds { wall: self.start.elapsed().as_secs_f64(), ..self.progress.seconds }
    }
}

/// Watches nothing.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Silent;

#[cfg(test)]
impl Observer for Silent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_the_phase_whose_lanes_are_busiest() {
        let lanes = Lanes { read: 4, decode: 16, infer: 2 };
        let seconds = Seconds { read: 10.0, decode: 150.0, infer: 12.0, write: 3.0, wall: 10.0 };
        assert_eq!(seconds.bottleneck(lanes), "decode", "16 threads, nearly always at work");
        assert_eq!(Seconds { infer: 19.5, ..seconds }.bottleneck(lanes), "infer");
        assert_eq!(Seconds { read: 39.0, ..seconds }.bottleneck(lanes), "read");
        assert_eq!(Seconds { write: 9.9, ..seconds }.bottleneck(lanes), "write");
        assert_eq!(Seconds::default().bottleneck(lanes), "infer");
    }
}
