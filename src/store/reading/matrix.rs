//! Features of one tap and view, straight from mapped shards.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ndarray::Array2;

use super::checked;
use super::sound::suspect;
use crate::Result;
use crate::store::disk::dtype::Dtype;
use crate::store::disk::manifest::{ShardInfo, Tap};
use crate::store::disk::shard::Shard;

/// Bytes between two rows that are rather read with them than left out.
const GAP: usize = 64 << 10;

/// The files behind a matrix.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    infos: Vec<ShardInfo>,
    /// Whether they were compared with their digests.
    checked: OnceLock<()>,
}

impl Files {
    pub(super) fn new(folder: &Path, infos: Vec<ShardInfo>) -> Files {
        Files { folder: folder.into(), infos, checked: OnceLock::new() }
    }
}

/// Features of one tap and view, `[len, shape…]`, over mapped shards.
#[derive(Debug)]
pub struct FeatureMatrix {
    shape: Vec<usize>,
    dtype: Dtype,
    files: Files,
    shards: Vec<Shard>,
    row_ids: Vec<u64>,
    /// Shard and index within it, for each row.
    places: Vec<(u32, u32)>,
}

impl FeatureMatrix {
    pub(super) fn new(Tap { shape, dtype }: Tap, files: Files, shards: Vec<Shard>, counts: impl Fn(u64) -> bool) -> FeatureMatrix {
        let mut found: Vec<(u64, (u32, u32))> = vec![];
        for (s, shard) in shards.iter().enumerate() {
            let rows = shard.rows.iter().enumerate().filter(|(_, row)| counts(**row));
            found.extend(rows.map(|(i, &row)| (row, (s as u32, i as u32))));
        }
        found.sort_unstable();
        let (row_ids, places) = found.into_iter().unzip();
        FeatureMatrix { shape, dtype, files, shards, row_ids, places }
    }

    /// Compares each of its shards with its digest, unless this was done before, by this process or
    /// another one (see `docs/cache-format.md`). Asked before the first row is read.
    ///
    /// # Errors
    /// A shard that is not as it was written.
    pub(crate) fn check(&self) -> Result<()> {
        if self.files.checked.get().is_none() {
            checked::check(&self.files.folder, &self.files.infos)?;
            self.files.checked.get_or_init(|| ());
        }
        self.intact()
    }

    /// Whether all of its files could be read so far: what the disk cannot read, and what was cut
    /// short since it was opened, reads as zeros. Asked before anything that was computed from rows
    /// counts; costs next to nothing.
    ///
    /// # Errors
    /// The first file that could not be read.
    pub(crate) fn intact(&self) -> Result<()> {
        match self.shards.iter().zip(&self.files.infos).find(|(shard, _)| shard.is_broken()) {
            None => Ok(()),
            Some((shard, info)) => {
                let path = self.files.folder.join(&info.file);
                suspect(&path);
                shard.check(&path)
            }
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.row_ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.row_ids.is_empty()
    }

    /// Shape of one row: `[D]`, or `[C, H, W]` for a map.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values of one row.
    pub fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// Type of the stored values.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Row numbers, ascending: what `rows.csv` calls them.
    pub fn row_ids(&self) -> &[u64] {
        &self.row_ids
    }

    /// Copies the rows at `positions` (indices into [`FeatureMatrix::row_ids`]) into `out`,
    /// `[positions.len(), dim]`, as f32.
    ///
    /// # Panics
    /// If a position is out of range or `out` has another length.
    pub fn gather(&self, positions: &[usize], out: &mut [f32]) {
        assert_eq!(out.len(), positions.len() * self.dim(), "one row of `out` for each position");
        for (&position, row) in positions.iter().zip(out.chunks_exact_mut(self.dim().max(1))) {
            let (shard, index) = self.place(position);
            self.dtype.decode(shard.row_bytes(index), row);
        }
    }

    /// The row at a position where values are stored as f32: straight from the mapped file.
    pub fn row(&self, position: usize) -> Option<&[f32]> {
        let (shard, index) = self.place(position);
        shard.values(index, index + 1)
    }

    /// Where a row lies.
    fn place(&self, position: usize) -> (&Shard, usize) {
        let (shard, index) = self.places[position];
        (&self.shards[shard as usize], index as usize)
    }

    /// Tells the system which positions will be read soon, neighbours side by side: asked for
    /// together, what is on disk comes many times as fast as page by page.
    pub(crate) fn will_read(&self, positions: &[usize]) {
        let most = 1 + GAP / (self.dim() * self.dtype.size()).max(1);
        let near = |&a: &usize, &b: &usize| {
            let ((shard, first), (other, second)) = (self.places[a], self.places[b]);
            shard == other && second > first && (second - first) as usize <= most
        };
        for run in positions.chunk_by(near) {
            let ((shard, first), (_, last)) = (self.place(run[0]), self.place(run[run.len() - 1]));
            shard.will_need(first, last + 1);
        }
    }

    /// Copies some columns of the row at a position into `out`, as f32.
    ///
    /// # Panics
    /// If the position or a column is out of range, or `out` is not as long as `columns`.
    pub fn read(&self, position: usize, columns: std::ops::Range<usize>, out: &mut [f32]) {
        assert_eq!(out.len(), columns.len(), "one value of `out` for each column");
        let (shard, index) = self.place(position);
        let bytes = shard.row_bytes(index);
        self.dtype.decode(&bytes[columns.start * self.dtype.size()..columns.end * self.dtype.size()], out);
    }

    /// The rows at `positions` as a matrix of their own.
    pub(crate) fn rows(&self, positions: &[usize]) -> Array2<f32> {
        let mut out = Array2::zeros((positions.len(), self.dim()));
        self.will_read(positions);
        if let Some(slice) = out.as_slice_mut() {
            self.gather(positions, slice);
        }
        out
    }
}
