//! The data set's images as rows of the cache, and the count of what became of them.

use std::collections::{BTreeSet, HashMap};

use super::flow::Done;
use super::job::ExtractionJob;
use super::outcome::Outcome;
use super::prepare::reason;
use crate::data::{Dataset, Digest, is_of_the_system};
use crate::store::{Changes, Deferred, Failure, Known, Manifest, Row, RowSet, Status, reconcile};

/// A listing held against the rows of a cache.
pub(super) struct Matched<'a> {
    pub rows: Vec<Row>,
    pub next_row: u64,
    pub changes: Changes,
    pub images: Images<'a>,
    /// Failed rows whose file cannot be read, and why.
    pub unreadable: Vec<Failure>,
    /// Row of each entry.
    entries: Vec<u64>,
    /// What cannot be read now; the features of some may be there from an earlier run.
    unread: HashMap<u64, Failure>,
}

/// How the data differ from the rows of a cache.
#[derive(Default)]
pub(super) struct Differences {
    /// Paths of images whose file holds another one now.
    pub changed: Vec<String>,
    /// Paths of images that are not in the data.
    pub missing: Vec<String>,
    /// Paths of images that cannot be read, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Number of images that the cache does not know.
    pub unknown: usize,
}

/// Where each row's image is.
pub(super) struct Images<'a> {
    by_row: Vec<Image<'a>>,
}

/// The image of a row.
pub(super) struct Image<'a> {
    pub row: u64,
    pub uri: &'a str,
    /// `None` where the file was not read yet.
    pub digest: Option<Digest>,
    /// Whether the row has no features at all, so that it can still be another image than was
    /// thought.
    pub is_new: bool,
}

impl<'a> Images<'a> {
    /// The image of a row that is to be computed.
    pub(super) fn get(&self, row: u64) -> &Image<'a> {
        &self.by_row[self.by_row.partition_point(|image| image.row < row)]
    }
}

