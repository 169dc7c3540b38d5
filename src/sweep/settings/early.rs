//! When a sweep ends trials that do badly.

/// Early termination of the trials that do badly, by successive halving or Hyperband.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyTermination {
    /// Whether some trials are judged later than others at first (Hyperband), or none (successive
    /// halving).
    pub brackets: bool,
    /// Number of epochs before a trial is judged first.
    pub min_iter: usize,
    /// One trial in `eta` goes on, for `eta` times as many epochs.
    pub eta: usize,
}
