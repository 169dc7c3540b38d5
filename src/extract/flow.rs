//! What travels from phase to phase, and what is left of it.

use super::prepare::{Skip, Views};
use crate::Result;
use crate::data::Digest;

/// What the coordinating thread hears.
pub(super) enum Event {
    Read { ticket: Ticket, bytes: Result<Vec<u8>, Skip>, seconds: f64 },
    Decoded { ticket: Ticket, views: Views, corrected: Option<Digest>, seconds: f64 },
    Inferred { number: usize, outputs: Result<Outputs>, messages: Vec<String>, seconds: f64 },
    Stored { images: usize, seconds: f64 },
}

/// An image on its way: batch and place in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub batch: usize,
    pub slot: usize,
    pub row: u64,
}

/// Features by view and tap.
pub(super) type Outputs = Vec<Vec<Vec<f32>>>;

/// What became of a batch.
#[derive(Default)]
pub(super) struct Finished {
    /// Rows with features, and the path of each.
    pub rows: Vec<(u64, String)>,
    /// Values, by view and tap in the pass's order: `[rows, dim]`.
    pub outputs: Vec<Vec<Vec<f32>>>,
    /// Rows whose image cannot be used.
    pub failed: Vec<(u64, String)>,
    /// Rows whose file went away.
    pub gone: Vec<u64>,
    /// Rows whose file the system could not read.
    pub unreadable: Vec<(u64, String)>,
    /// New rows whose file is another one than was thought.
    pub corrected: Vec<(u64, Digest)>,
    /// Whether the group ends here.
    pub last: bool,
}

/// What the sink did.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Rows that are committed.
    pub rows: Vec<u64>,
    pub seconds: f64,
}

/// What a pass did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Rows whose features are stored.
    pub stored: Vec<u64>,
    /// Rows whose file went away or changed, and why.
    pub gone: Vec<(u64, String)>,
    /// Rows whose file is another one than its size and date promised.
    pub misrecorded: Vec<u64>,
    /// Whether the observer said stop.
    pub stopped: bool,
    /// Seconds spent writing.
    pub write_seconds: f64,
    /// Images that ask to be turned and were not.
    pub unturned: usize,
    /// Images of gray that was cut off at 255.
    pub cut_off: usize,
}