impl<'a> Matched<'a> {
    pub(super) fn new(job: &ExtractionJob<'a>, rows: &[Row], manifest: &Manifest) -> Matched<'a> {
        let known = Known { rows, classes: &manifest.classes, next_row: manifest.next_row, partial: job.partial };
        let digests: Vec<Option<Digest>> = job.digests.iter().map(|d| d.as_ref().ok().copied()).collect();
        let mut now = reconcile(known, job.dataset, &digests);
        let with_features: Vec<RowSet> =
            manifest.taps.keys().flat_map(|tap| manifest.views(tap).into_iter().map(|view| manifest.rows_of(tap, view))).collect();
        let has_features = |row: u64| with_features.iter().any(|there| there.contains(row));
        let mut by_row = vec![];
        let mut unread = HashMap::new();
        for (i, (&row, entry)) in now.listed.iter().zip(&job.dataset.entries).enumerate() {
            let is_unread = job.unread.get(i).copied().unwrap_or(false);
            match &job.digests[i] {
                Ok(digest) if !is_unread => {
                    by_row.push(Image { row, uri: entry.uri.as_str(), digest: Some(*digest), is_new: !has_features(row) });
                    continue;
                }
                Err(e) if !is_unread => {
                    let failure = Failure { retry: is_of_the_system(e), ..Failure::of_image(row, &entry.uri, reason(e)) };
                    unread.insert(row, failure);
                    if !is_of_the_system(e) {
                        continue;
                    }
                }
                _ => {}
            }
            // What is to be computed of it is read once more then, and digested. A new row without
            // a digest counts as failed, which it is not yet.
            let Ok(at) = now.rows.binary_search_by_key(&row, |r| r.row) else { continue };
            if row >= manifest.next_row {
                now.rows[at].status = Status::Ok;
            }
            by_row.push(Image { row, uri: entry.uri.as_str(), digest: now.rows[at].digest, is_new: !has_features(row) });
        }
        by_row.sort_unstable_by_key(|image| image.row);
        let mut unreadable: Vec<Failure> = unread.values().filter(|f| status(&now.rows, f.row) == Some(Status::Failed)).cloned().collect();
        unreadable.sort_unstable_by_key(|f| f.row);
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

    /// How the data differ from the rows of a cache; `before` are the rows as they were.
    pub(super) fn differences(&self, before: &[Row], dataset: &Dataset) -> Differences {
        let mut found = Differences::default();
        let listed: BTreeSet<&str> = dataset.entries.iter().map(|e| e.uri.as_str()).collect();
        for row in before.iter().filter(|r| r.status == Status::Ok && status(&self.rows, r.row) == Some(Status::Deleted)) {
            if listed.contains(row.path.as_str()) { &mut found.changed } else { &mut found.missing }.push(row.path.clone());
        }
        let mut unread: Vec<&Failure> = self.unread.values().collect();
        unread.sort_unstable_by_key(|f| f.row);
        found.unreadable.extend(unread.into_iter().map(|f| (f.path.clone(), f.reason.clone())));
        let is_known = |image: &&Image<'_>| status(before, image.row).is_some_and(|s| s != Status::Deleted);
        let unknown = self.images.by_row.iter().filter(|image| !is_known(image)).count();
        // A changed image has a row of its own in the new listing.
        found.unknown = unknown.saturating_sub(found.changed.len());
        found
    }

    /// Rows that can be computed, ascending.
    pub(super) fn listed(&self) -> Vec<u64> {
        self.images.by_row.iter().map(|image| image.row).collect()
    }

    /// What is left to `merge`: by a part what it was told to leave, otherwise what parts left
    /// before, as far as this listing did not settle it.
    pub(super) fn deferred(&self, job: &ExtractionJob<'_>, before: &Manifest) -> Deferred {
        let Deferred { split, dedupe } = if job.part.is_some() { job.deferred } else { before.deferred };
        let is_open = self.rows.iter().any(|row| row.status != Status::Deleted && row.split.is_none());
        Deferred { split: split.filter(|_| is_open), dedupe: dedupe && (job.part.is_some() || job.partial) }
    }

    /// How many images count.
    pub(super) fn usable(&self) -> usize {
        self.images.by_row.iter().filter(|image| status(&self.rows, image.row) == Some(Status::Ok)).count()
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
    /// Rows whose file is another one than its size and date promised.
    misrecorded: Vec<u64>,
    cut_off: usize,
}

impl Tally {
    pub(super) fn add(&mut self, done: Done) {
        self.unturned += done.unturned;
        self.cut_off += done.cut_off;
        self.stored.extend(done.stored);
        self.gone.extend(done.gone);
        self.misrecorded.extend(done.misrecorded);
    }

    /// Every image of the listing is computed, reused, left or failed; `needed` are the rows that
    /// lacked something.
    pub(super) fn outcome(self, needed: &RowSet, job: &ExtractionJob<'_>, matched: &Matched<'_>, manifest: &Manifest) -> Outcome {
        let [stored, misrecorded]: [RowSet; 2] = [self.stored, self.misrecorded].map(|rows| rows.into_iter().collect());
        let failed: HashMap<u64, &Failure> = manifest.failed.iter().map(|f| (f.row, f)).collect();
        let mut outcome = Outcome { images: matched.entries.len(), changes: matched.changes, ..Outcome::default() };
        for (row, entry) in matched.entries.iter().zip(&job.dataset.entries) {
            if misrecorded.contains(*row) {
                outcome.misrecorded.push(entry.uri.clone());
            }
            let is_stored = stored.contains(*row);
            let known = failed.get(row).copied().or_else(|| matched.unread.get(row).filter(|_| !is_stored));
            match (known, self.gone.get(row)) {
                (Some(failure), _) => outcome.failed.push(Failure { path: entry.uri.clone(), ..failure.clone() }),
                (None, Some(why)) => outcome.failed.push(Failure::of_image(*row, &entry.uri, why)),
                _ if is_stored => outcome.computed += 1,
                _ if needed.contains(*row) => outcome.left += 1,
                _ => outcome.reused += 1,
            }
        }
        // An image that lacked several taps and views may have been decoded more than once.
        outcome.unturned = self.unturned.min(outcome.computed);
        outcome.cut_off = self.cut_off.min(outcome.computed);
        outcome
    }
}
