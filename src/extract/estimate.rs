//! What a run would compute, how large it would be and how long it would take: `--dry-run`.

use super::job::ExtractionJob;
use super::matched::Matched;
use super::{log, pass};
use crate::Result;
use crate::store::{Cache, Manifest};

/// Rate that is assumed where no run was seen: 50 GFLOP/s a thread.
const FLOPS_A_THREAD: f64 = 50e9;

/// What the seconds of an estimate come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// An earlier run with this key and these taps.
    EarlierRun,
    /// The network's operations, at a rate that common CPUs reach: right to a factor of three.
    Operations,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Images in the data set.
    pub images: usize,
    /// Images for which something would be computed.
    pub compute: usize,
    /// Images for which everything is there.
    pub reuse: usize,
    /// Images that cannot be used, as known so far.
    pub failed: usize,
    /// Shards that would be written.
    pub shards: usize,
    /// Bytes of features that would be written.
    pub bytes: u64,
    /// Seconds that it would take.
    pub seconds: f64,
    /// What the seconds come from.
    pub basis: Basis,
}

/// Says what [`run`](fn@super::run) would do. Writes nothing, takes no lock, builds no engine.
///
/// # Errors
/// A cache that is damaged.
pub(crate) fn estimate(job: &ExtractionJob<'_>) -> Result<Estimate> {
    let (manifest, rows) = match Cache::open(job.folder) {
        Ok(cache) => (cache.manifest().clone(), cache.rows().to_vec()),
        Err(_) if !job.folder.join("manifest.json").exists() => (Manifest::new(job.key.clone(), job.name), vec![]),
        Err(e) => return Err(e),
    };
    let matched = Matched::new(job, &rows, &manifest);
    let work = pass::plan(job, &manifest, &matched.rows, &matched.listed());
    let (mut bytes, mut shards, mut passes_of_images) = (0, 0, 0);
    for pass in &work.passes {
        let dim: usize = pass.taps.iter().map(|t| t.shape.iter().product::<usize>()).sum();
        bytes += (pass.images() * pass.views.len() * dim * job.key.store.size()) as u64;
        shards += pass.groups.len() * pass.taps.len() * pass.views.len();
        passes_of_images += pass.images() * pass.views.len();
    }
    let taps: Vec<String> = job.taps.iter().map(|t| t.name.clone()).collect();
    let (rate, basis) = match log::last(job.folder, &taps) {
        Some(r) => (f64::from(r.views) * r.computed as f64 / r.seconds.wall.max(1e-3), Basis::EarlierRun),
        None => (FLOPS_A_THREAD * rayon::current_num_threads() as f64 / job.flops.max(1) as f64, Basis::Operations),
    };
    Ok(Estimate {
        images: job.dataset.entries.len(),
        compute: work.rows().len(),
        reuse: matched.usable() - work.needed.len(),
        failed: job.dataset.entries.len() - matched.usable(),
        shards,
        bytes,
        seconds: passes_of_images as f64 / rate,
        basis,
    })
}
