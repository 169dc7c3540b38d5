//! The data set's images as rows of the cache, and the count of what became of them.

use std::collections::HashMap;

use super::pipeline::Done;
use super::prepare::reason;
use super::{Job, Outcome};
use crate::data::Digest;
use crate::store::{Changes, Failure, Known, Manifest, Row, RowSet, Status, reconcile};

/// A listing held against the rows of a cache.
pub(super) struct Matched<'a> {
    pub rows: Vec<Row>,
    pub next_row: u64,
    pub changes: Changes,
    pub images: Images<'a>,
    /// Failed rows whose file cannot be read, and why.
    pub unreadable: Vec<(u64, String)>,
    /// Row of each entry.
    entries: Vec<u64>,
    /// What cannot be read now; the features of some may be there from an earlier run.
    unread: HashMap<u64, String>,
}

/// Where each row's image is.
pub(super) struct Images<'a> {
    by_row: Vec<(u64, &'a str, Digest)>,
}

impl Images<'_> {
    /// URI and digest of a row that is to be computed.
    pub fn get(&self, row: u64) -> (&str, &Digest) {
        let at = self.by_row.partition_point(|(r, ..)| *r < row);
        let (_, uri, digest) = &self.by_row[at];
        (uri, digest)
    }
}

impl<'a> Matched<'a> {
    pub fn new(job: &Job<'a>, rows: &[Row], manifest: &Manifest) -> Matched<'a> {
        let known = Known { rows, classes: &manifest.classes, next_row: manifest.next_row, partial: job.partial };
        let digests: Vec<Option<Digest>> = job.digests.iter().map(|d| d.as_ref().ok().copied()).collect();
        let now = reconcile(known, job.dataset, &digests);
        let mut by_row = vec![];
        let mut unread = HashMap::new();
        for ((&row, entry), digest) in now.listed.iter().zip(&job.dataset.entries).zip(job.digests) {
            match digest {
                Ok(digest) => by_row.push((row, entry.uri.as_str(), *digest)),
                Err(e) => drop(unread.insert(row, reason(e))),
            }
        }
        by_row.sort_unstable_by_key(|(row, ..)| *row);
        let mut unreadable: Vec<(u64, String)> = unread.iter().map(|(row, why)| (*row, why.clone())).collect();
        unreadable.retain(|(row, _)| status(&now.rows, *row) == Some(Status::Failed));
        unreadable.sort_unstable();
        Matched {
            rows: now.rows,
            next_row: now.next_row,
            changes: now.changes,
            images: Images { by_row },
            unreadable,
            entries: now.listed,
            unread,
        }
    }

    /// Rows that can be computed, ascending.
    pub fn listed(&self) -> Vec<u64> {
        self.images.by_row.iter().map(|(row, ..)| *row).collect()
    }

    /// How many images count.
    pub fn usable(&self) -> usize {
        self.images.by_row.iter().filter(|(row, ..)| status(&self.rows, *row) == Some(Status::Ok)).count()
    }
}

fn status(rows: &[Row], row: u64) -> Option<Status> {
    rows.binary_search_by_key(&row, |r| r.row).ok().map(|i| rows[i].status)
}

/// What became of the rows.
#[derive(Default)]
pub(super) struct Tally {
    stored: Vec<u64>,
    gone: HashMap<u64, String>,
    unturned: usize,
    cut_off: usize,
}

impl Tally {
    pub fn add(&mut self, done: Done) {
        self.unturned += done.unturned;
        self.cut_off += done.cut_off;
        self.stored.extend(done.stored);
        self.gone.extend(done.gone);
    }

    /// Every image of the listing is computed, reused, left or failed; `needed` are the rows that lacked something.
    pub fn outcome(self, needed: &RowSet, job: &Job<'_>, matched: &Matched<'_>, manifest: &Manifest) -> Outcome {
        let stored: RowSet = self.stored.into_iter().collect();
        let failed: HashMap<u64, &str> = manifest.failed.iter().map(|f| (f.row, f.reason.as_str())).collect();
        let mut outcome = Outcome { images: matched.entries.len(), changes: matched.changes, ..Outcome::default() };
        for (row, entry) in matched.entries.iter().zip(&job.dataset.entries) {
            let why = failed.get(row).copied().or_else(|| matched.unread.get(row).or_else(|| self.gone.get(row)).map(String::as_str));
            match why {
                Some(why) => outcome.failed.push(Failure { row: *row, path: entry.uri.clone(), reason: why.into() }),
                None if stored.contains(*row) => outcome.computed += 1,
                None if needed.contains(*row) => outcome.left += 1,
                None => outcome.reused += 1,
            }
        }
        // An image that lacked several taps and views may have been decoded more than once.
        outcome.unturned = self.unturned.min(outcome.computed);
        outcome.cut_off = self.cut_off.min(outcome.computed);
        outcome
    }
}
