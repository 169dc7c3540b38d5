//! The images that a verb runs a base over: arguments checked, data listed.

use std::path::Path;

use headstart::data::{self, Dataset, Digest, ImageSource, ListOptions, SplitRule};
use headstart::{Error, Result};

use crate::cli::args::Images;
use crate::cli::screen::Screen;

/// What there is to read.
pub struct Listed {
    /// Where it is read from.
    pub source: Box<dyn ImageSource>,
    /// The images, no more than the limit.
    pub dataset: Dataset,
    /// The data set's name.
    pub name: String,
}

impl Images {
    /// How the data is to be listed, if the arguments make sense.
    pub fn check(&self) -> Result<ListOptions> {
        if self.batch == 0 || self.limit == Some(0) {
            return Err(Error::setting("--batch and --limit take 1 or more", "leave them out for their defaults"));
        }
        Ok(ListOptions {
            split: self.split.as_deref().map_or(Ok(SplitRule::default()), str::parse)?,
            group: self.group.as_deref().map(str::parse).transpose()?,
        })
    }

    /// Lists the data; what the user should know of it is said.
    pub fn list(&self, options: &ListOptions, screen: &Screen) -> Result<Listed> {
        let source = data::open(&self.data, options)?;
        let mut dataset = source.list()?;
        dataset.warnings.iter().for_each(|w| screen.warn(w));
        if dataset.own_splits
            && let Some(rule) = &self.split
        {
            screen.warn(format_args!("--split {rule} is for data without splits; this has its own, and keeps them"));
        }
        if let Some(n) = self.limit {
            limit(&mut dataset, n);
        }
        let name = self.name.clone().map_or_else(|| folder_name(&self.data), Ok)?;
        Ok(Listed { source, dataset, name })
    }
}

/// `photos` for `some/photos/` and `some/photos.csv`.
fn folder_name(data: &Path) -> Result<String> {
    let whole =
        data.canonicalize().map_err(|_| Error::data(data, "is not there", "give a folder of images, or a CSV with path,label[,split]"))?;
    let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    name.map(|n| n.to_string_lossy().into_owned())
        .ok_or_else(|| Error::setting(format!("{} has no name to call the data set by", data.display()), "give one with --name"))
}

/// Keeps `n` images spread over all folders: those whose paths hash lowest, so that a larger limit keeps what a smaller one took.
fn limit(dataset: &mut Dataset, n: usize) {
    let mut ranked: Vec<(Digest, usize)> = dataset.entries.iter().enumerate().map(|(i, e)| (Digest::of(e.uri.as_bytes()), i)).collect();
    ranked.sort_unstable();
    let mut kept: Vec<usize> = ranked.into_iter().take(n).map(|(_, i)| i).collect();
    kept.sort_unstable();
    dataset.entries = kept.into_iter().map(|i| dataset.entries[i].clone()).collect();
}
