//! The digests in `model.json`: of the file itself, and of the weights beside it.
//!
//! The file's own digest is that of its bytes with 64 zeros in the digest's place: no bit can
//! change unseen.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::model::Model;

/// Stands where the file's own digest belongs while it is computed.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The digests in a `model.json`. Files of earlier versions lack one or both.
#[derive(Serialize, Deserialize)]
pub(crate) struct Digests {
    /// SHA-256 of `head.safetensors`.
    #[serde(default)]
    pub head_sha256: Option<String>,
    /// SHA-256 of `model.json` itself, zeros in its own place.
    #[serde(default)]
    model_sha256: Option<String>,
}

impl Digests {
    /// Whether a `model.json` that holds these digests is the one that they were computed for. A
    /// file without a digest of its own passes.
    pub(crate) fn fit(&self, file: &[u8]) -> bool {
        let Some(promised) = &self.model_sha256 else { return true };
        let Some(place) = find_last(file, promised).filter(|_| promised.len() == ZEROS.len()) else { return false };
        let mut hash = Sha256::new();
        hash.update(&file[..place]);
        hash.update(ZEROS);
        hash.update(&file[place + ZEROS.len()..]);
        hex(&hash.finalize()) == *promised
    }
}

/// The bytes of `model.json`, digests included.
///
/// # Errors
/// Values that JSON cannot hold.
pub(crate) fn model_file(model: &Model, weights: &[u8]) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct ModelFile<'a> {
        #[serde(flatten)]
        model: &'a Model,
        #[serde(flatten)]
        digests: Digests,
    }
    let digests = Digests { head_sha256: Some(sha256(weights)), model_sha256: Some(ZEROS.into()) };
    let mut file = serde_json::to_vec_pretty(&ModelFile { model, digests })?;
    file.push(b'\n');
    let digest = sha256(&file);
    if let Some(place) = find_last(&file, ZEROS) {
        file[place..place + ZEROS.len()].copy_from_slice(digest.as_bytes());
    }
    Ok(file)
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// The last place of a text: the file ends with its own digest.
fn find_last(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len().max(1)).rposition(|window| window == text.as_bytes())
}
