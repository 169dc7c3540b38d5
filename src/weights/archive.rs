//! The table of contents of a zip that lies in memory; its uncompressed entries are read where they
//! are. Nothing is handed out before its CRC-32 is checked: `crc32fast` does some 4 GB/s on one
//! core of the machine of the benchmarks, so VGG16's 553 MB take 0.14 s, once.

use std::cell::Cell;
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
    crc32: u32,
    /// Whether its bytes have been found to be those of the checksum.
    sound: Cell<bool>,
}

impl Entry {
    /// Holds bytes against the checksum, once. `torch.save` can be told to write none: it is 0
    /// then.
    fn check(&self, name: &str, bytes: &[u8]) -> Result<(), Problem> {
        if self.sound.get() || self.crc32 == 0 || crc32fast::hash(bytes) == self.crc32 {
            self.sound.set(true);
            return Ok(());
        }
        Err(Problem::damaged(format!("the bytes of `{name}` in it are not those of its checksum")))
    }
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Archive<'a>, Problem> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(Problem::damaged)?;
        let mut entries = BTreeMap::new();
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(Problem::damaged)?;
            let plain = file.compression() == CompressionMethod::Stored && !file.encrypted();
            let start = file.data_start().map(|start| start as usize);
            let stored = start.filter(|_| plain).and_then(|start| Some(start..start.checked_add(file.size() as usize)?));
            let name = file.name().map_err(Problem::damaged)?.into_owned();
            let entry = Entry { index, stored, size: file.size(), crc32: file.crc32(), sound: Cell::new(false) };
            if let Some(twice) = entries.insert(name, entry) {
                return Err(Problem::damaged(format!("two files in it have one name, the {}th and another", twice.index + 1)));
            }
        }
        Ok(Archive { bytes, entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(super) fn is_stored(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.stored.is_some())
    }

    /// Range and bytes of an uncompressed entry.
    pub(super) fn stored(&self, name: &str) -> Result<(Range<usize>, &'a [u8]), Problem> {
        let entry = self.entries.get(name).ok_or_else(|| Problem::damaged(format!("`{name}` is not in it")))?;
        let hint = "PyTorch and Keras write them as they are: unpack it and pack it again without compression (`zip -0`)";
        let range = entry.stored.clone().ok_or_else(|| Problem::new(format!("`{name}` in it is compressed"), hint))?;
        let bytes = self.bytes.get(range.clone()).ok_or_else(|| Problem::damaged(format!("it ends inside `{name}`")))?;
        entry.check(name, bytes)?;
        Ok((range, bytes))
    }

    /// An entry unpacked, of at most `most` bytes.
    pub(super) fn unpack(&self, name: &str, most: usize) -> Result<Vec<u8>, Problem> {
        let entry = self.entries.get(name).ok_or_else(|| Problem::damaged(format!("`{name}` is not in it")))?;
        let too_large = || {
            let hint = "weights hardly shrink, so this is not a weights file; if it is one, unpack it and pack it again without compression (`zip -0`)";
            Problem::new(format!("`{name}` in it would be {} bytes unpacked, of {} packed", entry.size, self.bytes.len()), hint)
        };
        let size = usize::try_from(entry.size).ok().filter(|&size| size <= most).ok_or_else(too_large)?;
        let mut unpacked = Vec::new();
        unpacked.try_reserve_exact(size).map_err(|_| too_large())?;
        let mut zip = ZipArchive::new(Cursor::new(self.bytes)).map_err(Problem::damaged)?;
        let file = zip.by_index(entry.index).map_err(Problem::damaged)?;
        // One byte more than announced: an entry that is longer is noticed, and one that ends
        // early.
        file.take(entry.size + 1).read_to_end(&mut unpacked).map_err(Problem::damaged)?;
        if unpacked.len() != size {
            return Err(Problem::damaged(format!("`{name}` in it does not have the {size} bytes that it promises")));
        }
        entry.check(name, &unpacked)?;
        Ok(unpacked)
    }
}
