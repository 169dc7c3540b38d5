//! The table of contents of a zip that lies in memory; its uncompressed entries are read where they are.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use super::file::Problem;

/// A zip file's entries by name.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    index: usize,
    /// Where its bytes lie, if they are not compressed.
    stored: Option<Range<usize>>,
    size: u64,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Archive<'a>, Problem> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(Problem::damaged)?;
        let mut entries = BTreeMap::new();
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(Problem::damaged)?;
            let plain = file.compression() == CompressionMethod::Stored && !file.encrypted();
            let start = file.data_start().map(|start| start as usize);
            let stored = start.filter(|_| plain).and_then(|start| Some(start..start.checked_add(file.size() as usize)?));
            let name = file.name().map_err(Problem::damaged)?.into_owned();
            entries.insert(name, Entry { index, stored, size: file.size() });
        }
        Ok(Archive { bytes, entries })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Range and bytes of an uncompressed entry.
    pub fn stored(&self, name: &str) -> Result<(Range<usize>, &'a [u8]), Problem> {
        let entry = self.entries.get(name).ok_or_else(|| Problem::damaged(format!("`{name}` is not in it")))?;
        let hint = "PyTorch and Keras write them as they are: unpack it and pack it again without compression (`zip -0`)";
        let range = entry.stored.clone().ok_or_else(|| Problem::new(format!("`{name}` in it is compressed"), hint))?;
        let bytes = self.bytes.get(range.clone()).ok_or_else(|| Problem::damaged(format!("it ends inside `{name}`")))?;
        Ok((range, bytes))
    }

    /// An entry unpacked, its checksum verified.
    pub fn unpack(&self, name: &str) -> Result<Vec<u8>, Problem> {
        let entry = self.entries.get(name).ok_or_else(|| Problem::damaged(format!("`{name}` is not in it")))?;
        let mut zip = ZipArchive::new(Cursor::new(self.bytes)).map_err(Problem::damaged)?;
        let file = zip.by_index(entry.index).map_err(Problem::damaged)?;
        let mut unpacked = Vec::new();
        // Deflate packs at most about 1:1032; a size beyond that is a lie that should not cost memory.
        let most = entry.size.min(self.bytes.len() as u64 * 1032);
        file.take(most).read_to_end(&mut unpacked).map_err(Problem::damaged)?;
        Ok(unpacked)
    }
}
