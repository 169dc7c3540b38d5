//! The file on this machine: found in the cache, checked, or fetched.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "hub")]
use super::download::Remote;
use super::file::{HubFile, is_sha256, wrong_digest};
use super::settings::Hub;
#[cfg(feature = "hub")]
use crate::files;
use crate::weights::digest::file_sha256;
use crate::{Error, Result};

impl Hub {
    /// The file on this machine, if this or another program has fetched it.
    pub(crate) fn cached(&self, file: &HubFile) -> Option<PathBuf> {
        let folder = file.folder(self);
        let commit = fs::read_to_string(folder.join("refs").join(file.revision)).unwrap_or_else(|_| file.revision.into());
        let path = folder.join("snapshots").join(commit.trim()).join(file.file);
        path.is_file().then_some(path)
    }

    /// The file on this machine, fetched if need be. A download that was cut short goes on where it
    /// stopped; a file that is here is not asked for again. `progress` hears how many bytes there
    /// are, and of how many.
    ///
    /// # Errors
    /// No such file or repository, one that needs a token or another one, no connection,
    /// `HF_HUB_OFFLINE`, a wrong digest, a full disk.
    pub(crate) fn fetch(&self, file: &HubFile, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
        file.check()?;
        if let Some(path) = self.cached(file) {
            return match verify(file, &path) {
                Err(_) if !self.offline => self.download(file, progress),
                verdict => verdict.map(|()| path),
            };
        }
        self.download(file, progress)
    }

    #[cfg(not(feature = "hub"))]
    fn download(&self, file: &HubFile, _: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
        Err(file.fail("is not on this machine", crate::weights::pip::NOT_BUILT))
    }

    #[cfg(feature = "hub")]
    fn download(&self, file: &HubFile, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
        if self.offline {
            let hint = format!("unset HF_HUB_OFFLINE once to fetch it, or copy it into {}", file.folder(self).display());
            return Err(file.fail("is not on this machine, and HF_HUB_OFFLINE is set", hint));
        }
        let remote = Remote::find(self, file)?;
        let folder = file.folder(self);
        let blob = folder.join("blobs").join(&remote.etag);
        if !blob.is_file() || remote.check(file, &blob).is_err() {
            remote.fetch(self, file, &blob, progress)?;
        }
        let pointer = folder.join("snapshots").join(&remote.commit).join(file.file);
        point(&pointer, &blob, Path::new(file.file).components().count() + 1)?;
        files::replace(&folder.join("refs").join(file.revision), remote.commit.as_bytes())?;
        Ok(pointer)
    }
}

/// Checks a cached file against the digest that the caller knows, or else the one that the hub
/// knew: a large file's name in the cache.
fn verify(file: &HubFile, path: &Path) -> Result<()> {
    let real = fs::canonicalize(path).map_err(Error::io("find", path))?;
    let name = real.file_name().and_then(|name| name.to_str()).filter(|name| is_sha256(name));
    let Some(want) = file.sha256.or(name) else { return Ok(()) };
    let got = file_sha256(&real)?;
    if got == want { Ok(()) } else { Err(wrong_digest(file, &got, want)) }
}

/// Lets `pointer` stand for `blob`, `depth` folders below the repository's own: a relative link, or
/// a copy where links are not to be had.
#[cfg(feature = "hub")]
fn point(pointer: &Path, blob: &Path, depth: usize) -> Result<()> {
    let folder = pointer.parent().unwrap_or(pointer);
    fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
    if fs::symlink_metadata(pointer).is_ok() {
        fs::remove_file(pointer).map_err(Error::io("replace", pointer))?;
    }
    #[cfg(unix)]
    {
        let up: PathBuf = std::iter::repeat_n("..", depth).collect();
        let name = blob.file_name().unwrap_or_default();
        if std::os::unix::fs::symlink(up.join("blobs").join(name), pointer).is_ok() {
            return Ok(());
        }
    }
    #[cfg(not(unix))]
    let _ = depth;
    let mut from = fs::File::open(blob).map_err(Error::io("open", blob))?;
    files::write(pointer, |out| std::io::copy(&mut from, out).map(drop).map_err(Error::io("write", pointer)))
}
