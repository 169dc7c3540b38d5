//! What a walk over folders passes over, counted: other files, camera RAW, kinds of images that are
//! not read, hidden and system folders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use image::ImageFormat;
use walkdir::{DirEntry, WalkDir};

use super::decode;
use super::text::name_some;
use crate::text::counted;
use crate::{Error, Result};

/// Cameras' RAW files: the image in front that a reader of TIFF finds in them is a small preview.
const RAW: [&str; 34] = [
    "3fr", "ari", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "k25", "kdc", "mdc", "mef", "mos", "mrw", "nef",
    "nrw", "orf", "pef", "ptx", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f", "cap", "eip", "dcs",
];
/// Images of kinds that are not read.
const UNREAD: [&str; 26] = [
    "avif", "avifs", "cur", "dcm", "dicom", "emf", "eps", "exr", "hdr", "heic", "heics", "heif", "hif", "ico", "j2c", "j2k", "jp2", "jpx",
    "jxl", "jxr", "pcx", "psb", "psd", "svg", "tga", "xcf",
];
/// Folders and files that systems and network disks put beside photos: thumbnails, waste bins,
/// copies.
const SYSTEM: [&str; 12] = [
    "@eadir",
    "__macosx",
    "#recycle",
    "#snapshot",
    "@recycle",
    "@recently-snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
];

/// Whether a file or folder of this name is none of the user's: hidden, or a system's own.
pub(super) fn is_systems_own(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.starts_with('.') || lower.starts_with("synophoto") || SYSTEM.contains(&lower.as_str())
}

/// What was passed over.
#[derive(Default)]
pub(super) struct Passed {
    /// Files that are not images, by extension.
    others: BTreeMap<String, usize>,
    raw: BTreeMap<String, usize>,
    unread: BTreeMap<String, usize>,
    /// Images in folders that are hidden or a system's own, by the folder's name.
    systems: BTreeMap<String, usize>,
    /// Names of images that are hidden or a system's own themselves.
    hidden: Vec<String>,
    /// Names of pipes, sockets and devices.
    special: Vec<String>,
}

impl Passed {
    /// Counts the images in a folder that is passed over, or the file itself.
    pub(super) fn count(&mut self, entry: &DirEntry) {
        if !entry.file_type().is_dir() {
            if looks_like_an_image(entry.path()) {
                self.hidden.push(entry.file_name().to_string_lossy().into_owned());
            }
            return;
        }
        let files = WalkDir::new(entry.path()).into_iter().flatten().filter(|e| e.file_type().is_file());
        let images = files.filter(|e| looks_like_an_image(e.path())).count();
        if images > 0 {
            *self.systems.entry(entry.file_name().to_string_lossy().into_owned()).or_default() += images;
        }
    }

    /// Whether a file is an image that is read; others are counted. Looks into files whose
    /// extension says nothing.
    ///
    /// # Errors
    /// Such a file that cannot be read.
    pub(super) fn is_image(&mut self, path: &Path, regular: bool) -> Result<bool> {
        let extension = extension(path);
        if regular && decode::is_image_extension(&extension) {
            return Ok(true);
        }
        if !regular {
            self.special.push(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
            return Ok(false);
        }
        let kind = if RAW.contains(&extension.as_str()) {
            &mut self.raw
        } else if UNREAD.contains(&extension.as_str()) {
            &mut self.unread
        } else {
            match look_into(path)? {
                Some(Inside::Image) => return Ok(true),
                Some(Inside::Raw) => &mut self.raw,
                None => &mut self.others,
            }
        };
        *kind.entry(extension).or_default() += 1;
        Ok(false)
    }

    /// Images that are there but not read: `6 .heic, 4 .nef`.
    pub(super) fn unreadable(&self) -> Option<String> {
        let all: BTreeMap<String, usize> = self.raw.iter().chain(&self.unread).map(|(e, n)| (e.clone(), *n)).collect();
        (!all.is_empty()).then(|| by_kind(&all))
    }

    /// How to make those images readable.
    pub(super) fn way_out(&self) -> &'static str {
        match (self.raw.is_empty(), self.unread.is_empty()) {
            (false, true) => DEVELOP,
            _ => CONVERT,
        }
    }

    /// One line a kind of thing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut lines = vec![];
        let total = |kinds: &BTreeMap<String, usize>| kinds.values().sum::<usize>();
        if !self.others.is_empty() {
            lines.push(format!(
                "passed over {}: {}",
                counted(total(&self.others), "file that is not an image", "files that are not images"),
                by_kind(&self.others)
            ));
        }
        if !self.raw.is_empty() {
            lines.push(format!(
                "passed over {}: {} ({DEVELOP})",
                counted(total(&self.raw), "camera RAW file, which is not read", "camera RAW files, which are not read"),
                by_kind(&self.raw)
            ));
        }
        if !self.unread.is_empty() {
            lines.push(format!(
                "passed over {}: {} ({CONVERT})",
                counted(total(&self.unread), "image of a kind that is not read", "images of kinds that are not read"),
                by_kind(&self.unread)
            ));
        }
        if !self.systems.is_empty() {
            let folders: Vec<String> = self.systems.iter().map(|(folder, n)| format!("{n} in {folder}")).collect();
            let names = name_some(folders.iter().map(String::as_str));
            lines.push(format!("passed over {} in hidden and system folders: {names}", counted(total(&self.systems), "image", "images")));
        }
        if !self.hidden.is_empty() {
            let files = counted(self.hidden.len(), "hidden image file", "hidden image files");
            lines.push(format!("passed over {files}: {}", name_some(self.hidden.iter().map(String::as_str))));
        }
        if !self.special.is_empty() {
            let names = name_some(self.special.iter().map(String::as_str));
            lines.push(format!(
                "passed over {}: {names}",
                counted(self.special.len(), "pipe, socket or device", "pipes, sockets and devices")
            ));
        }
        lines
    }
}

const CONVERT: &str =
    "convert them to JPEG or PNG, for example with `magick mogrify -format jpg FILE…`; on a Mac `sips -s format jpeg FILE… --out DIR`";
const DEVELOP: &str = "develop them to JPEG or TIFF with the camera's program, darktable or `magick mogrify -format jpg FILE…`";

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn looks_like_an_image(path: &Path) -> bool {
    let extension = extension(path);
    decode::is_image_extension(&extension) || RAW.contains(&extension.as_str()) || UNREAD.contains(&extension.as_str())
}

fn by_kind(kinds: &BTreeMap<String, usize>) -> String {
    let kinds: Vec<String> =
        kinds.iter().map(|(e, n)| if e.is_empty() { format!("{n} without extension") } else { format!("{n} .{e}") }).collect();
    name_some(kinds.iter().map(String::as_str))
}

/// What a file of unknown extension holds.
enum Inside {
    Image,
    Raw,
}

fn look_into(path: &Path) -> Result<Option<Inside>> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io("open", path))?);
    let mut head = Vec::new();
    file.by_ref().take(32).read_to_end(&mut head).map_err(Error::io("read", path))?;
    Ok(match decode::sniff(&head) {
        None => None,
        Some(ImageFormat::Tiff) if decode::is_camera_raw(&mut file) => Some(Inside::Raw),
        Some(_) => Some(Inside::Image),
    })
}
