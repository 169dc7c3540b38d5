//! Files of the Hugging Face hub, kept in the cache of Python's `huggingface_hub`, so that a file
//! is fetched once for both.
//!
//! Our own client over `ureq` rather than the `hf-hub` crate: its 1.0 neither resumes, nor checks
//! digests, nor knows `HF_HUB_OFFLINE`, and brings 236 crates; its 0.5 resumes wrongly after a
//! failed retry and sends the token on to whatever host a redirect names. The protocol is that of
//! `huggingface_hub/file_download.py`: a HEAD tells commit, digest and size, a ranged GET fetches.
//!
//! | file | what for |
//! |---|---|
//! | `settings.rs` | [`Hub`]: its address, the cache, the token |
//! | `file.rs` | [`HubFile`]: a file of a repository, and its place in the cache |
//! | `fetch.rs` | the file on this machine, fetched if need be |
//! | `download.rs` | one download, resumed as often as need be |

#[cfg(feature = "hub")]
mod download;
mod fetch;
mod file;
mod settings;

pub(crate) use file::HubFile;
pub(crate) use settings::Hub;

#[cfg(all(test, feature = "hub"))]
mod tests;
