//! The register tile of a direct convolution: number of pixels × output blocks that a row function
//! sums at once, by a model of its cycles.

use crate::simd::Isa;

/// Pixels that tiles of `v` blocks can have, fewest first.
fn tile_pixels(isa: Isa, v: usize) -> &'static [usize] {
    match (isa, v) {
        (Isa::Avx512(_), 1) => &[1, 2, 4, 7, 8, 14],
        (Isa::Avx512(_), 2) => &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
        _ => &[1, 2, 3, 4, 5, 6],
    }
}

/// The tile for rows of `columns` pixels: fewest cycles for a row, by a model of arithmetic, loads
/// and latency. Returns pixels and cost.
pub(super) fn best_tile(isa: Isa, v: usize, columns: usize) -> (usize, f64) {
    let cost = |&p: &usize| {
        let arithmetic = (p * v) as f64 / 2.0;
        let loads = (p + v) as f64 / 2.0;
        // A sum depends on the one before: four cycles, two a cycle. A little for the loop itself.
        columns.div_ceil(p) as f64 * (arithmetic.max(loads).max(4.0) + 0.25)
    };
    let fitting = tile_pixels(isa, v).iter().filter(|&&p| p <= columns);
    let best = fitting.min_by(|a, b| cost(a).total_cmp(&cost(b))).copied().unwrap_or(1);
    (best, cost(&best))
}

/// Blocks of a tile, and how many rows to walk as one where none has a gap: the cheapest by
/// [`best_tile`]'s model.
pub(super) fn best_walk(isa: Isa, [height, width]: [usize; 2], blocks: usize, flat: bool) -> (usize, usize) {
    let widths: &[usize] = match (isa, blocks) {
        (Isa::Avx512(_), 4..) => &[2, 4],
        (Isa::Avx512(_), 2..) => &[2],
        _ => &[1],
    };
    let joins = (1..=height).filter(|&r| r == 1 || (flat && height.is_multiple_of(r)));
    let all = joins.flat_map(|r| widths.iter().map(move |&v| (v, r)));
    let cost = |&(v, r): &(usize, usize)| best_tile(isa, v, width * r).1 / (v * r) as f64;
    all.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or((1, 1))
}

/// First block and width of each tile of `blocks` output blocks.
pub(super) fn cut(blocks: usize, width: usize) -> Vec<(usize, usize)> {
    let mut tiles = vec![];
    let mut first = 0;
    while first < blocks {
        let left = blocks - first;
        let width = if left >= width { width } else { 1 << left.ilog2() };
        tiles.push((first, width));
        first += width;
    }
    tiles
}
