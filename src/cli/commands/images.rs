//! The arguments about images, as the library takes them.

use crate::Result;
use crate::cli::args::Images;
use crate::data::ListOptions;
use crate::extraction::ExtractionOptions;

impl Images {
    /// The options that were typed; all others have the library's defaults.
    pub(crate) fn options(&self) -> Result<ExtractionOptions> {
        Ok(ExtractionOptions {
            name: self.name.clone(),
            store: self.store.dtype(),
            batch: self.batch,
            limit: self.limit,
            split: self.split.as_deref().map(str::parse).transpose()?,
            list: ListOptions {
                splits: self.splits.as_deref().map(str::parse).transpose()?,
                group: self.group.as_deref().map(str::parse).transpose()?,
                labels_are_classes: self.labels_are_classes,
                single_label: self.single_label,
                lenient: false,
            },
            ..ExtractionOptions::default()
        })
    }
}
