//! Threads that the groups of a trainer share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::simd::Isa;

/// The resources that all groups of a trainer share.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// Instructions of the kernels.
    pub isa: Isa,
    /// Number of threads.
    pub threads: usize,
    /// Groups of heads that share the threads.
    pub active: Arc<AtomicUsize>,
    /// Operations of an epoch below which a session keeps to one thread.
    pub worth_sharing: f64,
}
