//! Reading `model.json`.

use std::path::Path;

use serde::Deserialize;

use super::digests::Digests;
use super::folder::AGAIN;
use super::model::{MODEL_FORMAT, Model};
use crate::{Error, Result, steps};

impl Model {
    /// Reads `model.json`; `path` is for messages.
    ///
    /// # Errors
    /// A damaged file, another version's, or one whose parts do not fit each other.
    pub(crate) fn parse(text: &[u8], path: &Path) -> Result<Model> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
            #[serde(flatten)]
            digests: Digests,
        }
        let no_model = |e: serde_json::Error| Error::data(path, format!("is not a model: {e}"), AGAIN);
        let Version { format, digests } = serde_json::from_slice(text).map_err(no_model)?;
        if !digests.fit(text) {
            return Err(Error::data(path, "is damaged: its content is not what its SHA-256 promises", AGAIN));
        }
        if format != MODEL_FORMAT {
            let version = if format < MODEL_FORMAT { "an earlier" } else { "a later" };
            let problem = format!("was made by {version} version of headstart: it is in format {format}, this one reads {MODEL_FORMAT}");
            return Err(Error::data(path, problem, format!("{}, then {}; or use that version", steps::EXTRACT_AGAIN, steps::TRAIN_AGAIN)));
        }
        let model: Model = serde_json::from_slice(text).map_err(no_model)?;
        model.check().map_err(|problem| Error::data(path, format!("does not fit together: {problem}"), AGAIN))?;
        Ok(model)
    }
}
