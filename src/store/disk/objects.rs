//! Where shards go: a small trait that an object store can serve as well, and local files as its
//! first form.

use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use crate::{Error, Result, files};

/// A place for immutable objects with names such as `features/gap/v0-00000.safetensors`.
pub trait Objects: Debug + Send + Sync {
    /// Stores an object, whole and durable or not at all. Returns `false`, and changes nothing,
    /// where the name is taken.
    ///
    /// # Errors
    /// The place refused it: no space, no permission, no connection.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<bool>;

    /// Names of all objects that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// The place cannot be listed.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// The place refused.
    fn remove(&self, name: &str) -> Result<()>;
}

/// Local files below a folder.
#[derive(Debug, Clone)]
pub(crate) struct LocalFiles {
    root: PathBuf,
}

impl LocalFiles {
    /// Objects live below `root`.
    pub(crate) fn new(root: impl Into<PathBuf>) -> LocalFiles {
        LocalFiles { root: root.into() }
    }
}

impl Objects for LocalFiles {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        files::create(&self.root.join(name), bytes)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = vec![];
        // Walk the deepest folder that the prefix names whole; the rest of the prefix filters.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let start = self.root.join(folder);
        if !start.is_dir() {
            return Ok(names);
        }
        for entry in walkdir::WalkDir::new(&start) {
            let entry = entry.map_err(|e| Error::io("list", &start)(e.into()))?;
            let Ok(below) = entry.path().strip_prefix(&self.root) else { continue };
            let name = below.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
            let whole = !entry.file_name().to_string_lossy().starts_with(files::TEMPORARY);
            if entry.file_type().is_file() && whole && name.starts_with(prefix) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("delete", &path)(e)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_put_once_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let objects = LocalFiles::new(folder.path());
        assert!(objects.list("features/").unwrap().is_empty());
        assert!(objects.put_if_absent("features/gap/v0-00000", b"hello").unwrap());
        assert!(!objects.put_if_absent("features/gap/v0-00000", b"other").unwrap());
        assert!(objects.put_if_absent("features/map/v0-00000", b"").unwrap());
        fs::write(folder.path().join("features/gap/.tmp-1"), b"half").unwrap();
        assert_eq!(objects.list("features/").unwrap(), ["features/gap/v0-00000", "features/map/v0-00000"]);
        assert_eq!(objects.list("features/gap/v0").unwrap(), ["features/gap/v0-00000"]);
        objects.remove("features/gap/v0-00000").unwrap();
        objects.remove("features/gap/v0-00000").unwrap();
        assert_eq!(objects.list("").unwrap(), ["features/map/v0-00000"]);
    }
}
