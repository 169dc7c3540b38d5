//! The layout of a weight matrix in memory: the very order in which a pass reads it.
//!
//! Rows are inputs (in tiles of eight), columns outputs (in vectors of sixteen). Eight tiles make a
//! block; within a block come the panels of up to nine vectors, within a panel the tiles, within a
//! tile its rows: a pass over the weights and their optimiser states streams forward through
//! memory, and a block's features and a panel's gradients stay in the first-level cache meanwhile.

use crate::simd::LANES;

/// Rows of a tile.
pub(super) const TILE: usize = 8;
/// Tiles of a block.
pub(super) const BLOCK: usize = 8;
/// Largest number of vectors of a panel, all of which the sparse pass sums at once.
pub(super) const PANEL: usize = 9;
/// Largest number of vectors of a part of a panel, all of which the dense pass sums at once.
const PART: usize = 3;

/// Geometry of one weight matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Number of rows without padding.
    pub inputs: usize,
    /// Number of columns without padding.
    pub outputs: usize,
}

/// Some neighbouring vectors of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panel {
    /// First vector.
    pub first: usize,
    /// Number of vectors.
    pub vectors: usize,
}

impl Panel {
    /// Its parts from left to right, counted from its own first vector.
    pub(super) fn parts(self) -> impl Iterator<Item = Panel> + Clone {
        even(self.vectors, PART)
    }
}

/// Cuts `vectors` into as few and as even pieces as possible.
fn even(vectors: usize, most: usize) -> impl Iterator<Item = Panel> + Clone {
    let pieces = vectors.div_ceil(most);
    (0..pieces).map(move |p| {
        let first = p * vectors / pieces;
        Panel { first, vectors: (p + 1) * vectors / pieces - first }
    })
}

impl Layout {
    /// Number of tiles, the last one padded with zeros.
    pub(super) const fn tiles(self) -> usize {
        self.inputs.div_ceil(TILE)
    }

    /// Number of vectors of columns, the last one padded with zeros.
    pub(super) const fn vectors(self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    /// Number of columns including padding.
    pub(super) const fn columns(self) -> usize {
        self.vectors() * LANES
    }

    /// Number of values including padding.
    pub(super) const fn len(self) -> usize {
        self.tiles() * TILE * self.columns()
    }

    /// Panels from left to right: as few and as even as possible.
    pub(super) fn panels(self) -> impl Iterator<Item = Panel> + Clone {
        even(self.vectors(), PANEL)
    }

    /// Offset of a block.
    pub(super) const fn block(self, block: usize) -> usize {
        block * BLOCK * TILE * self.columns()
    }

    /// Tiles of a block: eight, or what is left.
    pub(super) fn tiles_of(self, block: usize) -> usize {
        (self.tiles() - block * BLOCK).min(BLOCK)
    }

    /// Number of blocks.
    pub(super) const fn blocks(self) -> usize {
        self.tiles().div_ceil(BLOCK)
    }

    /// Calls `place(input, first output, position)` for every run of up to sixteen outputs of a row
    /// that lie side by side in memory, for the blocks of a range.
    pub(super) fn runs(self, blocks: std::ops::Range<usize>, mut place: impl FnMut(usize, usize, usize)) {
        for block in blocks {
            let tiles = self.tiles_of(block);
            for panel in self.panels() {
                let start = self.block(block) + panel.first * LANES * TILE * tiles;
                for row in 0..tiles * TILE {
                    let input = block * BLOCK * TILE + row;
                    if input < self.inputs {
                        (0..panel.vectors).for_each(|v| place(input, (panel.first + v) * LANES, start + (row * panel.vectors + v) * LANES));
                    }
                }
            }
        }
    }

    /// Calls `square(first input, columns of the panel, first output, position)` for every sixteen
    /// inputs by sixteen outputs of some blocks: rows lie a panel's columns apart. There are fewer
    /// inputs where a block ends.
    pub(super) fn squares(self, blocks: std::ops::Range<usize>, mut square: impl FnMut(usize, usize, usize, usize)) {
        for block in blocks {
            let rows = self.tiles_of(block) * TILE;
            for panel in self.panels() {
                let (start, width) = (self.block(block) + panel.first * LANES * rows, panel.vectors * LANES);
                for (row, v) in (0..rows).step_by(LANES).flat_map(|row| (0..panel.vectors).map(move |v| (row, v))) {
                    square(block * BLOCK * TILE + row, width, (panel.first + v) * LANES, start + row * width + v * LANES);
                }
            }
        }
    }

    /// Calls `place(input, output, position)` for every value of some blocks, positions counted
    /// from the first of them.
    pub(super) fn values(self, blocks: std::ops::Range<usize>, mut place: impl FnMut(usize, usize, usize)) {
        let start = self.block(blocks.start);
        self.runs(blocks, |input, output, at| {
            (0..LANES.min(self.outputs - output)).for_each(|lane| place(input, output + lane, at - start + lane))
        });
    }

    /// The matrix `[outputs, inputs]` without padding.
    #[cfg(test)]
    pub(super) fn to_matrix(self, layout: &[f32]) -> Vec<f32> {
        let mut matrix = vec![0.0; self.inputs * self.outputs];
        self.values(0..self.blocks(), |input, output, at| matrix[output * self.inputs + input] = layout[at]);
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_comes_back_from_its_layout() {
        for (inputs, outputs) in [(1, 1), (8, 16), (37, 133), (100, 70), (33, 16)] {
            let layout = Layout { inputs, outputs };
            let matrix: Vec<f32> = (0..inputs * outputs).map(|i| i as f32 + 1.0).collect();
            let mut values = vec![0.0; layout.len()];
            layout.values(0..layout.blocks(), |input, output, at| values[at] = matrix[output * inputs + input]);
            assert_eq!(layout.to_matrix(&values), matrix);
            assert_eq!(values.iter().filter(|&&v| v != 0.0).count(), matrix.len());
        }
    }

    #[test]
    fn panels_cover_the_columns_and_are_alike() {
        let widths = |outputs| Layout { inputs: 1, outputs }.panels().map(|p| p.vectors).collect::<Vec<_>>();
        assert_eq!(widths(133), [9]);
        assert_eq!(widths(2), [1]);
        assert_eq!(widths(256), [8, 8]);
        assert_eq!(widths(180).iter().sum::<usize>(), 12);
        let parts = |vectors| Panel { first: 5, vectors }.parts().map(|p| (p.first, p.vectors)).collect::<Vec<_>>();
        assert_eq!(parts(9), [(0, 3), (3, 3), (6, 3)]);
        assert_eq!(parts(4), [(0, 2), (2, 2)]);
    }
}
