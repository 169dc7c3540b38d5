//! Options of an extraction.

use std::path::PathBuf;
use std::str::FromStr;

use crate::data::{ListOptions, Orientation, SplitRule};
use crate::extract::Part;
use crate::preprocess::Policy;
use crate::store::Dtype;
use crate::{Error, Result};

/// Options of an extraction, beside its data and its backbone.
#[derive(Debug, Clone)]
pub struct ExtractionOptions {
    /// Root of all caches [default: `cache`]; the features go to `cache/NAME/BACKBONE@KEY`.
    pub cache: PathBuf,
    /// Name of the data set in the cache [default: that of its folder or file].
    pub name: Option<String>,
    /// Places in the network to take features from, as
    /// [`BackboneInfo`](crate::backbones::BackboneInfo) lists them [default: `gap`].
    pub taps: Vec<String>,
    /// Readings of each image: the plain one and augmented ones [default: 1].
    pub views: u32,
    /// How augmented readings differ from the plain one [default: [`Policy::STANDARD`]].
    pub augment: Policy,
    /// Seed of the augmented readings [default: 0].
    pub seed: u64,
    /// Type in which features are stored [default: f32].
    pub store: Dtype,
    /// Images a batch: part of what fixes the last bits of features [default: 32].
    pub batch: usize,
    /// Number of images at most, spread over all folders [default: all].
    pub limit: Option<usize>,
    /// How a folder or a CSV file is listed.
    pub list: ListOptions,
    /// Split of data that has none [default: [`SplitRule::default`]]; photos that a cache knows
    /// keep theirs.
    pub split: Option<SplitRule>,
    /// Whether images are turned as their EXIF data says [default: they are read as stored].
    pub orientation: Orientation,
    /// Whether images that also stand elsewhere in the data are left out of train.
    pub dedupe: bool,
    /// Which part to compute of an extraction that several processes share, each into a cache of
    /// its own [default: all].
    pub part: Option<Part>,
}

impl Default for ExtractionOptions {
    fn default() -> Self {
        ExtractionOptions {
            cache: "cache".into(),
            name: None,
            taps: vec!["gap".into()],
            views: 1,
            augment: Policy::STANDARD,
            seed: 0,
            store: Dtype::F32,
            batch: 32,
            limit: None,
            list: ListOptions::default(),
            split: None,
            orientation: Orientation::AsStored,
            dedupe: false,
            part: None,
        }
    }
}

impl ExtractionOptions {
    /// Whether an extraction can be asked for that.
    ///
    /// # Errors
    /// A number that is 0, an empty name, no tap.
    pub fn check(&self) -> Result<()> {
        if self.batch == 0 || self.limit == Some(0) {
            return Err(Error::setting("option `batch` and option `limit` take 1 or more", "leave them out for their defaults"));
        }
        if self.views == 0 {
            return Err(Error::setting("option `views=0` reads no image", "the plain reading alone is option `views=1`"));
        }
        if self.name.as_deref() == Some("") {
            let hint = "give the data set a name, or leave option `name` out for that of its folder";
            return Err(Error::setting("option `name` is empty", hint));
        }
        if self.taps.is_empty() {
            return Err(Error::setting("no tap to take features from", "name one with option `tap=gap`"));
        }
        Ok(())
    }
}

/// `2/8`, counted from 1.
impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Part> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
        match numbers {
            Some((i, of)) if 1 <= i && i <= of => Ok(Part { index: i - 1, of }),
            _ => Err(Error::setting(format!("option `part={text}` is not a part"), "the second of eight is option `part=2/8`")),
        }
    }
}
