//! How the output pixels of a convolution are cut into tiles of equally many rows.

use std::ops::Range;

use crate::engine::native::finish::Segment;
use crate::simd::TILE_ROWS;

/// Geometry of some rows of output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// Rows of output.
    pub count: usize,
    /// Columns of output.
    pub width: usize,
    /// Pixels from row to row of the input.
    pub pitch: usize,
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
}

/// The one or two tiles that the weights of an output pair are used for at a time.
pub(super) struct Group {
    /// Input pixels from the first window's to each tile's.
    pub tiles: [Option<usize>; 2],
    /// Segments that its rows belong to.
    pub segments: Range<usize>,
}

/// All tiles of some rows of output.
pub(super) struct Layout {
    /// Rows of a tile.
    pub rows: usize,
    /// Pairs of tiles.
    pub groups: Vec<Group>,
    /// Targets of the rows of all groups, images and rows counted from the first; a segment's `row`
    /// is that in its group's sums.
    pub segments: Vec<Segment>,
}

/// Number of tiles for `positions` positions, and their rows. An even number, as two share the
/// weights.
fn cut(positions: usize) -> (usize, usize) {
    let tiles = match positions.div_ceil(TILE_ROWS) {
        1 => 1,
        n => n.next_multiple_of(2),
    };
    let rows = positions.div_ceil(tiles);
    (positions.div_ceil(rows), rows)
}

/// Approximate cycles of a step of `tiles` tiles with `rows` rows, two at a time: four products, or
/// reading the weights.
fn cost((tiles, rows): (usize, usize)) -> usize {
    tiles / 2 * (4 * rows + 12).max(52) + tiles % 2 * (2 * rows + 12).max(40)
}

impl Layout {
    /// Approximate cycles of a step of all tiles.
    pub(super) fn cost(&self) -> usize {
        cost((self.groups.iter().flat_map(|group| group.tiles).flatten().count(), self.rows))
    }

    /// Rows one by one, or, where pixels below one another are a row's distance apart, all as one
    /// row whose halo's columns go by unused: whatever takes less time.
    pub(super) fn new(of: Rows) -> Layout {
        let Rows { count, width, pitch, stride: [down, across] } = of;
        let (each, all) = (cut(width), cut((count - 1) * pitch + width));
        let as_one = down == 1 && across == 1 && width <= pitch && cost(all) <= count * cost(each);
        // Positions that are walked at once, how many lie between rows of output, and how many such
        // walks there are.
        let ((tiles, rows), positions, line, walks) =
            if as_one { (all, (count - 1) * pitch + width, pitch, 1) } else { (each, width, width, count) };
        let starts = (0..walks).flat_map(|y| (0..tiles).map(move |t| (y, (t * rows).min(positions - rows), t * rows)));
        let starts: Vec<_> = starts.collect();
        let mut layout = Layout { rows, groups: vec![], segments: vec![] };
        for pair in starts.chunks(2) {
            let first = layout.segments.len();
            for (i, &(walk, start, fresh)) in pair.iter().enumerate() {
                // Positions that the tile before had are left out.
                let mut position = fresh;
                while position < start + rows {
                    let (y, x) = (position / line, position % line);
                    let len = (start + rows - position).min(line - x);
                    if x < width {
                        let row = i * TILE_ROWS + position - start;
                        layout.segments.push(Segment { row, image: 0, y: walk + y, x, len: len.min(width - x) });
                    }
                    position += len;
                }
            }
            let pixel = |&(walk, start, _): &(usize, usize, usize)| walk * down * pitch + start * across;
            layout.groups.push(Group { tiles: [pair.first().map(pixel), pair.get(1).map(pixel)], segments: first..layout.segments.len() });
        }
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel once, where its tile has it.
    #[test]
    fn tiles_cover_every_pixel_once() {
        for (count, width, halo) in [
            (1, 1, 0),
            (7, 7, 1),
            (7, 7, 0),
            (14, 14, 1),
            (56, 56, 1),
            (3, 5, 2),
            (5, 17, 3),
            (28, 28, 0),
            (4, 6, 0),
            (2, 33, 0),
            (1, 16, 1),
        ] {
            // Padding on both sides of a narrow window makes rows of output longer than those of
            // input.
            for stride in [[1, 1], [2, 2], [1, 2], [2, 1], [3, 4]] {
                let pitch = (width - 1) * stride[1] + halo;
                let layout = Layout::new(Rows { count, width, pitch, stride });
                let mut seen = vec![0; count * width];
                assert!((1..=TILE_ROWS).contains(&layout.rows));
                for group in &layout.groups {
                    for segment in &layout.segments[group.segments.clone()] {
                        for i in 0..segment.len {
                            let (tile, row) = ((segment.row + i) / TILE_ROWS, (segment.row + i) % TILE_ROWS);
                            assert!(row < layout.rows, "a row of the tile");
                            let pixel = group.tiles[tile].unwrap() + row * stride[1];
                            assert_eq!(pixel, segment.y * stride[0] * pitch + (segment.x + i) * stride[1], "{count}×{width} {stride:?}");
                            seen[segment.y * width + segment.x + i] += 1;
                        }
                    }
                    let last = group.tiles.iter().flatten().max().unwrap() + (layout.rows - 1) * stride[1];
                    assert!(last <= (count - 1) * stride[0] * pitch + (width - 1) * stride[1], "no tile reaches behind the last pixel");
                }
                assert!(seen.iter().all(|&n| n == 1), "{count}×{width}, halo {halo}, {stride:?}: {seen:?}");
            }
        }
    }
}
