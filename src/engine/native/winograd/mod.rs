//! Winograd convolution: F(6×6, 3×3), F(5×5, 3×3) or F(4×4, 3×3).
//!
//! | file | what for |
//! |---|---|
//! | `tiling.rs` | the tiling of a map, and the data that all ways of multiplying share |
//! | `transform.rs`, `apply.rs` | the transforms of one tile; of all tiles of a map |
//! | `weights.rs` | weights transformed and packed |
//! | `vectors.rs`, `tiles.rs` | the products, by vectors and in AMX tiles, and the layout that each needs |
//!
//! *Shape class*: 3×3, stride 1, dense. *Algorithm*: tiles of the input are transformed, the values
//! of all input channels at each of a tile's 64 (49, 36) points multiplied by transformed weights
//! (7.1, 5.4 or 4 times as large), and the products transformed back, with bias, residual and
//! activation. An image's tiles do not depend on its neighbours.

mod apply;
mod tiles;
mod tiling;
mod transform;
mod vectors;
mod weights;

use super::dense::DenseSpec;
use super::matrix;
use super::pointwise::by_block;
use super::split_int8;
use super::step::Kernel;
use crate::plan::ConvShape;
use crate::simd::{Amx, Isa, LANES};
use tiling::Winograd;
use transform::{F4, F5, F6, kernel_rows};

pub(super) use tiling::{DIGITS, points, tiles};

const SIDES: [usize; 3] = [4, 5, 6];

fn fits(conv: &ConvShape) -> bool {
    conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.groups == 1 && conv.input >= LANES && conv.output >= LANES
}

/// Number of outputs of a tile's side with which Winograd is faster than direct convolution by
/// vectors, if it is.
pub(super) fn worthwhile(conv: &ConvShape, output: [usize; 2]) -> Option<usize> {
    // Transforms cost about as much as a product with a few more channels.
    let cost = |side: usize| {
        let (input, output_channels) = (conv.input as f64, conv.output as f64);
        let product = (points(side) * tiles(side, output)) as f64 * input * output_channels;
        product * (1.0 + 7.0 / output_channels + 5.0 / input)
    };
    let direct = (9 * output[0] * output[1]) as f64 * conv.input as f64 * conv.output as f64;
    let best = SIDES.into_iter().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
    best.filter(|&side| fits(conv) && cost(side) * 1.15 < direct)
}

/// The unit that multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Products {
    /// Vectors.
    Vectors,
    /// AMX tiles.
    Tiles(Amx),
}

/// The fastest way where there are AMX tiles, and its cycles for an output pixel by the model of
/// [`matrix`]: outputs of a tile's side, and the unit that multiplies.
pub(super) fn best_beside_tiles(amx: Amx, conv: &ConvShape, output: [usize; 2]) -> Option<(f64, usize, Products)> {
    let cost = |side: usize, products: Products| {
        let (pixels, tiles) = ((output[0] * output[1]) as f64, tiles(side, output) as f64);
        let whole = output.iter().map(|n| n / side).product::<usize>() as f64;
        let (input, outputs) = (conv.input.next_multiple_of(LANES) as f64, conv.output.next_multiple_of(LANES) as f64);
        // Windows that reach over the edge are copied first.
        let transforms = (input + outputs) * (1.0 + (tiles - whole) / tiles);
        let each = match products {
            Products::Vectors => 0.0525 * input * outputs + 0.7 * transforms,
            Products::Tiles(_) => {
                let (deep, wide) =
                    ((split_int8::steps(conv.input) * split_int8::DEEP) as f64, conv.output.next_multiple_of(2 * LANES) as f64);
                matrix::product(DIGITS, deep, wide) + matrix::weights(DIGITS, deep, wide) / 96.0 + transforms
            }
        };
        points(side) as f64 * tiles * each / pixels
    };
    let all =
        SIDES.into_iter().flat_map(|side| [Products::Vectors, Products::Tiles(amx)].map(|products| (cost(side, products), side, products)));
    all.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|_| fits(conv))
}

/// Transforms weights.
pub(super) fn prepare(isa: Isa, side: usize, products: Products, spec: DenseSpec<'_>) -> Box<dyn Kernel> {
    let DenseSpec { conv, weight, bias, input, output, epilogue } = spec;
    let rows = match side {
        6 => kernel_rows::<F6>(),
        5 => kernel_rows::<F5>(),
        _ => kernel_rows::<F4>(),
    };
    let winograd = Winograd {
        isa,
        label: format!("winograd {side}×{side}"),
        side,
        padding: conv.padding,
        input,
        output,
        epilogue,
        tiles: [output.map.height.div_ceil(side), output.map.width.div_ceil(side)],
        bias: by_block(bias),
    };
    match products {
        Products::Tiles(amx) => Box::new(tiles::InTiles::new(amx, winograd, weights::pack_tiles(&conv, weight, &rows))),
        Products::Vectors => Box::new(vectors::ByVectors::new(winograd, weights::pack_vectors(isa, &conv, weight, &rows))),
    }
}
