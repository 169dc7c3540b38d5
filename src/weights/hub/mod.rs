//! Files of the Hugging Face hub, kept in the cache that Python's `huggingface_hub` uses, so that what either has fetched serves both.
//!
//! Our own client over `ureq` rather than the `hf-hub` crate: its 1.0 neither resumes, nor checks digests, nor knows `HF_HUB_OFFLINE`, and brings 236
//! crates; its 0.5 resumes wrongly after a failed retry and sends the token on to whatever host a redirect names.
//! The protocol is that of `huggingface_hub/file_download.py`: a HEAD tells commit, digest and size, a ranged GET fetches.

#[cfg(feature = "hub")]
mod download;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};

use super::wheel::file_sha256;
#[cfg(feature = "hub")]
use crate::files;
use crate::{Error, Result};
#[cfg(feature = "hub")]
use download::Remote;
pub(crate) use settings::Hub;

/// One file of a model repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubFile<'a> {
    /// `owner/name`: `timm/resnet50.tv_in1k`.
    pub repo: &'a str,
    /// Branch, tag or commit.
    pub revision: &'a str,
    /// Path inside the repository.
    pub file: &'a str,
    /// Lower-case hex SHA-256 of the file where it is known; the hub's own is checked in any case.
    pub sha256: Option<&'a str>,
}

impl<'a> HubFile<'a> {
    /// The safetensors file on the main branch of a repository: what timm's repositories hold.
    pub const fn safetensors(repo: &'a str) -> HubFile<'a> {
        HubFile { repo, revision: "main", file: "model.safetensors", sha256: None }
    }

    /// The name of the repository's folder in the cache.
    pub(crate) fn folder_name(&self) -> String {
        format!("models--{}", self.repo.replace('/', "--"))
    }

    fn folder(&self, hub: &Hub) -> PathBuf {
        hub.cache.join(self.folder_name())
    }

    /// Repository, revision and file in the words of a message.
    fn display(&self) -> PathBuf {
        let revision = if self.revision == "main" { String::new() } else { format!("@{}", self.revision) };
        format!("{}{revision}/{}", self.repo, self.file).into()
    }

    fn fail(&self, problem: impl std::fmt::Display, hint: impl std::fmt::Display) -> Error {
        Error::weights(self.display(), problem, hint)
    }

    /// Refuses what would lead out of the cache folder.
    fn check(&self) -> Result<()> {
        let plain = |text: &str| !text.is_empty() && text.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\\'));
        if plain(self.repo) && self.repo.matches('/').count() == 1 && plain(self.revision) && plain(self.file) {
            return Ok(());
        }
        Err(self.fail("is no file of a model repository", "write OWNER/NAME, such as timm/resnet50.tv_in1k"))
    }
}

impl Hub {
    /// The file on this machine, if it is there, whichever program fetched it.
    pub(crate) fn cached(&self, file: &HubFile) -> Option<PathBuf> {
        let folder = file.folder(self);
        let commit = fs::read_to_string(folder.join("refs").join(file.revision)).unwrap_or_else(|_| file.revision.into());
        let path = folder.join("snapshots").join(commit.trim()).join(file.file);
        path.is_file().then_some(path)
    }

    /// The file on this machine, fetched if need be. A download that was cut short goes on where it stopped; a file that is here is not asked for
    /// again. `progress` hears how many bytes there are, and of how many.
    ///
    /// # Errors
    /// No such file or repository, one that needs a token or another one, no connection, `HF_HUB_OFFLINE`, a wrong digest, a full disk.
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
        Err(file.fail("is not on this machine", super::wheel::NOT_BUILT))
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

/// Checks a cached file against the digest that the caller knows, or else the one that the hub knew: a large file's name in the cache.
fn verify(file: &HubFile, path: &Path) -> Result<()> {
    let real = fs::canonicalize(path).map_err(Error::io("find", path))?;
    let name = real.file_name().and_then(|name| name.to_str()).filter(|name| is_sha256(name));
    let Some(want) = file.sha256.or(name) else { return Ok(()) };
    let got = file_sha256(&real)?;
    if got == want { Ok(()) } else { Err(wrong_digest(file, &got, want)) }
}

fn wrong_digest(file: &HubFile, got: &str, want: &str) -> Error {
    file.fail(
        format!("has SHA-256 {got} instead of {want}"),
        "it was damaged on its way, or replaced: fetch it again, and do not use it if that does not help",
    )
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Lets `pointer` stand for `blob`, `depth` folders below the repository's own: a relative link, or a copy where links are not to be had.
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

#[cfg(all(test, feature = "hub"))]
mod tests;
