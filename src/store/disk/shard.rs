//! A shard: one safetensors file with `rows [n]` and `features [n, …]`, mapped into memory to be
//! read.
//!
//! Its one metadata entry, `headstart`, says what it is, so that a shard that a killed process
//! finished and never listed can be taken up.

use std::collections::HashMap;
use std::fs;
use std::ops::Deref;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::manifest::FORMAT;
use crate::map::{BROKEN, Map};
use crate::{Error, Result};

const METADATA: &str = "headstart";
const ROWS: &str = "rows";
const FEATURES: &str = "features";

/// Bytes that are asked for at a time. Linux reads the beginning alone of what is longer than the
/// device's read-ahead, 128 KiB unless it was changed.
const ASKED: usize = 128 << 10;

/// The way out of every damaged shard.
pub(in crate::store) const RECOMPUTE: &str = "extract the features again: that recomputes the shard";

/// What a shard says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub format: u32,
    /// Digest of the key.
    pub key: String,
    pub tap: String,
    pub view: u32,
    /// Taps and views that were computed in one pass over the same rows: they count only together,
    /// so that a start after a kill has the same passes before it as one that was never
    /// interrupted.
    pub together: Vec<(String, u32)>,
    /// Rows that were tried for this shard and failed, with the reason.
    pub failed: Vec<(u64, String)>,
    /// CRC-32C of this head without it, the bytes of `rows` and those of `features`, so that damage
    /// shows where no manifest has a digest. Shards of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<u32>,
}

impl Head {
    /// What `crc32c` is of a shard with this head.
    fn checksum(&self, rows: &[u8], features: &[u8]) -> Option<u32> {
        let head = serde_json::to_vec(&Head { crc32c: None, ..self.clone() }).ok()?;
        Some([&head, rows, features].into_iter().fold(0, crc32c::crc32c_append))
    }
}

/// The bytes of a shard file. `features` are `rows.len()` rows of `shape` in `dtype`, as
/// [`Dtype::encode`] leaves them.
pub(crate) fn encode(head: &Head, rows: &[u64], shape: &[usize], dtype: Dtype, features: &[u8]) -> Result<Vec<u8>> {
    let wrong = |e: &dyn std::fmt::Display| Error::internal(format!("a shard of {} cannot be written: {e}", head.tap));
    let row_bytes: Vec<u8> = rows.iter().flat_map(|r| r.to_le_bytes()).collect();
    let full_shape: Vec<usize> = std::iter::once(rows.len()).chain(shape.iter().copied()).collect();
    let tensors = [
        (ROWS, TensorView::new(safetensors::Dtype::I64, vec![rows.len()], &row_bytes).map_err(|e| wrong(&e))?),
        (FEATURES, TensorView::new(dtype.safetensors(), full_shape, features).map_err(|e| wrong(&e))?),
    ];
    let head = Head { crc32c: head.checksum(&row_bytes, features), ..head.clone() };
    // One entry only: the library writes the map in random order.
    let metadata = HashMap::from([(METADATA.to_string(), serde_json::to_string(&head).map_err(|e| wrong(&e))?)]);
    safetensors::serialize(tensors, Some(metadata)).map_err(|e| wrong(&e))
}

/// A shard in memory, its header checked: a mapped file, or bytes that are in no file.
#[derive(Debug)]
pub(crate) struct Shard<B = Map> {
    map: B,
    pub head: Head,
    pub rows: Vec<u64>,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// Where rows and features begin in the file.
    offsets: [usize; 2],
}

impl Shard {
    /// Maps a shard.
    ///
    /// # Errors
    /// A missing file, or one that is not a whole shard.
    pub(crate) fn open(path: &Path) -> Result<Shard> {
        let map = Map::open(path).map_err(|e| or_missing(path, e))?;
        let shard = Shard::parse(map).map_err(|problem| damaged(path, &problem))?;
        shard.check(path)?;
        Ok(shard)
    }

    /// Whether a part of the file could not be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.map.is_broken()
    }

    /// Asked before what was read from the map counts.
    ///
    /// # Errors
    /// A part of the file could not be read.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        if self.is_broken() { Err(Error::cache(path, format!("cannot be read: {BROKEN}"), RECOMPUTE)) } else { Ok(()) }
    }

    /// Tells the system that the features of rows `start .. end` will be read soon.
    pub(crate) fn will_need(&self, start: usize, end: usize) {
        let (from, to) = (self.offsets[1] + start * self.row_size(), self.offsets[1] + end * self.row_size());
        (from..to).step_by(ASKED).for_each(|at| self.map.will_need(at, ASKED.min(to - at)));
    }
}

impl Shard<Vec<u8>> {
    /// Reads a shard into memory: what the disk cannot read is an error with the file's name,
    /// whatever happens to the file meanwhile.
    ///
    /// # Errors
    /// A missing file, one that cannot be read, or one that is not a whole shard.
    pub(crate) fn read(path: &Path) -> Result<Shard<Vec<u8>>> {
        let bytes = fs::read(path).map_err(Error::io("read", path)).map_err(|e| or_missing(path, e))?;
        Shard::parse(bytes).map_err(|problem| damaged(path, &problem))
    }
}

fn or_missing(path: &Path, error: Error) -> Error {
    match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Error::cache(path, "is missing", RECOMPUTE),
        other => other,
    }
}

fn damaged(path: &Path, problem: &str) -> Error {
    Error::cache(path, format!("is a damaged shard: {problem}"), RECOMPUTE)
}

