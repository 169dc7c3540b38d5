//! The tiling of a map, and what all ways of multiplying share.

use crate::engine::native::epilogue::Epilogue;
use crate::engine::native::memory::Operand;
use crate::engine::native::split::Split;
use crate::simd::{Isa, Line};

/// The split of operands where products run in AMX tiles: transforms magnify the losses of fewer
/// digits.
pub(crate) const DIGITS: Split = Split::Three;

/// A Winograd convolution but for its products.
pub(super) struct Winograd {
    pub isa: Isa,
    pub label: String,
    /// Outputs of a tile's side.
    pub side: usize,
    pub padding: [usize; 4],
    pub input: Operand,
    pub output: Operand,
    pub epilogue: Epilogue,
    /// Tiles down and across an image.
    pub tiles: [usize; 2],
    pub bias: Vec<Line>,
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
pub(super) use by_side;

/// Points of a transformed tile.
pub(crate) fn points(side: usize) -> usize {
    (side + 2).pow(2)
}

/// Tiles of an output map.
pub(crate) fn tiles(side: usize, map: [usize; 2]) -> usize {
    map.iter().map(|n| n.div_ceil(side)).product()
}

impl Winograd {
    /// Number of tiles of `images` images.
    pub(super) fn all(&self, images: usize) -> usize {
        images * self.tiles[0] * self.tiles[1]
    }

    /// Image and first output row and column of a tile.
    pub(super) fn tile(&self, index: usize) -> (usize, usize, usize) {
        let per_image = self.tiles[0] * self.tiles[1];
        let (image, t) = (index / per_image, index % per_image);
        (image, t / self.tiles[1] * self.side, t % self.tiles[1] * self.side)
    }
}
