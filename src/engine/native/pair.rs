//! Two steps in turn, some blocks of channels at a time: the map between them is never whole and
//! stays in the second-level cache.
//!
//! *Shape class*: a direct convolution whose map is larger than that cache and is read once, by a
//! depthwise convolution or a pool. The expanded maps of inverted residuals (96 channels of 112×112
//! are 4.8 MB) would be written to the third-level cache and read from there. *Layout*: that of
//! both steps; the map between them has one block or two and lies in scratch memory.

use super::memory::{Operand, Unit, zero_halo};
use super::step::Kernel;

/// Both steps for some channels, and the map between them.
pub(super) struct Part {
    /// The kernels, prepared for these channels alone.
    pub kernels: [Box<dyn Kernel>; 2],
    /// The first one's output and the second one's input.
    pub between: Operand,
}

/// A prepared pair of steps.
pub(super) struct Pair {
    label: String,
    output: Operand,
    parts: Vec<Part>,
}

impl Pair {
    /// `output` is the map that the parts' second kernels make together.
    pub(super) fn new(output: Operand, parts: Vec<Part>) -> Pair {
        let label = parts.first().map(|p| p.kernels.each_ref().map(|k| k.label()).join(" + ")).unwrap_or_default();
        Pair { label, output, parts }
    }

    fn between(&self) -> usize {
        self.parts.iter().map(|p| p.between.map.floats()).max().unwrap_or(0)
    }
}

impl Kernel for Pair {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.parts.len()
    }

    fn scratch(&self, _: usize) -> usize {
        let own = self.parts.iter().flat_map(|p| &p.kernels).map(|k| k.scratch(1)).max().unwrap_or(0);
        self.between() + own
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, scratch: &mut [f32]) {
        let Part { kernels, between } = &self.parts[task % self.parts.len()];
        let (map, scratch) = scratch.split_at_mut(self.between());
        let unit = unit.only(task / self.parts.len(), map);
        zero_halo(&unit, between);
        for kernel in kernels {
            let tasks = kernel.tasks(1, 1);
            (0..tasks).for_each(|task| kernel.run(&unit, task, tasks, scratch));
        }
    }
}
