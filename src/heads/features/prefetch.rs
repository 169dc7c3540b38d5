//! Prefetching: rows of a cache larger than memory are read from disk while earlier rows are
//! processed.

use crate::heads::features::order::{blocks, window_rows};
use crate::heads::features::table::FeatureTable;

/// Rows that a thread reads at a time.
pub(crate) const BLOCK: usize = 256;
/// Parts in which a window of rows ([`window_rows`]), of 256 MiB of f32, is read where their order
/// is given.
const PARTS: usize = 4;
/// Parts in which a window is asked for while another one is read in any order.
const SLICES: usize = 16;

/// Whether a table may exceed memory: more than 4 GiB of f32. Such a table is worth reading as
/// seldom as possible.
pub(crate) fn is_large(rows: usize, dim: usize) -> bool {
    rows.saturating_mul(dim) > 1 << 30
}

/// Some rows in their order, in parts. A table larger than a window comes in parts of whole blocks
/// ([`BLOCK`]), each prefetched while the one before is processed.
pub(crate) fn in_parts<'r>(table: &'r dyn FeatureTable, rows: &'r [usize]) -> impl Iterator<Item = &'r [usize]> {
    let window = window_rows(table.stored_dim());
    let size = if table.rows() > window { window.div_ceil(PARTS).next_multiple_of(BLOCK) } else { rows.len().max(1) };
    let mut parts = rows.chunks(size).peekable();
    parts.peek().iter().for_each(|first| table.will_read(first));
    std::iter::from_fn(move || {
        let part = parts.next()?;
        parts.peek().iter().for_each(|next| table.will_read(next));
        Some(part)
    })
}

/// Calls `each` with every row of a table and its features.
pub(crate) fn for_each_row(table: &dyn FeatureTable, rows: &[usize], mut each: impl FnMut(usize, &mut [f32])) {
    let mut x = vec![0.0; table.dim()];
    for &row in in_parts(table, rows).flatten() {
        table.read(row, 0..x.len(), &mut x);
        each(row, &mut x);
    }
}

/// The training rows of an epoch, prefetched one window ahead. Rows within a window are read in any
/// order, so a whole window has to be present; it is requested in the order in which it is stored.
pub(crate) struct Prefetch<'a> {
    table: &'a dyn FeatureTable,
    rows: Vec<usize>,
    asked: usize,
    /// Whether the rows exceed a window.
    is_long: bool,
    /// Number of rows of the largest window, which holds at least a whole block.
    window: usize,
}

impl<'a> Prefetch<'a> {
    /// For the epoch whose order of training rows [`crate::heads::features::order::order`] gives.
    pub(crate) fn new(table: &'a dyn FeatureTable, train: &[usize], (seed, epoch): (u64, usize)) -> Prefetch<'a> {
        let window = window_rows(table.dim());
        let is_long = train.len() > window;
        let rows = match epoch {
            // The stored values of a window are more than may be requested.
            _ if table.stored_dim() > table.dim() => vec![],
            _ if is_long => blocks(seed, epoch, train, table.block_rows()).concat(),
            0 => train.to_vec(),
            // It was read before and is small enough to be still in memory most likely.
            _ => vec![],
        };
        Prefetch { table, rows, asked: 0, is_long, window: window.max(table.block_rows()) }
    }

    /// Number of rows after which more are requested.
    pub(crate) fn stride(&self) -> usize {
        if self.is_long { window_rows(self.table.dim()).div_ceil(SLICES) } else { usize::MAX }
    }

    /// Requests the next rows before the first `read` rows of the epoch's order are read.
    pub(crate) fn before(&mut self, read: usize) {
        // One slice more, since a slice is requested only as a whole.
        let slice = self.stride();
        let until = read.saturating_add(self.window).saturating_add(slice).min(self.rows.len());
        if until > self.asked && (until == self.rows.len() || until - self.asked >= slice) {
            self.table.will_read(&self.rows[self.asked..until]);
            self.asked = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Mutex;

    use super::*;
    use crate::heads::features::order::order;

    /// A table that remembers what was asked of it, and of which nothing is read that was not.
    struct Disk {
        rows: usize,
        block: usize,
        asked: Mutex<Vec<usize>>,
    }

    fn disk(rows: usize, block: usize) -> Disk {
        Disk { rows, block, asked: Mutex::default() }
    }

    impl FeatureTable for Disk {
        fn rows(&self) -> usize {
            self.rows
        }

        fn dim(&self) -> usize {
            1 << 20
        }

        fn read(&self, row: usize, _: Range<usize>, _: &mut [f32]) {
            assert!(self.asked.lock().unwrap().contains(&row), "row {row} was not asked for");
        }

        fn will_read(&self, rows: &[usize]) {
            self.asked.lock().unwrap().extend_from_slice(rows);
        }

        fn block_rows(&self) -> usize {
            self.block
        }
    }

    #[test]
    fn every_row_is_asked_for_once_and_before_it_is_read() {
        for (count, parts) in [(50, 1), (1000, 3)] {
            let disk = disk(count, 8);
            let rows: Vec<usize> = (0..count).filter(|row| row % 3 != 0).collect();
            let seen: Vec<&[usize]> = in_parts(&disk, &rows).inspect(|part| disk.read(part[part.len() - 1], 0..0, &mut [])).collect();
            assert_eq!((seen.len(), &seen.concat(), &*disk.asked.lock().unwrap()), (parts, &rows, &rows));
        }
        assert_eq!(in_parts(&disk(50, 8), &[]).count(), 0);
    }

    #[test]
    fn a_window_is_asked_for_while_the_one_before_is_read() {
        let window = window_rows(1 << 20);
        for (count, block, epochs) in [(40, 8, 2), (1000, 8, 3), (1000, 100, 1)] {
            let train: Vec<usize> = (0..count).filter(|row| row % 5 != 0).collect();
            for epoch in 0..epochs {
                let disk = disk(count, block);
                let mut prefetch = Prefetch::new(&disk, &train, (3, epoch));
                let order = order(3, epoch, &train, block, window);
                for (batch, rows) in order.chunks(7).enumerate() {
                    prefetch.before(batch * 7 + rows.len());
                    if train.len() > window || epoch == 0 {
                        rows.iter().for_each(|&row| disk.read(row, 0..0, &mut []));
                        assert!(
                            disk.asked.lock().unwrap().len() <= batch * 7 + rows.len() + window.max(block) + 4,
                            "hardly more than a window prefetch"
                        );
                    }
                }
                let mut asked = disk.asked.into_inner().unwrap();
                asked.sort_unstable();
                assert_eq!(asked, if train.len() > window || epoch == 0 { train.clone() } else { vec![] });
            }
        }
    }
}
