//! Time as a line over epochs: where two ways break even, and what many trials take.

use serde::{Deserialize, Serialize};

/// Time as a linear function of the number of epochs, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Time before the first epoch.
    pub start: f64,
    /// Time of an epoch: the mean of those that were measured.
    pub each: f64,
}

impl Line {
    /// The line of some measured epochs: it meets their sum where they end.
    pub(crate) fn new(start: f64, epochs: impl ExactSizeIterator<Item = f64>) -> Line {
        let count = epochs.len().max(1) as f64;
        Line { start, each: epochs.sum::<f64>() / count }
    }

    /// Seconds until the end of a number of epochs.
    pub(crate) fn at(self, epochs: usize) -> f64 {
        self.start + self.each * epochs as f64
    }
}

/// The first epoch at whose end the cached way has taken no longer than the other one; `None` where
/// it never does.
pub(crate) fn break_even(in_loop: Line, cached: Line) -> Option<usize> {
    let (ahead, gain) = (cached.start - in_loop.start, in_loop.each - cached.each);
    if ahead <= gain {
        return Some(1);
    }
    (gain > 0.0).then(|| (ahead / gain).ceil() as usize)
}

/// Seconds for several trials, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    /// Number of trials.
    pub trials: usize,
    /// Seconds with the base in each one's loop.
    pub in_loop: f64,
    /// Seconds on the same cached features.
    pub cached: f64,
}

/// Seconds for several trials of `epochs` epochs. In the loop each trial starts anew; on cached
/// features only the epochs repeat.
pub(crate) fn trials(in_loop: Line, cached: Line, epochs: usize, trials: usize) -> Trials {
    Trials { trials, in_loop: trials as f64 * in_loop.at(epochs), cached: cached.at(epochs * trials) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_meets_what_was_measured() {
        let line = Line::new(3.0, [10.0, 14.0].into_iter());
        assert_eq!((line.each, line.at(0), line.at(2), line.at(30)), (12.0, 3.0, 27.0, 363.0));
        assert_eq!(Line::new(3.0, [].into_iter()).at(5), 3.0);
    }

    #[test]
    fn break_even_is_the_first_epoch_that_costs_no_more() {
        let in_loop = Line { start: 1.0, each: 10.0 };
        let cached = |start: f64, each: f64| break_even(in_loop, Line { start, each });
        // 1 + 10 e against 25 + 2 e: equal after 3.
        assert_eq!(cached(25.0, 2.0), Some(3));
        assert_eq!(cached(25.1, 2.0), Some(4));
        assert_eq!(cached(9.0, 2.0), Some(1), "the base once is not more than an epoch in the loop");
        assert_eq!(cached(1.0, 10.0), Some(1), "the same way twice");
        assert_eq!(cached(25.0, 10.0), None);
        assert_eq!(cached(25.0, 11.0), None, "a head that costs more than the base");
        for (start, each) in [(25.0, 2.0), (25.1, 2.0), (300.0, 9.5)] {
            let (line, epoch) = (Line { start, each }, cached(start, each).unwrap());
            assert!(line.at(epoch) <= in_loop.at(epoch) + 1e-9 && line.at(epoch - 1) > in_loop.at(epoch - 1), "{start} {each}");
        }
    }

    #[test]
    fn many_trials_run_the_base_once_only_on_cached_features() {
        let found = trials(Line { start: 1.0, each: 10.0 }, Line { start: 11.0, each: 0.5 }, 30, 4);
        assert_eq!((found.in_loop, found.cached), (4.0 * 301.0, 11.0 + 60.0));
    }
}
