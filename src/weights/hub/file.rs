//! A file of a model repository, and its place in the cache.

use std::path::PathBuf;

use super::settings::Hub;
use crate::{Error, Result};

/// One file of a model repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HubFile<'a> {
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
    /// The safetensors file on the main branch of a repository, as timm's repositories have it.
    pub(crate) const fn safetensors(repo: &'a str) -> HubFile<'a> {
        HubFile { repo, revision: "main", file: "model.safetensors", sha256: None }
    }

    /// The name of the repository's folder in the cache.
    pub(crate) fn folder_name(&self) -> String {
        format!("models--{}", self.repo.replace('/', "--"))
    }

    pub(super) fn folder(&self, hub: &Hub) -> PathBuf {
        hub.cache.join(self.folder_name())
    }

    /// Repository, revision and file in the words of a message.
    fn display(&self) -> PathBuf {
        let revision = if self.revision == "main" { String::new() } else { format!("@{}", self.revision) };
        format!("{}{revision}/{}", self.repo, self.file).into()
    }

    pub(super) fn fail(&self, problem: impl std::fmt::Display, hint: impl std::fmt::Display) -> Error {
        Error::weights(self.display(), problem, hint)
    }

    /// Refuses paths that lead out of the cache folder.
    pub(super) fn check(&self) -> Result<()> {
        let plain = |text: &str| !text.is_empty() && text.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\\'));
        if plain(self.repo) && self.repo.matches('/').count() == 1 && plain(self.revision) && plain(self.file) {
            return Ok(());
        }
        Err(self.fail("is not a file of a model repository", "write OWNER/NAME, such as timm/resnet50.tv_in1k"))
    }
}

pub(super) fn wrong_digest(file: &HubFile, got: &str, want: &str) -> Error {
    file.fail(
        format!("has SHA-256 {got} instead of {want}"),
        "it was damaged on its way, or replaced: fetch it again, and do not use it if that does not help",
    )
}

pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
