//! An extraction on the terminal: a bar while it runs, notes and warnings between.

use std::ops::ControlFlow;

use indicatif::ProgressBar;

use super::screen::{Screen, thousands};
use super::signals;
use crate::extraction::{Event, Observer, Progress};

/// Draws the extraction on a terminal, says the important things elsewhere.
pub(super) struct Watch<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    /// Name of the running computation, in front of the count.
    pub what: String,
    /// Images that were stored when a signal asked to stop.
    asked_at: Option<usize>,
    /// Whether it was stopped, with the running shard written.
    pub stopped: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(screen: &'a Screen) -> Watch<'a> {
        Watch { screen, bar: ProgressBar::hidden(), what: String::new(), asked_at: None, stopped: false }
    }

    /// Takes the bar off the terminal.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event<'_>) {
        self.bar.suspend(|| self.screen.event(event));
    }

    fn digesting(&mut self, images: usize) -> Box<dyn Fn() + Sync> {
        self.bar = self.screen.bar(images as u64, "looking for changes {bar:30} {pos}/{len}");
        let bar = self.bar.clone();
        Box::new(move || bar.inc(1))
    }

    fn digested(&mut self, _read: usize) {
        self.clear();
    }

    fn started(&mut self, progress: &Progress) {
        if progress.images == 0 {
            return;
        }
        if progress.reused > 0 {
            self.screen.note(format_args!("reusing the features of {} images", thousands(progress.reused as u64)));
        }
        self.clear();
        self.bar = self.screen.bar(progress.images as u64, "{prefix}{bar:30} {pos}/{len}  {msg}  ETA {eta}");
        self.bar.set_prefix(self.what.clone());
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let s = &progress.seconds;
        self.bar.set_position(progress.done as u64);
        let rate = progress.done as f64 / s.wall.max(1e-9);
        let phases = format!("read {:.1} s, decode {:.1} s, infer {:.1} s, write {:.1} s", s.read, s.decode, s.infer, s.write);
        self.bar.set_message(format!("{rate:.1} images/s  ({phases}; bottleneck: {})", progress.bottleneck()));
        if signals::asked().is_some() {
            self.stopped = progress.stored > *self.asked_at.get_or_insert(progress.stored);
        }
        if self.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
