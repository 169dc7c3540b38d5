//! Winograd convolution: F(6×6, 3×3), F(5×5, 3×3) or F(4×4, 3×3).
//!
//! *Shape class*: 3×3, stride 1, dense. *Algorithm*: tiles of the input are transformed, the values of all input channels at each of a tile's
//! 64 (49, 36) points multiplied by transformed weights (7.1, 5.4 or 4 times as large), and the products transformed back, with bias, residual
//! and activation. `vectors` and `tiles` multiply in their own ways and say what lies where. An image's tiles do not depend on its
//! neighbours.

mod apply;
mod tiles;
mod transform;
mod vectors;
mod weights;

use super::dense::DenseSpec;
use super::epilogue::Epilogue;
use super::matrix;
use super::memory::Operand;
use super::pointwise::by_block;
use super::split::Split;
use super::split_int8;
use super::step::Kernel;
use crate::plan::ConvShape;
use crate::simd::{Amx, Isa, LANES, Line};
use transform::{F4, F5, F6, kernel_rows};

/// What operands are made of where products run in AMX tiles: transforms magnify what fewer digits would lose.
pub const DIGITS: Split = Split::Three;

/// A Winograd convolution but for its products.
struct Winograd {
    isa: Isa,
    label: String,
    /// Outputs of a tile's side.
    side: usize,
    padding: [usize; 4],
    input: Operand,
    output: Operand,
    epilogue: Epilogue,
    /// Tiles down and across an image.
    tiles: [usize; 2],
    bias: Vec<Line>,
}

/// Calls a generic function for a tile's size.
macro_rules! by_side {
    ($side:expr, $self:ident.$name:ident($($argument:expr),*)) => {
        match $side {
            6 => $self.$name::<$crate::engine::native::winograd::transform::F6>($($argument),*),
            5 => $self.$name::<$crate::engine::native::winograd::transform::F5>($($argument),*),
            _ => $self.$name::<$crate::engine::native::winograd::transform::F4>($($argument),*),
        }
    };
}
use by_side;

/// Points of a transformed tile.
pub fn points(side: usize) -> usize {
    (side + 2).pow(2)
}

/// Tiles of an output map.
pub fn tiles(side: usize, map: [usize; 2]) -> usize {
    map.iter().map(|n| n.div_ceil(side)).product()
}

const SIDES: [usize; 3] = [4, 5, 6];

fn fits(conv: &ConvShape) -> bool {
    conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.groups == 1 && conv.input >= LANES && conv.output >= LANES
}

/// Whether Winograd is faster than direct convolution by vectors, and with how many outputs a tile's side.
pub fn worthwhile(conv: &ConvShape, output: [usize; 2]) -> Option<usize> {
    // Transforms cost about as much as a product with so many more channels.
    let cost = |side: usize| {
        let (input, output_channels) = (conv.input as f64, conv.output as f64);
        let product = (points(side) * tiles(side, output)) as f64 * input * output_channels;
        product * (1.0 + 7.0 / output_channels + 5.0 / input)
    };
    let direct = (9 * output[0] * output[1]) as f64 * conv.input as f64 * conv.output as f64;
    let best = SIDES.into_iter().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
    best.filter(|&side| fits(conv) && cost(side) * 1.15 < direct)
}

/// What multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// Vectors.
    Vectors,
    /// AMX tiles.
    Tiles(Amx),
}

/// The fastest way where there are AMX tiles, and its cycles for an output pixel by the model of [`matrix`]: outputs of a tile's side, and what
/// multiplies.
pub fn best_beside_tiles(amx: Amx, conv: &ConvShape, output: [usize; 2]) -> Option<(f64, usize, Products)> {
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
pub fn prepare(isa: Isa, side: usize, products: Products, spec: DenseSpec<'_>) -> Box<dyn Kernel> {
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

impl Winograd {
    /// Tiles of so many images.
    fn all(&self, images: usize) -> usize {
        images * self.tiles[0] * self.tiles[1]
    }

    /// Image and first output row and column of a tile.
    fn tile(&self, index: usize) -> (usize, usize, usize) {
        let per_image = self.tiles[0] * self.tiles[1];
        let (image, t) = (index / per_image, index % per_image);
        (image, t / self.tiles[1] * self.side, t % self.tiles[1] * self.side)
    }
}
