//! The order of rows in an epoch.

use crate::heads::streams::ORDER;
use crate::rng::Philox;

/// The order of rows in an epoch.
///
/// Rows that take more memory than a window are shuffled hierarchically: blocks of neighbouring
/// rows (shards) are shuffled and gathered into windows, and rows are shuffled within each window.
/// The order does not depend on the machine's memory, and no more than a window is in use at a
/// time.
pub(crate) fn order(seed: u64, epoch: usize, rows: &[usize], block_rows: usize, window_rows: usize) -> Vec<usize> {
    let philox = Philox::new(seed, ORDER);
    let mut order = rows.to_vec();
    if rows.len() <= window_rows {
        philox.draws([epoch as u32, 0]).shuffle(&mut order);
        return order;
    }
    let blocks = blocks(seed, epoch, rows, block_rows);
    order.clear();
    let mut start = 0;
    for (window, block) in blocks.iter().enumerate() {
        order.extend_from_slice(block);
        let is_last = window + 1 == blocks.len();
        if is_last || order.len() - start + blocks[window + 1].len() > window_rows {
            philox.draws([epoch as u32, window as u32 + 1]).shuffle(&mut order[start..]);
            start = order.len();
        }
    }
    order
}

/// The blocks of neighbouring rows in the order in which [`order`] visits them if it takes more
/// than one window.
pub(crate) fn blocks(seed: u64, epoch: usize, rows: &[usize], block_rows: usize) -> Vec<&[usize]> {
    let mut blocks: Vec<&[usize]> = rows.chunk_by(|a, b| a / block_rows == b / block_rows).collect();
    Philox::new(seed, ORDER).draws([epoch as u32, 0]).shuffle(&mut blocks);
    blocks
}

/// Rows of `dim` features that are shuffled together: 256 MiB of f32.
pub(crate) const fn window_rows(dim: usize) -> usize {
    let rows = (256 << 20) / 4 / if dim == 0 { 1 } else { dim };
    if rows == 0 { 1 } else { rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_table_is_shuffled_window_by_window_and_loses_no_row() {
        let rows: Vec<usize> = (0..1000).filter(|r| r % 3 != 0).collect();
        let order = order(5, 2, &rows, 100, 250);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
        assert_ne!(order, rows);
        let mut blocks: Vec<usize> = order.iter().take(150).map(|r| r / 100).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert!(blocks.len() <= 3, "the first window reads {blocks:?}");
        assert_ne!(order, super::order(5, 3, &rows, 100, 250));
        assert_eq!(order, super::order(5, 2, &rows, 100, 250));
    }
}
