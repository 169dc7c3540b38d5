//! Depthwise convolution: each channel by its own window.
//!
//! *Shape class*: groups = channels in = channels out, any window and stride. *Algorithm*: direct;
//! P pixels of one row of one block are summed in registers, a window cell after the other, one
//! multiply-add for each load. *Layout*: blocked maps with a halo, weights `[block][ky][kx][16]`.

use super::epilogue::{Epilogue, finish_tile};
use super::memory::{Operand, Unit};
use super::step::Kernel;
use crate::graph::Act;
use crate::plan::ConvShape;
use crate::simd::{Isa, LANES, Line, Portable, Simd, Vectorized, zeroed_lines};

/// A prepared depthwise convolution.
pub(super) struct Depthwise {
    label: String,
    input: Operand,
    output: Operand,
    epilogue: Epilogue,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    weights: Vec<Line>,
    bias: Vec<Line>,
    row: RowKernel,
}

struct Row {
    input: *const f32,
    input_row: usize,
    kernel: [usize; 2],
    step: usize,
    weights: *const f32,
    bias: *const f32,
    output: *mut f32,
    residual: *const f32,
    columns: usize,
    bounds: [f32; 2],
    act: Option<Act>,
}

type RowKernel = unsafe fn(&Row);

struct RowWork<'a, const P: usize, const STEP: usize>(&'a Row);

impl<const P: usize, const STEP: usize> Vectorized for RowWork<'_, P, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = self.0;
        let step = if STEP == 0 { row.step } else { STEP };
        let mut x = 0;
        loop {
            // SAFETY: a row has at least P pixels and x + P never exceeds it; shape inference has
            // every window inside the halo.
            unsafe {
                let bias = s.load(row.bias);
                let mut sum = [[bias; 1]; P];
                let mut weights = row.weights;
                for y in 0..row.kernel[0] {
                    let mut from = row.input.add(x * step + y * row.input_row);
                    for _ in 0..row.kernel[1] {
                        let w = s.load(weights);
                        for (p, sum) in sum.iter_mut().enumerate() {
                            sum[0] = s.fma(s.load(from.add(p * step)), w, sum[0]);
                        }
                        weights = weights.add(LANES);
                        from = from.add(LANES);
                    }
                }
                let residual = if row.residual.is_null() { row.residual } else { row.residual.add(x * LANES) };
                finish_tile(s, &sum, row.output.add(x * LANES), 0, residual, 0, row.bounds, row.act);
            }
            if x + P >= row.columns {
                return;
            }
            x = (x + P).min(row.columns - P);
        }
    }
}

/// One row function. A pointer to it has no room for the token that it needs: making the pointer
/// takes one.
fn row_function<S: Simd, const P: usize, const STEP: usize>(_: S) -> RowKernel {
    /// # Safety
    /// A token of type `S` has been made; all of the row's pointers are valid for its columns, of
    /// which there are at least P, and for the window's cells.
    unsafe fn enter<S: Simd, const P: usize, const STEP: usize>(row: &Row) {
        // SAFETY: a pointer to this function comes from `row_function` alone, which was given a
        // token of type `S`.
        unsafe { S::assume() }.vectorize(RowWork::<P, STEP>(row));
    }
    enter::<S, P, STEP>
}

macro_rules! by_pixels {
    ($p:expr, $step:expr, $simd:ident, [$($n:literal)*]) => {
        match ($p, $step) {
            $(
                ($n, 16) => row_function::<_, $n, 16>($simd),
                ($n, 32) => row_function::<_, $n, 32>($simd),
                ($n, _) => row_function::<_, $n, 0>($simd),
            )*
            _ => row_function::<_, 1, 0>($simd),
        }
    };
}

const WIDE: [usize; 8] = [1, 2, 4, 7, 8, 10, 12, 14];
const NARROW: [usize; 4] = [1, 2, 4, 6];

fn row_kernel(isa: Isa, p: usize, step: usize) -> RowKernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => by_pixels!(p, step, avx512, [1 2 4 7 8 10 12 14]),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(avx2) => by_pixels!(p, step, avx2, [1 2 4 6]),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(neon) => by_pixels!(p, step, neon, [1 2 4 6]),
        _ => by_pixels!(p, step, Portable, [1 2 4 6]),
    }
}

impl Depthwise {
    /// Packs `[channels, 1, kh, kw]` weights.
    pub(super) fn new(
        isa: Isa,
        conv: &ConvShape,
        weight: &[f32],
        bias: &[f32],
        input: Operand,
        output: Operand,
        epilogue: Epilogue,
    ) -> Depthwise {
        let isa = isa.vectors();
        assert!(conv.padding.iter().zip(input.map.halo).all(|(&p, h)| p <= h), "the halo holds the padding");
        let columns = output.map.width;
        let cells = conv.kernel[0] * conv.kernel[1];
        let cost = |&p: &usize| columns.div_ceil(p) * (p.max(8) * cells + 2 * p + 4);
        let set: &[usize] = if isa.avx512().is_some() { &WIDE } else { &NARROW };
        let pixels = set.iter().copied().filter(|&p| p <= columns).min_by_key(cost).unwrap_or(1);
        let blocks = output.map.blocks();
        let mut weights = zeroed_lines(blocks * cells * LANES);
        let mut biases = zeroed_lines(blocks * LANES);
        for c in 0..conv.output {
            let (block, lane) = (c / LANES, c % LANES);
            biases[block].0[lane] = bias[c];
            for i in 0..cells {
                weights[block * cells + i].0[lane] = weight[c * cells + i];
            }
        }
        Depthwise {
            label: format!("depthwise {pixels}"),
            input,
            output,
            epilogue,
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            weights,
            bias: biases,
            row: row_kernel(isa, pixels, conv.stride[1] * LANES),
        }
    }
}

impl Kernel for Depthwise {
    fn label(&self) -> &str {
        &self.label
    }

    fn outputs(&self) -> &[Operand] {
        std::slice::from_ref(&self.output)
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.output.map.blocks()
    }

    fn run(&self, unit: &Unit<'_>, task: usize, _: usize, _: &mut [f32]) {
        let (from, to) = (&self.input.map, &self.output.map);
        let (block, image) = (task % to.blocks(), task / to.blocks());
        let corner = from.at(block, 0, 0) - self.padding[0] * from.row - self.padding[2] * LANES;
        let residual = self.epilogue.residual.as_ref();
        for y in 0..to.height {
            let row = Row {
                input: unit.at(&self.input, image).wrapping_add(corner + y * self.stride[0] * from.row),
                input_row: from.row,
                kernel: self.kernel,
                step: self.stride[1] * LANES,
                weights: self.weights[block * self.kernel[0] * self.kernel[1]..].as_ptr().cast(),
                bias: self.bias[block..].as_ptr().cast(),
                output: unit.at(&self.output, image).wrapping_add(to.at(block, y, 0)),
                residual: residual.map_or(std::ptr::null(), |r| unit.at(r, image).wrapping_add(r.map.at(block, y, 0))),
                columns: to.width,
                bounds: self.epilogue.bounds,
                act: self.epilogue.act,
            };
            // SAFETY: `row_function` was given a token of the kernel's instruction set, and P is at
            // most the number of columns. `Unit::at` checked that the maps lie inside the arena;
            // each task has a block of its own.
            unsafe { (self.row)(&row) };
        }
    }
}
