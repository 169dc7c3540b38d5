//! Reading a cache: rows from `rows.csv`, features straight from mapped shards.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ndarray::{Array2, ArrayView2};

use super::manifest::{Manifest, ShardInfo, Tap};
use super::rows::{Row, Status};
use super::shard::{RECOMPUTE, Shard};
use super::{Dtype, MANIFEST, checked, commit, verify};
use crate::data::Split;
use crate::{Error, Result};

/// Bytes between two rows that are rather read with them than left out.
const GAP: usize = 64 << 10;

/// A cache opened for reading. A writer may work on the same folder meanwhile: what was opened stays as it was.
///
/// ```no_run
/// use headstart::Cache;
///
/// let cache = Cache::open("cache/photos/resnet18@0123456789ab")?;
/// let features = cache.features("gap", 0)?;
/// let mut rows = vec![0.0; features.dim()];
/// features.gather(&[0], &mut rows);
/// println!("{} rows; {}: {rows:?}", features.len(), cache.rows()[0].path);
/// # Ok::<(), headstart::Error>(())
/// ```
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    manifest: Manifest,
    rows: Vec<Row>,
}

/// Features and labels of one split, all in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Row numbers, ascending.
    pub rows: Vec<u64>,
    /// Labels of each row: indices into the manifest's classes.
    pub labels: Vec<Vec<usize>>,
    /// `[rows, dim]`.
    pub features: Array2<f32>,
}

impl Cache {
    /// Opens the cache in `folder`.
    ///
    /// # Errors
    /// No cache there, or a damaged one: the message names the file and the way out.
    pub fn open(folder: impl AsRef<Path>) -> Result<Cache> {
        let folder = folder.as_ref();
        let (manifest, rows) = commit::read(folder)?;
        Ok(Cache { folder: folder.into(), manifest, rows })
    }

    /// Opens the cache in `folder` and reads from it what `act` wants; once more where another process changed it meanwhile.
    ///
    /// # Errors
    /// As [`Cache::open`], and those of `act` where nothing changed.
    pub fn with<T>(folder: impl AsRef<Path>, act: impl Fn(&Cache) -> Result<T>) -> Result<T> {
        const TRIES: usize = 20;
        let mut tries = 0;
        loop {
            let cache = Cache::open(&folder)?;
            tries += 1;
            match act(&cache) {
                Err(_) if tries < TRIES && Manifest::read(&cache.folder).is_ok_and(|now| now != cache.manifest) => {}
                done => return done,
            }
        }
    }

    /// The cache's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the cache holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All rows by number, failed and deleted ones included.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether all that is decided by the digests of all images is decided: a part of an extraction has no splits before it is merged, and its copies
    /// are still in train.
    ///
    /// # Errors
    /// A part: names what is open, and the way out.
    pub fn settled(&self) -> Result<()> {
        let open = self.rows.iter().filter(|r| r.status == Status::Ok && r.split.is_none()).count();
        let problem = if open > 0 {
            format!("is one part of an extraction: {open} of its images have no split yet")
        } else if self.manifest.deferred.dedupe {
            "is one part of an extraction: copies are not taken out of train yet".to_string()
        } else {
            return Ok(());
        };
        let hint = "join all parts with `headstart merge`, which settles that, or run `headstart features` over all of the data";
        Err(Error::cache(&self.folder, problem, hint))
    }

    /// One row by number.
    pub fn row(&self, number: u64) -> Option<&Row> {
        self.rows.binary_search_by_key(&number, |r| r.row).ok().map(|i| &self.rows[i])
    }

    /// Features of one tap and view: every row that counts and has them, ascending.
    ///
    /// # Errors
    /// A tap or view that is not there; a missing, truncated or damaged shard.
    pub fn features(&self, tap: &str, view: u32) -> Result<FeatureMatrix> {
        let about = self.manifest.tap(tap)?;
        let infos: Vec<&ShardInfo> = self.manifest.shards_of(tap, view).collect();
        if infos.is_empty() {
            let views: Vec<String> = self.manifest.views(tap).iter().map(u32::to_string).collect();
            let hint =
                format!("there are: {}; `headstart features --tap {tap} --views {}` adds it", views.join(", "), view.saturating_add(1));
            return Err(Error::setting(format!("no view {view} of tap `{tap}` in {}", self.folder.display()), hint));
        }
        let open = |info: &&ShardInfo| open_shard(&self.folder, info, about);
        let shards = infos.iter().map(open).collect::<Result<Vec<_>>>().map_err(|e| self.if_unchanged(e))?;
        let counts = |row: u64| self.row(row).is_some_and(|r| r.status == Status::Ok);
        let files = Files { folder: self.folder.clone(), infos: infos.into_iter().cloned().collect(), checked: OnceLock::new() };
        Ok(FeatureMatrix::new(about.clone(), files, shards, counts))
    }

