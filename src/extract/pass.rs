//! What is missing, cut into passes, groups and batches, by rules that know nothing of time or
//! threads: a run that was interrupted cuts the rest as an uninterrupted one would have.

use std::collections::{BTreeMap, HashMap};

use super::job::{ExtractionJob, JobTap};
use crate::store::{Manifest, Row, RowSet};

/// Most rows of a shard.
const SHARD_ROWS: u64 = 1024;
/// About half a minute of work at 100 GFLOP/s: what a kill may cost.
const GROUP_FLOPS: u64 = 3_000_000_000_000;
/// Most bytes of features that wait for their shards to be whole.
const GROUP_BYTES: u64 = 128 << 20;

/// Taps and views that the same rows lack: computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pass {
    pub taps: Vec<JobTap>,
    pub views: Vec<u32>,
    /// Rows of a cell of the grid on which groups lie.
    cell: u64,
    /// Rows of one shard of each tap and view: committed together.
    pub groups: Vec<Vec<u64>>,
}

impl Pass {
    pub(super) fn tap_names(&self) -> Vec<String> {
        self.taps.iter().map(|t| t.name.clone()).collect()
    }

    /// Rows in batches, and whether a group ends with the batch. A batch is a range of row numbers
    /// inside its group's cell, so that rows which fail, are deleted or are there already do not
    /// change with whom the others share a batch.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = (&[u64], bool)> {
        let batch_of = move |row: &u64| row % self.cell / size as u64;
        self.groups.iter().flat_map(move |group| {
            let last = group.last().copied();
            group.chunk_by(move |a, b| batch_of(a) == batch_of(b)).map(move |rows| (rows, rows.last().copied() == last))
        })
    }

    pub(super) fn images(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }
}

/// Number of groups that all rows make, where none of them is of this part.
pub(super) fn groups_if_empty(job: &ExtractionJob<'_>, listed: &[u64]) -> Option<usize> {
    let part = job.part?;
    let cell = group_rows(job, job.taps, job.views as usize);
    let mut groups = listed.chunk_by(|a, b| a / cell == b / cell);
    let is_mine = |group: &[u64]| group[0] / cell % part.of == part.index;
    (!groups.clone().any(is_mine)).then(|| groups.by_ref().count())
}

/// What a job has to do.
pub(super) struct Work {
    /// Rows that lack something, those of other parts included.
    pub needed: RowSet,
    /// The passes of this part.
    pub passes: Vec<Pass>,
}

impl Work {
    /// Rows that are to be computed by this part.
    pub(super) fn rows(&self) -> RowSet {
        self.passes.iter().flat_map(|p| p.groups.iter().flatten().copied()).collect()
    }
}

/// Finds the work of a job. `listed` are its rows, ascending.
pub(super) fn plan(job: &ExtractionJob<'_>, manifest: &Manifest, rows: &[Row], listed: &[u64]) -> Work {
    let mut passes: BTreeMap<(Vec<usize>, Vec<u32>), Vec<u64>> = BTreeMap::new();
    let needs = by_need(job, manifest, rows, listed);
    let needed = needs.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    for (needs, rows) in needs {
        // Views that lack the same taps go together, so that an image is decoded once for all of
        // them.
        let mut taps_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        needs.iter().for_each(|&(tap, view)| taps_of.entry(view).or_default().push(tap));
        let mut views_of: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
        taps_of.into_iter().for_each(|(view, taps)| views_of.entry(taps).or_default().push(view));
        for together in views_of {
            passes.entry(together).or_default().extend(&rows);
        }
    }
    let pass = |((taps, views), mut rows): ((Vec<usize>, Vec<u32>), Vec<u64>)| {
        rows.sort_unstable();
        let taps: Vec<JobTap> = taps.into_iter().map(|t| job.taps[t].clone()).collect();
        let cell = group_rows(job, &taps, views.len());
        let mine = |group: &&[u64]| job.part.is_none_or(|p| group[0] / cell % p.of == p.index);
        let groups = rows.chunk_by(|a, b| a / cell == b / cell).filter(mine).map(<[u64]>::to_vec).collect();
        Pass { taps, views, cell, groups }
    };
    let mut passes: Vec<Pass> = passes.into_iter().map(pass).filter(|p| !p.groups.is_empty()).collect();
    passes.sort_by_key(|p| p.groups[0][0]);
    Work { needed, passes }
}

/// Taps (by place in the job) and views that a row lacks.
type Needs = Vec<(usize, u32)>;

/// Rows by what they lack.
fn by_need(job: &ExtractionJob<'_>, manifest: &Manifest, rows: &[Row], listed: &[u64]) -> Vec<(Needs, Vec<u64>)> {
    // Each row has the number of a set of needs; a need that comes to a set gives another set.
    let mut sets: Vec<Needs> = vec![vec![]];
    let mut with: HashMap<(usize, usize, u32), usize> = HashMap::new();
    let mut set_of = vec![0; listed.len()];
    for (tap, about) in job.taps.iter().enumerate() {
        for view in 0..job.views {
            for row in manifest.missing(rows, &about.name, view) {
                let Ok(i) = listed.binary_search(&row) else { continue };
                set_of[i] = *with.entry((set_of[i], tap, view)).or_insert_with(|| {
                    let needs = sets[set_of[i]].iter().copied().chain([(tap, view)]).collect();
                    sets.push(needs);
                    sets.len() - 1
                });
            }
        }
    }
    let mut found = vec![vec![]; sets.len()];
    listed.iter().zip(set_of).for_each(|(&row, set)| found[set].push(row));
    sets.into_iter().zip(found).filter(|(needs, rows)| !needs.is_empty() && !rows.is_empty()).collect()
}

/// Rows of a group: a power of two, bounded by work and memory. Groups lie on a grid of row
/// numbers.
fn group_rows(job: &ExtractionJob<'_>, taps: &[JobTap], views: usize) -> u64 {
    let bytes: usize = taps.iter().map(|t| t.shape.iter().product::<usize>() * job.key.store.size()).sum();
    let views = views as u64;
    let by_work = GROUP_FLOPS / (job.flops * views).max(1);
    let by_memory = GROUP_BYTES / (bytes as u64 * views).max(1);
    let most = by_work.min(by_memory).clamp(1, SHARD_ROWS);
    1 << most.ilog2()
}
