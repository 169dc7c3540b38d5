//! The source of the images of an extraction, and the choice among them.

use std::path::{Path, PathBuf};

use super::observe::{Event, Observer};
use super::options::ExtractionOptions;
use crate::data::{self, Dataset, Digest, ImageSource, LabelledImages};
use crate::{Error, Result};

/// The data of an extraction: a folder or CSV file, or a source that the program has.
pub enum Data<'a> {
    /// A folder of class folders, with splits above them or not, or a CSV file
    /// `path,label[,split][,group]`; see [`data::open`].
    Path(PathBuf),
    /// Any other source. Its caches need [`ExtractionOptions::name`].
    Source(&'a dyn ImageSource),
}

impl<P: AsRef<Path>> From<P> for Data<'_> {
    fn from(path: P) -> Self {
        Data::Path(path.as_ref().into())
    }
}

impl<'a> Data<'a> {
    /// Labelled images of the program's own.
    pub fn images(images: &'a LabelledImages) -> Data<'a> {
        Data::Source(images)
    }
}

/// The images of a data set, listed.
pub(super) struct Listed<'a> {
    pub source: Source<'a>,
    /// The images, no more than the limit.
    pub dataset: Dataset,
    /// The data set's name.
    pub name: String,
    /// Full path of the data; `None` for a source of the program.
    pub place: Option<PathBuf>,
}

/// A source, of the extraction's own or the program's.
pub(super) enum Source<'a> {
    Own(Box<dyn ImageSource>),
    Borrowed(&'a dyn ImageSource),
}

impl Source<'_> {
    pub(super) fn get(&self) -> &dyn ImageSource {
        match self {
            Source::Own(source) => source.as_ref(),
            Source::Borrowed(source) => *source,
        }
    }
}

impl<'a> Listed<'a> {
    /// Lists the data.
    pub(super) fn list(data: &Data<'a>, options: &ExtractionOptions, observer: &mut dyn Observer) -> Result<Listed<'a>> {
        let source = match data {
            Data::Path(path) => Source::Own(data::open(path, &options.list)?),
            Data::Source(source) => Source::Borrowed(*source),
        };
        let mut dataset = source.get().list()?;
        dataset.notes.iter().for_each(|text| observer.event(&Event::Understood(text)));
        dataset.warnings.iter().for_each(|text| observer.event(&Event::PassedOver(text)));
        if dataset.own_splits
            && let Some(rule) = options.split
        {
            observer.event(&Event::RuleUnused(rule));
        }
        if let Some(count) = options.limit {
            limit(&mut dataset, count);
        }
        let place = match data {
            Data::Path(path) => Some(path.canonicalize().map_err(Error::io("find", path))?),
            Data::Source(_) => None,
        };
        let name = name(data, options)?;
        Ok(Listed { source, dataset, name, place })
    }
}

/// The name that the data set is given, or that of its folder or file: `photos` for `some/photos/`
/// and `some/photos.csv`.
pub(super) fn name(data: &Data<'_>, options: &ExtractionOptions) -> Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.clone());
    }
    let Data::Path(path) = data else {
        return Err(Error::setting("the data set has no name", "give it one with option `name`"));
    };
    let whole = path.canonicalize().map_err(Error::io("find", path))?;
    let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    name.map(|n| n.to_string_lossy().into_owned())
        .ok_or_else(|| Error::setting(format!("{} has no name to call the data set by", whole.display()), "give one with option `name`"))
}

/// Keeps `count` images spread over all folders: those whose paths hash lowest, so that a larger
/// limit keeps what a smaller one took.
fn limit(dataset: &mut Dataset, count: usize) {
    let mut ranked: Vec<(Digest, usize)> = dataset.entries.iter().enumerate().map(|(i, e)| (Digest::of(e.uri.as_bytes()), i)).collect();
    ranked.sort_unstable();
    let mut kept: Vec<usize> = ranked.into_iter().take(count).map(|(_, i)| i).collect();
    kept.sort_unstable();
    dataset.entries = kept.into_iter().map(|i| dataset.entries[i].clone()).collect();
}
