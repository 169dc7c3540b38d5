//! Images on the local file system: a folder, or a CSV beside them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::options::ListOptions;
use super::{Dataset, ImageSource, Stamp, folder, table};
use crate::{Error, Result};

/// No image file that can be decoded within the limit on pixels is larger than this many bytes.
const MAX_FILE: u64 = 2 << 30;

/// Opens a data set: a folder of class folders, with splits above them or not, or a CSV file
/// `path,label[,split]`.
///
/// - **Folder**: `DIR/CLASS/…`, or `DIR/SPLIT/CLASS/…` where folders are called like splits:
///   `train`, `Training`, `training_set`, `seg_train`, `trainval`; `val`, `valid`, `validation`,
///   `dev`, `eval`; `test`, `testing`, `holdout`, in any case and with words such as `set`, `data`
///   and `images`. A folder of that name may hold another one with the classes; `DIR/CLASS/SPLIT/…`
///   is understood, too. What only looks like splits is refused, unless [`ListOptions::splits`]
///   says what it is. Further folders below classes may nest.
/// - **CSV**: a header with `path` and `label` and perhaps `split` and `group`, in any order, other
///   columns ignored, commas, semicolons or tabs between them; paths relative to the CSV's folder;
///   several labels as `a|b`. The URI of an image is its path as written.
///
/// # Errors
/// A path that does not exist. What is wrong inside it is found by [`ImageSource::list`].
pub fn open(path: &Path, options: &ListOptions) -> Result<Box<dyn ImageSource>> {
    let metadata = fs::metadata(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            Error::data(path, "does not exist", "give a folder with one folder of images a class, or a CSV file `path,label`")
        }
        _ => Error::io("open", path)(e),
    })?;
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    let (root, listing) = if metadata.is_dir() {
        (path, Listing::Folder)
    } else {
        (path.parent().unwrap_or(Path::new("/")).to_path_buf(), Listing::Table(path))
    };
    Ok(Box::new(LocalImages { root, listing, options: options.clone() }))
}

/// Image files below a root.
struct LocalImages {
    /// Absolute; URIs are relative to it.
    root: PathBuf,
    listing: Listing,
    options: ListOptions,
}

/// What says which images there are.
enum Listing {
    /// The folders below the root.
    Folder,
    /// A CSV file.
    Table(PathBuf),
}

/// What the system says of an image file.
pub(super) fn metadata(path: &Path) -> Result<fs::Metadata> {
    let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
    let refuse = |reason: String| Err(Error::Image { path: path.display().to_string(), reason });
    match metadata.len() {
        // A pipe would be waited for.
        _ if !metadata.is_file() => refuse("is not a file".into()),
        size if size > MAX_FILE => refuse(format!("is larger ({size} bytes) than any image this reads ({MAX_FILE} bytes)")),
        _ => Ok(metadata),
    }
}

/// The bytes of an image file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    metadata(path)?;
    fs::read(path).map_err(Error::io("read", path))
}

/// Size and modification time of an image file.
pub(super) fn stamp_of(path: &Path) -> Result<Stamp> {
    let metadata = metadata(path)?;
    let modified = metadata.modified().map_err(Error::io("read the time of", path))?;
    let modified_ns = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    Ok(Stamp { size: metadata.len(), modified_ns })
}

impl ImageSource for LocalImages {
    fn list(&self) -> Result<Dataset> {
        match &self.listing {
            Listing::Folder => folder::list(&self.root, &self.options),
            Listing::Table(file) => table::list(file, &self.options),
        }
    }

    fn read(&self, uri: &str) -> Result<Vec<u8>> {
        read_file(&self.root.join(uri))
    }

    fn stamp(&self, uri: &str) -> Result<Stamp> {
        stamp_of(&self.root.join(uri))
    }

    fn locate(&self, uri: &str) -> String {
        self.root.join(uri).display().to_string()
    }
}
