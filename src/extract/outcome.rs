//! What an extraction did.

use super::observe::Seconds;
use crate::store::{Changes, Failure};

/// What an extraction did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Images in the data set.
    pub images: usize,
    /// Images for which something was computed now.
    pub computed: usize,
    /// Images for which everything was there.
    pub reused: usize,
    /// Images left to other parts, or not reached because the observer said stop.
    pub left: usize,
    /// Images of those computed that ask to be turned and were read as stored.
    pub unturned: usize,
    /// Images of those computed that are gray of more than eight bits, cut off at 255.
    pub cut_off: usize,
    /// What the listing changed among the rows.
    pub changes: Changes,
    /// Images that cannot be used, now or since an earlier run.
    pub failed: Vec<Failure>,
    /// Images whose file was another one than the digest that was handed in: a wrong record, or a
    /// change that left size and date as they were. A program that keeps such records must drop
    /// these.
    pub misrecorded: Vec<String>,
    /// Time spent, by phase.
    pub seconds: Seconds,
    /// The phase that the others waited for, where something was computed.
    pub bottleneck: Option<&'static str>,
    /// What the user should know.
    pub warnings: Vec<String>,
}
