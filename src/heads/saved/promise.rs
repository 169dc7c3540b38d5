//! Digests by which the files of a head are known to belong together.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::model::Model;

/// What `model.json` says of the file beside it. Older ones say nothing.
#[derive(Serialize, Deserialize)]
pub struct Promise {
    /// SHA-256 of `head.safetensors`.
    #[serde(default)]
    pub head_sha256: Option<String>,
}

/// `model.json` as it is written.
#[derive(Serialize)]
pub struct ModelFile<'a> {
    #[serde(flatten)]
    pub model: &'a Model,
    #[serde(flatten)]
    pub promise: Promise,
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
