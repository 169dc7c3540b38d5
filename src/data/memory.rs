//! Labelled images that a program hands over, instead of a folder.

use std::collections::{BTreeMap, BTreeSet};

use super::local::stamp_of;
use super::{Dataset, Digest, Entry, Image, ImageSource, Split, Stamp};
use crate::text::visible;
use crate::{Error, Result};

/// Images with their classes, as an [`ImageSource`].
///
/// ```
/// use headstart::data::{ImageSource, LabelledImages, Pixels, Split};
///
/// let mut images = LabelledImages::default();
/// for (i, class) in ["day", "night"].into_iter().enumerate() {
///     images.add(class, class, Some(Split::Train), Pixels::new(1, 1, vec![255 * i as u8; 3])?)?;
/// }
/// assert_eq!(images.list()?.classes, ["day", "night"]);
/// # Ok::<(), headstart::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct LabelledImages {
    images: BTreeMap<String, Labelled>,
}

#[derive(Debug)]
struct Labelled {
    image: Image<'static>,
    class: String,
    split: Option<Split>,
}

impl LabelledImages {
    /// Adds an image. `uri` is its identity in caches from run to run. Either all images have a
    /// split, or none: then a [`SplitRule`](super::SplitRule) decides.
    ///
    /// # Errors
    /// A URI that is there already; an image of another source that cannot be read.
    pub fn add<'a>(
        &mut self,
        uri: impl Into<String>,
        class: impl Into<String>,
        split: Option<Split>,
        image: impl Into<Image<'a>>,
    ) -> Result<()> {
        let uri = uri.into();
        let labelled = Labelled { image: image.into().into_owned()?, class: class.into(), split };
        if self.images.contains_key(&uri) {
            return Err(Error::setting(format!("two images are called `{}`", visible(&uri)), "give each image a URI of its own"));
        }
        self.images.insert(uri, labelled);
        Ok(())
    }

    fn image(&self, uri: &str) -> Result<&Image<'static>> {
        let missing = || Error::Image { path: uri.into(), reason: "is not among the images that were handed over".into() };
        self.images.get(uri).map(|labelled| &labelled.image).ok_or_else(missing)
    }
}

impl ImageSource for LabelledImages {
    fn list(&self) -> Result<Dataset> {
        let classes: BTreeSet<&str> = self.images.values().map(|labelled| labelled.class.as_str()).collect();
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        if classes.len() < 2 {
            return Err(Error::setting(format!("the images are of {} classes", classes.len()), "a classifier needs images of two classes"));
        }
        let with_split = self.images.values().filter(|labelled| labelled.split.is_some()).count();
        if with_split > 0 && with_split < self.images.len() {
            let problem = format!("{with_split} of {} images have a split", self.images.len());
            return Err(Error::setting(problem, "give each image a split, or none of them"));
        }
        let entry = |(uri, labelled): (&String, &Labelled)| Entry {
            uri: uri.clone(),
            labels: classes.binary_search(&labelled.class).into_iter().collect(),
            split: labelled.split,
            group: None,
        };
        let entries = self.images.iter().map(entry).collect();
        Ok(Dataset { entries, classes, own_splits: with_split > 0, ..Dataset::default() })
    }

    fn read(&self, uri: &str) -> Result<Vec<u8>> {
        Ok(self.image(uri)?.bytes()?.into_owned())
    }

    /// Of an image in memory, the time is made of its digest: other bytes have another stamp.
    fn stamp(&self, uri: &str) -> Result<Stamp> {
        let image = self.image(uri)?;
        if let Image::Path(path) = image {
            return stamp_of(path);
        }
        let bytes = image.bytes()?;
        let mut time = [0; 8];
        time.copy_from_slice(&Digest::of(&bytes).0[..8]);
        Ok(Stamp { size: bytes.len() as u64, modified_ns: (u64::from_le_bytes(time) >> 8).into() })
    }

    fn locate(&self, uri: &str) -> String {
        match self.images.get(uri).map(|labelled| &labelled.image) {
            Some(image @ Image::Path(_)) => image.name(),
            _ => uri.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Pixels;

    fn pixels(value: u8) -> Pixels {
        Pixels::new(1, 1, vec![value; 3]).unwrap()
    }

    #[test]
    fn other_bytes_have_another_stamp_and_equal_ones_the_same() {
        let stamp = |value| {
            let mut images = LabelledImages::default();
            images.add("a", "x", None, pixels(value)).unwrap();
            images.stamp("a").unwrap()
        };
        assert_eq!(stamp(1), stamp(1));
        assert_ne!(stamp(1), stamp(2));
    }

    #[test]
    fn what_makes_no_data_set_is_refused() {
        let mut images = LabelledImages::default();
        images.add("a", "x", None, pixels(1)).unwrap();
        assert!(images.list().unwrap_err().to_string().contains("two classes"));
        assert!(images.add("a", "y", None, pixels(2)).unwrap_err().to_string().contains("`a`"));
        images.add("b", "y", Some(Split::Val), pixels(2)).unwrap();
        assert!(images.list().unwrap_err().to_string().contains("1 of 2"));
        assert!(images.read("c").is_err());
    }
}
