//! Finding images and their labels, stable splits, decoding. Knows nothing of networks.
//!
//! | file | what for |
//! |---|---|
//! | `local`, `options` | images on the local file system; how they are to be listed |
//! | `folder`, `layout`, `names` | labels from folder names; which folders are splits |
//! | `table` | labels from a CSV file |
//! | `classes`, `group` | what a listing found becomes a data set; what belongs together |
//! | `walk`, `passed` | all that lies below a folder; what is passed over, counted |
//! | `split` | splitting data that comes without splits, by content |
//! | `digest`, `duplicates` | what an image is; the same image in several places |
//! | `patient` | reading again where the system fails |
//! | `decode/` | from file bytes to pixels |
//! | `demo` | demo images out of a table of pixels |

mod classes;
mod decode;
mod digest;
mod duplicates;
mod folder;
mod group;
mod image;
mod layout;
mod local;
mod memory;
mod names;
mod options;
mod passed;
mod patient;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::fmt;
use std::str::FromStr;

pub use decode::Orientation;
#[doc(hidden)]
pub use decode::decode;
pub(crate) use decode::{DECODER_VERSION, Turn, is_deep_gray, recorded_turn};
pub use digest::Digest;
pub(crate) use digest::{digests, forget};
pub(crate) use duplicates::{copies_text, dedupe, duplicates, emptied_classes};
pub use group::GroupRule;
pub use image::Image;
pub use local::open;
pub use memory::LabelledImages;
pub use names::SplitNames;
pub use options::ListOptions;
pub(crate) use patient::{is_of_the_system, patiently};
pub use split::SplitRule;
pub(crate) use split::{Assigned, Settled};
pub(crate) use text::name_some;
pub use walk::{Found, find_images};

use crate::{Error, Result, nearest};

/// Which part of the data an image serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training heads.
    Train,
    /// For choosing among them.
    Val,
    /// Looked at once, at the end.
    Test,
}

impl Split {
    /// Its name in files and on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(s: &str) -> Result<Split> {
        match s {
            "train" => Ok(Split::Train),
            "val" | "valid" | "validation" => Ok(Split::Val),
            "test" => Ok(Split::Test),
            _ => Err(Error::setting(
                format!("`{s}` is not a split"),
                nearest(s, ["train", "val", "test"]).map_or("use train, val or test".into(), |n| format!("did you mean `{n}`?")),
            )),
        }
    }
}

/// One image of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Opaque identity inside its source: for local folders the path relative to the root, with
    /// `/`.
    pub uri: String,
    /// Indices into [`Dataset::classes`]; more than one where the data is multi-label.
    pub labels: Vec<usize>,
    /// Its split; open where the data has none until a [`SplitRule`] decides.
    pub split: Option<Split>,
    /// What it belongs to (a patient, a burst, a video), where that is known: images of a group are
    /// not parted.
    pub group: Option<String>,
}

/// What a source lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dataset {
    /// Sorted class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Images sorted by URI.
    pub entries: Vec<Entry>,
    /// Whether the splits came with the data; else a [`SplitRule`] decides, once digests and the
    /// rows of caches are known.
    pub own_splits: bool,
    /// What the user should know: files passed over, links in a circle, empty classes.
    pub warnings: Vec<String>,
    /// How the listing was understood: folders that are splits, columns that are not used.
    pub notes: Vec<String>,
}

/// What a file system says of a file without reading it: equal stamps stand for equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub modified_ns: i128,
}

/// Where images come from; local folders and CSV files are the first.
pub trait ImageSource: Send + Sync {
    /// Finds all images, their labels and splits. Reads no image.
    ///
    /// # Errors
    /// No images, a single class, labels that are not classes, folders that may be splits, an
    /// unreadable folder, a CSV with a mistake in it.
    fn list(&self) -> Result<Dataset>;

    /// The bytes of one image file.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn read(&self, uri: &str) -> Result<Vec<u8>>;

    /// Size and modification time, so that unchanged files need not be read again.
    ///
    /// # Errors
    /// A file that is not there.
    fn stamp(&self, uri: &str) -> Result<Stamp>;

    /// Where `uri` is, in the words of an error message.
    fn locate(&self, uri: &str) -> String;
}

/// Decoded pixels, 8-bit RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height · width · 3` bytes, row by row.
    pub rgb: Vec<u8>,
}

#[cfg(test)]
impl Pixels {
    /// Reads `{"height": …, "width": …, "rgb": hex}`, the form of the goldens.
    pub(crate) fn from_golden(entry: &serde_json::Value) -> Pixels {
        let number = |key: &str| entry[key].as_u64().unwrap() as usize;
        let hex = entry["rgb"].as_str().unwrap();
        let rgb = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        Pixels { width: number("width"), height: number("height"), rgb }
    }
}
