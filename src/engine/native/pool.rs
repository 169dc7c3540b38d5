//! Pooling: maximum and mean over windows, the whole map or an adaptive grid.
//!
//! *Layout*: blocked maps; windows are cut off at the map's edge, so no halo is needed. One vector
//! operation for each window cell.

use super::memory::{Operand, Unit};
use super::step::Kernel;
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Rows (or columns) that one output cell reads, and the divisor of an average over the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    start: usize,
    end: usize,
    divisor: usize,
}

/// The operation over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduce {
    /// The largest value.
    Max,
    /// The mean.
    Mean,
}

/// A prepared pooling.
pub(super) struct Pooling {
    isa: Isa,
    reduce: Reduce,
    input: Operand,
    output: Operand,
    rows: Vec<Window>,
    columns: Vec<Window>,
}

/// One axis of a sliding window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Window length.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding before and after.
    pub padding: [usize; 2],
}

impl Pooling {
    /// Sliding windows. With `count_padding`, cells of the padding count in an average's divisor.
    pub(super) fn sliding(isa: Isa, reduce: Reduce, axes: [Axis; 2], count_padding: bool, input: Operand, output: Operand) -> Pooling {
        let windows = |axis: Axis, from: usize, to: usize| {
            let window = |i: usize| {
                let start = i * axis.stride;
                let end = (start + axis.kernel).min(from + axis.padding[0] + axis.padding[1]);
                let inside = [start, end].map(|e| e.saturating_sub(axis.padding[0]).min(from));
                let divisor = if count_padding { end - start } else { inside[1] - inside[0] };
                Window { start: inside[0], end: inside[1], divisor }
            };
            (0..to).map(window).collect()
        };
        let rows = windows(axes[0], input.map.height, output.map.height);
        let columns = windows(axes[1], input.map.width, output.map.width);
        Pooling { isa, reduce, input, output, rows, columns }
    }

    /// PyTorch's adaptive mean to the output's size; the mean of the whole map where that is 1×1.
    pub(super) fn adaptive(isa: Isa, input: Operand, output: Operand) -> Pooling {
        let windows = |from: usize, to: usize| {
            let window = |i: usize| {
                let (start, end) = (i * from / to, ((i + 1) * from).div_ceil(to));
                Window { start, end, divisor: end - start }
            };
            (0..to).map(window).collect()
        };
        let rows = windows(input.map.height, output.map.height);
        let columns = windows(input.map.width, output.map.width);
        Pooling { isa, reduce: Reduce::Mean, input, output, rows, columns }
    }
}

struct Block<'a> {
    pooling: &'a Pooling,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Vectorized for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pooling { reduce, input, output, rows, columns, .. } = self.pooling;
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                let first = if *reduce == Reduce::Max { f32::NEG_INFINITY } else { 0.0 };
                let mut sum = s.splat(first);
                let with = |a, b| if *reduce == Reduce::Max { s.max(a, b) } else { s.add(a, b) };
                for i in row.start..row.end {
                    let line = &self.input[input.map.at(0, i, column.start)..];
                    // Each row by itself: the sum of a large map is as exact as its longer side's.
                    let mut part = s.splat(first);
                    for v in line.chunks_exact(LANES).take(column.end - column.start) {
                        // SAFETY: `v` is a slice of sixteen values.
                        part = with(part, unsafe { s.load(v.as_ptr()) });
                    }
                    sum = with(sum, part);
                }
                if *reduce == Reduce::Mean {
                    sum = s.mul(sum, s.splat(1.0 / (row.divisor * column.divisor) as f32));
                }
                let to = &mut self.output[output.map.at(0, y, x)..][..LANES];
                // SAFETY: `to` is a slice of sixteen values.
                unsafe { s.store(to.as_mut_ptr(), sum) };
            }
        }
    }
}

/// The same for a block of a map in bf16.
struct PackedBlock<'a> {
    pooling: &'a Pooling,
    input: &'a [f32],
    /// Targets of the block, one for each half if the output is not in bf16.
    outputs: [Option<&'a mut [f32]>; 2],
}

#[inline(always)]
fn both<S: Simd>(s: S, reduce: Reduce, a: [S::V; 2], b: [S::V; 2]) -> [S::V; 2] {
    match reduce {
        Reduce::Max => [s.max(a[0], b[0]), s.max(a[1], b[1])],
        Reduce::Mean => [s.add(a[0], b[0]), s.add(a[1], b[1])],
    }
}

impl Vectorized for PackedBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pooling { reduce, input, output, rows, columns, .. } = self.pooling;
        let mut outputs = self.outputs;
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                let first = [s.splat(if *reduce == Reduce::Max { f32::NEG_INFINITY } else { 0.0 }); 2];
                let mut sum = first;
                for i in row.start..row.end {
                    let line = &self.input[input.map.at(0, i, column.start)..];
                    let mut part = first;
                    for v in line.chunks_exact(LANES).take(column.end - column.start) {
                        // SAFETY: `v` is a slice of sixteen words.
                        part = both(s, *reduce, part, unsafe { s.unpack(v.as_ptr()) });
                    }
                    sum = both(s, *reduce, sum, part);
                }
                if *reduce == Reduce::Mean {
                    let scale = s.splat(1.0 / (row.divisor * column.divisor) as f32);
                    sum = [s.mul(sum[0], scale), s.mul(sum[1], scale)];
                }
                let at = output.map.at(0, y, x);
                // SAFETY: every pointer is that of a slice of sixteen values.
                unsafe {
                    match &mut outputs {
                        [Some(packed), _] if output.map.packed => s.pack(packed[at..][..LANES].as_mut_ptr(), sum),
                        halves => {
                            for (half, x) in halves.iter_mut().flatten().zip(sum) {
                                s.store(half[at..][..LANES].as_mut_ptr(), x);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Kernel for Pooling {
    fn label(&self) -> &str {
        match (self.reduce, self.input.map.packed) {
            (Reduce::Max, false) => "max pool",
            (Reduce::Max, true) => "max pool bf16",
            (Reduce::Mean, false) => "mean pool",
            (Reduce::Mean, true) => "mean pool bf16",
        }
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.input.map.blocks()
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        let blocks = self.input.map.blocks();
        let (block, image) = (task % blocks, task / blocks);
        if self.input.map.packed {
            let output = |part: usize, parts: usize| {
                let block = parts * block + part;
                // SAFETY: no other task reads or writes the output blocks of this one's input
                // block.
                (part < parts && block < self.output.map.blocks()).then(|| unsafe { unit.write(&self.output, image, block) })
            };
            let parts = if self.output.map.packed { 1 } else { 2 };
            let outputs = [output(0, parts), output(1, parts)];
            // SAFETY: the steps that write to the input are complete.
            let input = unsafe { unit.read(&self.input, image) };
            return dispatch(self.isa, PackedBlock { pooling: self, input: &input[block * self.input.map.block..], outputs });
        }
        // SAFETY: the steps that write to the input are complete, and each task has an output block
        // of its own.
        let (input, output) = unsafe { (unit.read(&self.input, image), unit.write(&self.output, image, block)) };
        dispatch(self.isa, Block { pooling: self, input: &input[block * self.input.map.block..], output });
    }
}
