//! A shard: one safetensors file with `rows [n]` and `features [n, …]`, mapped into memory to be read.
//!
//! Its one metadata entry, `headstart`, says what it is, so that a shard that a killed process finished and never listed can be taken up.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::{Dtype, FORMAT};
use crate::{Error, Result};

const METADATA: &str = "headstart";
const ROWS: &str = "rows";
const FEATURES: &str = "features";

/// Bytes that are asked for at a time. Linux reads the beginning alone of what is longer than the device's read-ahead, 128 KiB where nobody changed it.
const ASKED: usize = 128 << 10;

/// The way out of every damaged shard.
pub(super) const RECOMPUTE: &str = "run `headstart features` again: it recomputes that shard";

/// What a shard says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub format: u32,
    /// Digest of the key.
    pub key: String,
    pub tap: String,
    pub view: u32,
    /// Taps and views that were computed in one pass over the same rows: they count only together, so that a start after a kill has the
    /// same passes before it as one that was never interrupted.
    pub together: Vec<(String, u32)>,
    /// Rows that were tried for this shard and failed, with the reason.
    pub failed: Vec<(u64, String)>,
}

/// The bytes of a shard file. `features` are `rows.len()` rows of `shape` in `dtype`, as [`Dtype::encode`] leaves them.
pub(crate) fn encode(head: &Head, rows: &[u64], shape: &[usize], dtype: Dtype, features: &[u8]) -> Result<Vec<u8>> {
    let wrong = |e: &dyn std::fmt::Display| Error::cache(format!("shard of {}", head.tap), e, "this is a mistake in headstart");
    let row_bytes: Vec<u8> = rows.iter().flat_map(|r| r.to_le_bytes()).collect();
    let full_shape: Vec<usize> = std::iter::once(rows.len()).chain(shape.iter().copied()).collect();
    let tensors = [
        (ROWS, TensorView::new(safetensors::Dtype::I64, vec![rows.len()], &row_bytes).map_err(|e| wrong(&e))?),
        (FEATURES, TensorView::new(dtype.safetensors(), full_shape, features).map_err(|e| wrong(&e))?),
    ];
    // One entry only: the library writes the map in random order.
    let metadata = HashMap::from([(METADATA.to_string(), serde_json::to_string(head).map_err(|e| wrong(&e))?)]);
    safetensors::serialize(tensors, Some(metadata)).map_err(|e| wrong(&e))
}

/// A shard in memory, its header checked: a mapped file, or bytes that are in no file.
#[derive(Debug)]
pub(crate) struct Shard<B = Mmap> {
    map: B,
    pub head: Head,
    pub rows: Vec<u64>,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// Where the features begin in the file.
    offset: usize,
}

impl Shard {
    /// Maps a shard.
    ///
    /// # Errors
    /// A missing file, or one that is no whole shard.
    pub fn open(path: &Path) -> Result<Shard> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::cache(path, "is missing", RECOMPUTE)),
            Err(e) => return Err(Error::io("open", path)(e)),
        };
        // SAFETY: shards are never written in place: they are renamed into being and unlinked, so the mapped bytes do not change under us,
        // unless somebody outside edits the file, which no reader of mapped files can exclude.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Shard::parse(map).map_err(|problem| Error::cache(path, format!("is a damaged shard: {problem}"), RECOMPUTE))
    }

    /// Tells the system that the features of rows `start .. end` will be read soon.
    pub fn will_need(&self, start: usize, end: usize) {
        let (from, to) = (self.offset + start * self.row_size(), self.offset + end * self.row_size());
        for at in (from..to).step_by(ASKED) {
            // Advice alone: where it is not taken, pages come when they are read.
            #[cfg(unix)]
            self.map.advise_range(memmap2::Advice::WillNeed, at, ASKED.min(to - at)).unwrap_or_default();
            #[cfg(not(unix))]
            let _ = at;
        }
    }
}

impl<B: Deref<Target = [u8]>> Shard<B> {
    /// Reads the header of a shard's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(map: B) -> Result<Shard<B>, String> {
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
        if rows.dtype != safetensors::Dtype::I64 || rows.shape != [n] || features.shape.len() < 2 {
            return Err(format!("rows {:?} do not fit features {:?}", rows.shape, features.shape));
        }
        // Offsets count from the end of the header, which follows eight bytes that hold its length.
        let data = 8 + header;
        let row_bytes = &map[data + rows.data_offsets.0..data + rows.data_offsets.1];
        let rows: Vec<u64> = row_bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        if rows.windows(2).any(|w| w[0] >= w[1]) {
            return Err("its rows are not in order".into());
        }
        let (shape, offset) = (features.shape[1..].to_vec(), data + features.data_offsets.0);
        Ok(Shard { head, rows, shape, dtype, offset, map })
    }

    /// Values of one row.
    pub fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of one row.
    pub fn row_size(&self) -> usize {
        self.dim() * self.dtype.size()
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The stored bytes of one row.
    pub fn row_bytes(&self, index: usize) -> &[u8] {
        let size = self.row_size();
        &self.map[self.offset + index * size..][..size]
    }

    /// Rows `start .. end` as f32 without a copy: `None` where they are stored in another type or lie askew in the file.
    pub fn values(&self, start: usize, end: usize) -> Option<&[f32]> {
        let size = self.row_size();
        let bytes = &self.map[self.offset + start * size..self.offset + end * size];
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
            assert_eq!((shard.head.clone(), shard.rows.as_slice(), shard.shape.as_slice()), (head(), &[1, 3, 4][..], &[2, 1][..]));
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
            assert!(error.contains("v0-00000.safetensors") && error.contains("headstart features"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Shard::open(&path).unwrap_err().to_string().contains("is missing"));
    }
}