impl<B: Deref<Target = [u8]>> Shard<B> {
    /// Reads the header of a shard's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(map: B) -> Result<Shard<B>, String> {
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| e.to_string())?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(METADATA)).ok_or("it does not say what it is")?;
        let head: Head = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if head.format != FORMAT {
            return Err(format!("it is in format {}, not {FORMAT}", head.format));
        }
        let info = |name: &str| metadata.info(name).ok_or(format!("it has no tensor `{name}`"));
        let (rows, features) = (info(ROWS)?, info(FEATURES)?);
        let dtype = [Dtype::F32, Dtype::F16, Dtype::BF16].into_iter().find(|d| d.safetensors() == features.dtype);
        let dtype = dtype.ok_or(format!("features of type {:?}", features.dtype))?;
        let n = features.shape.first().copied().unwrap_or(0);
        if rows.dtype != safetensors::Dtype::I64 || rows.shape != [n] || features.shape.len() < 2 || features.shape.contains(&0) {
            return Err(format!("rows {:?} do not fit features {:?}", rows.shape, features.shape));
        }
        // Offsets count from the end of the header, which follows eight bytes that hold its length.
        let data = 8 + header;
        let offsets = [data + rows.data_offsets.0, data + features.data_offsets.0];
        let row_bytes = &map[offsets[0]..offsets[0] + n * size_of::<u64>()];
        let rows: Vec<u64> = row_bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        if rows.windows(2).any(|w| w[0] >= w[1]) {
            return Err("its rows are not in order".into());
        }
        let shape = features.shape[1..].to_vec();
        Ok(Shard { head, rows, shape, dtype, offsets, map })
    }

    /// Whether it is as it was written, as far as it says so itself.
    pub(crate) fn is_sound(&self) -> bool {
        let rows = &self.map[self.offsets[0]..][..self.rows.len() * size_of::<u64>()];
        let features = &self.map[self.offsets[1]..][..self.rows.len() * self.row_size()];
        self.head.crc32c.is_none() || self.head.crc32c == self.head.checksum(rows, features)
    }

    /// Values of one row.
    pub(crate) fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of one row.
    pub(crate) fn row_size(&self) -> usize {
        self.dim() * self.dtype.size()
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The stored bytes of one row.
    pub(crate) fn row_bytes(&self, index: usize) -> &[u8] {
        let size = self.row_size();
        &self.map[self.offsets[1] + index * size..][..size]
    }

    /// Rows `start .. end` as f32 without a copy: `None` where they are stored in another type or
    /// lie askew in the file.
    pub(crate) fn values(&self, start: usize, end: usize) -> Option<&[f32]> {
        let size = self.row_size();
        let bytes = &self.map[self.offsets[1] + start * size..self.offsets[1] + end * size];
        let little = cfg!(target_endian = "little") && self.dtype == Dtype::F32;
        little.then(|| bytemuck::try_cast_slice(bytes).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            format: FORMAT,
            key: "k".into(),
            tap: "gap".into(),
            view: 0,
            together: vec![("gap".into(), 0)],
            failed: vec![(2, "broken".into())],
            crc32c: None,
        }
    }

    fn write(folder: &Path, dtype: Dtype) -> std::path::PathBuf {
        let mut features = vec![];
        dtype.encode(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut features).unwrap();
        let path = folder.join("v0-00000.safetensors");
        std::fs::write(&path, encode(&head(), &[1, 3, 4], &[2, 1], dtype, &features).unwrap()).unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let shard = Shard::open(&write(folder.path(), dtype)).unwrap();
            let said = Head { crc32c: None, ..shard.head.clone() };
            assert_eq!((said, shard.rows.as_slice(), shard.shape.as_slice()), (head(), &[1, 3, 4][..], &[2, 1][..]));
            let mut row = [0.0; 2];
            dtype.decode(shard.row_bytes(1), &mut row);
            assert_eq!(row, [3.0, 4.0]);
            assert_eq!(shard.values(1, 3), (dtype == Dtype::F32).then_some(&[3.0, 4.0, 5.0, 6.0][..]));
        }
    }

    #[test]
    fn the_same_content_is_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let first = std::fs::read(write(folder.path(), Dtype::F16)).unwrap();
        let second = std::fs::read(write(folder.path(), Dtype::F16)).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn damage_names_the_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), Dtype::F32);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 7, 40, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = Shard::open(&path).unwrap_err().to_string();
            assert!(error.contains("v0-00000.safetensors") && error.contains("extract the features again"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Shard::open(&path).unwrap_err().to_string().contains("is missing"));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed_without_a_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), Dtype::F16);
        let good = std::fs::read(&path).unwrap();
        assert!(Shard::read(&path).unwrap().is_sound());
        let is_taken = |bytes: &[u8]| Shard::parse(bytes.to_vec()).is_ok_and(|s| s.is_sound() && s.head.crc32c.is_some());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_taken(&bad), "bit {bit}");
        }
    }

    #[test]
    fn a_shard_cut_short_while_it_is_mapped_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v0-00000.safetensors");
        std::fs::write(&path, encode(&head(), &[1], &[9000], Dtype::F32, &[1; 36_000]).unwrap()).unwrap();
        let shard = Shard::open(&path).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
        if cfg!(unix) {
            assert_eq!(shard.row_bytes(0).last(), Some(&0));
            let error = shard.check(&path).unwrap_err().to_string();
            assert!(error.contains("v0-00000.safetensors") && error.contains("cut short"), "{error}");
        }
    }
}
