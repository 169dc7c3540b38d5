//! What every prepared kernel offers to whoever runs it.

use super::memory::{Operand, Unit};

/// A step ready to run: its work cut into tasks that write disjoint parts of its outputs.
///
/// Which tasks run on which thread, and in which order, changes nothing in the result.
pub trait Kernel: Send + Sync {
    /// The strategy in words, for profiles: `direct 14×32`.
    fn label(&self) -> &str;

    /// The maps it makes. Their halos are set to zero before its tasks begin.
    fn outputs(&self) -> &[Operand];

    /// Number of tasks for so many images, shared by so many workers.
    fn tasks(&self, images: usize, workers: usize) -> usize;

    /// Floats of scratch memory that a task needs.
    fn scratch(&self, _images: usize) -> usize {
        0
    }

    /// Runs task `task` of `tasks`. Earlier steps are complete, and each task of this step runs once.
    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]);
}
