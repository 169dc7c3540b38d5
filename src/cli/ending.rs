//! Outcome of a command.

/// How a command ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All done.
    Done,
    /// Done, but not to the strictness asked for.
    Incomplete,
    /// Stopped because a signal asked for it; what is finished is kept.
    Stopped,
}
