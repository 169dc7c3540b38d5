//! How a writer begins: the lock, what is there, what a killed one left.

use std::path::Path;

use super::recover;
use super::writer::Writer;
use crate::store::disk::commit;
use crate::store::disk::lock::{Lock, Wait};
use crate::store::disk::manifest::{MANIFEST, Manifest};
use crate::store::disk::objects::{LocalFiles, Objects};
use crate::store::key::CacheKey;
use crate::{Error, Result, files};

impl Writer {
    /// Takes the lock of the cache in `folder`, makes it if it is not there, and takes up what a
    /// killed writer left.
    ///
    /// # Errors
    /// Another process writes it; a damaged manifest or `rows.csv`; a cache with another key.
    pub fn open(folder: &Path, key: &CacheKey, dataset: &str, wait: Wait) -> Result<Writer> {
        Writer::open_in(folder, key, dataset, wait, Box::new(LocalFiles::new(folder)))
    }

    /// As [`Writer::open`], with shards going to `objects`.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn open_in(folder: &Path, key: &CacheKey, dataset: &str, wait: Wait, objects: Box<dyn Objects>) -> Result<Writer> {
        let lock = Lock::take(folder, wait)?;
        files::remove_temporaries(folder, usize::MAX)?;
        let (mut manifest, is_new) = match Manifest::read(folder) {
            Err(Error::Cache { .. }) if !folder.join(MANIFEST).exists() => (Manifest::new(key.clone(), dataset), true),
            read => (read?, false),
        };
        if let Some(differs) = manifest.key.difference(key) {
            let hint = "give another folder with option `cache`, or delete this one";
            return Err(Error::cache(folder, format!("holds features that were made in another way: {differs}"), hint));
        }
        let found = if is_new { commit::without_manifest(folder, &mut manifest)? } else { commit::finish_interrupted(folder, &manifest)? };
        let mut writer =
            Writer { folder: folder.into(), objects, manifest, rows: found.rows, doubt: found.doubt, warnings: vec![], _lock: lock };
        if recover::take_up(&mut writer)? || is_new {
            writer.save(true)?;
        }
        Ok(writer)
    }
}
