//! The interface between a prepared kernel and the engine that runs it.

use super::memory::{Common, Operand, Unit};

/// A step ready to run: its work cut into tasks that write disjoint parts of its outputs.
///
/// The result does not depend on the threads that run the tasks, nor on their order.
pub(super) trait Kernel: Send + Sync {
    /// The strategy in words, for profiles: `direct 14×32`.
    fn label(&self) -> &str;

    /// Its output maps. Their halos are set to zero before its tasks begin.
    fn outputs(&self) -> &[Operand];

    /// Number of tasks for `images` images, shared by `workers` workers.
    fn tasks(&self, images: usize, workers: usize) -> usize;

    /// Floats of scratch memory that a task needs.
    fn scratch(&self, _images: usize) -> usize {
        0
    }

    /// Runs task `task` of `tasks`. Earlier steps are complete, and each task of this step runs
    /// once.
    fn run(&self, unit: &Unit<'_>, task: usize, tasks: usize, scratch: &mut [f32]);

    /// Number of stages: the tasks of one begin when all tasks of the one before are complete.
    fn stages(&self, _images: usize) -> usize {
        1
    }

    /// Floats of memory that the tasks of all stages share.
    fn common(&self, _images: usize) -> usize {
        0
    }

    /// Number of tasks of a stage.
    fn stage_tasks(&self, _stage: usize, images: usize, workers: usize) -> usize {
        self.tasks(images, workers)
    }

    /// Runs one task of a stage.
    fn run_stage(&self, unit: &Unit<'_>, stage: Stage<'_>, scratch: &mut [f32]) {
        self.run(unit, stage.task, stage.tasks, scratch);
    }
}

/// One task of a stage.
pub(super) struct Stage<'a> {
    /// Index of the stage.
    pub index: usize,
    /// Index of the task.
    pub task: usize,
    /// Number of tasks of the stage.
    pub tasks: usize,
    /// Memory that all tasks share.
    pub common: Common<'a>,
}