    /// Features of one tap and view and the labels that go with them, for one split or for all rows.
    ///
    /// # Errors
    /// As [`Cache::features`].
    pub fn table(&self, tap: &str, view: u32, split: Option<Split>) -> Result<Table> {
        let matrix = self.features(tap, view)?;
        let wanted = |row: &Row| split.is_none_or(|s| row.split == Some(s));
        let chosen: Vec<(usize, &Row)> =
            matrix.row_ids().iter().enumerate().filter_map(|(at, &id)| self.row(id).filter(|r| wanted(r)).map(|r| (at, r))).collect();
        let positions: Vec<usize> = chosen.iter().map(|(at, _)| *at).collect();
        Ok(Table {
            rows: chosen.iter().map(|(_, r)| r.row).collect(),
            labels: chosen.iter().map(|(_, r)| r.labels.clone()).collect(),
            features: matrix.rows(&positions),
        })
    }

    /// A shard may be gone because `gc` rewrote it since the manifest was read: that is no damage.
    fn if_unchanged(&self, error: Error) -> Error {
        match Manifest::read(&self.folder) {
            Ok(now) if now != self.manifest => {
                Error::cache(self.folder.join(MANIFEST), "was changed by another process while it was being read", "try again")
            }
            _ => error,
        }
    }
}

/// Maps a shard and holds it against its entry: size, tap, view, type, shape and rows (not the digest, which would read it all).
pub(super) fn open_shard(folder: &Path, info: &ShardInfo, tap: &Tap) -> Result<Shard> {
    let path = folder.join(&info.file);
    fits_entry(&path, Shard::open(&path)?, info, tap)
}

/// The shard in the file at `path`, if it is the one that its entry describes.
pub(super) fn fits_entry<B: Deref<Target = [u8]>>(path: &Path, shard: Shard<B>, info: &ShardInfo, tap: &Tap) -> Result<Shard<B>> {
    let damaged = |problem: String| Err(Error::cache(path, problem, RECOMPUTE));
    let size = shard.bytes().len() as u64;
    if size != info.bytes {
        return damaged(format!("is damaged: it has {size} bytes instead of {}", info.bytes));
    }
    let is_that = shard.head.tap == info.tap && shard.head.view == info.view && shard.shape == tap.shape && shard.dtype == tap.dtype;
    if !is_that || !shard.rows.iter().copied().eq(info.rows.iter()) {
        return damaged("is not the shard that the manifest describes".into());
    }
    Ok(shard)
}

/// The files behind a matrix.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    infos: Vec<ShardInfo>,
    /// Whether they were compared with their digests.
    checked: OnceLock<()>,
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
    fn new(Tap { shape, dtype }: Tap, files: Files, shards: Vec<Shard>, counts: impl Fn(u64) -> bool) -> FeatureMatrix {
        let mut found: Vec<(u64, (u32, u32))> = vec![];
        for (s, shard) in shards.iter().enumerate() {
            let rows = shard.rows.iter().enumerate().filter(|(_, row)| counts(**row));
            found.extend(rows.map(|(i, &row)| (row, (s as u32, i as u32))));
        }
        found.sort_unstable();
        let (row_ids, places) = found.into_iter().unzip();
        FeatureMatrix { shape, dtype, files, shards, row_ids, places }
    }

    /// Compares each of its shards with its digest, unless this was done before, by this process or another one (see `docs/cache-format.md`). Asked
    /// before the first row is read.
    ///
    /// # Errors
    /// A shard that is not as it was written.
    pub fn check(&self) -> Result<()> {
        if self.files.checked.get().is_none() {
            checked::check(&self.files.folder, &self.files.infos)?;
            self.files.checked.get_or_init(|| ());
        }
        self.intact()
    }

    /// Whether all of its files could be read so far: what the disk cannot read, and what was cut short since it was opened, reads as zeros. Asked before
    /// anything that was computed from rows counts; costs next to nothing.
    ///
    /// # Errors
    /// The first file that could not be read.
    pub fn intact(&self) -> Result<()> {
        match self.shards.iter().zip(&self.files.infos).find(|(shard, _)| shard.is_broken()) {
            None => Ok(()),
            Some((shard, info)) => {
                let path = self.files.folder.join(&info.file);
                verify::suspect(&path);
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

    /// The whole matrix in order as views of the mapped files, each with the position of its first row.
    /// `None` where values are not stored as f32: use [`FeatureMatrix::gather`] there.
    pub fn blocks(&self) -> Option<Vec<(usize, ArrayView2<'_, f32>)>> {
        let mut blocks = vec![];
        let mut start = 0;
        while start < self.len() {
            let (shard, first) = self.places[start];
            let follows = |(at, place): (usize, &(u32, u32))| *place == (shard, first + at as u32);
            let count = self.places[start..].iter().enumerate().take_while(|p| follows(*p)).count();
            let values = self.shards[shard as usize].values(first as usize, first as usize + count)?;
            blocks.push((start, ArrayView2::from_shape((count, self.dim()), values).ok()?));
            start += count;
        }
        Some(blocks)
    }

    /// Copies the rows at `positions` (indices into [`FeatureMatrix::row_ids`]) into `out`, `[positions.len(), dim]`, as f32.
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

    /// Tells the system which positions will be read soon, neighbours side by side: asked for together, what is on disk comes many times as fast as page
    /// by page.
    pub fn will_read(&self, positions: &[usize]) {
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
    pub fn rows(&self, positions: &[usize]) -> Array2<f32> {
        let mut out = Array2::zeros((positions.len(), self.dim()));
        self.will_read(positions);
        if let Some(slice) = out.as_slice_mut() {
            self.gather(positions, slice);
        }
        out
    }
}
