//! Labels from folder names: `DIR/CLASS/…`, or `DIR/SPLIT/CLASS/…`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use walkdir::WalkDir;

use super::walk::{self, Trouble, is_hidden, name_some};
use super::{Dataset, Entry, Split, SplitRule};
use crate::{Error, Result};

const LAYOUT: &str = "put the images into one folder a class (DIR/cats/…, DIR/dogs/…), these perhaps into DIR/train, DIR/val and DIR/test, \
                      or name them in a CSV file `path,label`";

/// Lists the images below `root`; reads the first bytes of files whose extension says nothing, and no others.
pub(super) fn list(root: &Path, rule: &SplitRule) -> Result<Dataset> {
    let mut found = Found::default();
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(|e| e.depth() == 0 || !is_hidden(e)) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => found.folder(root, entry.path()),
            Ok(entry) => found.file(root, entry.path(), entry.file_type().is_file())?,
            Err(error) => match walk::trouble(root, error) {
                Trouble::PassedOver(words) => found.warnings.push(words),
                Trouble::Unreadable(error) => return Err(error),
            },
        }
    }
    found.into_dataset(root, rule)
}

/// What a walk over the files comes upon.
#[derive(Default)]
struct Found {
    /// All folders of the first two levels, relative to the root: classes, or splits and their classes.
    folders: BTreeSet<String>,
    /// Images, relative to the root.
    images: Vec<String>,
    /// Files that are no images, by extension.
    others: BTreeMap<String, usize>,
    unnamable: Vec<String>,
    warnings: Vec<String>,
}

impl Found {
    fn folder(&mut self, root: &Path, path: &Path) {
        if let Some(uri) = uri(root, path).filter(|uri| !uri.is_empty() && uri.split('/').count() <= 2) {
            self.folders.insert(uri);
        }
    }

    fn file(&mut self, root: &Path, path: &Path, regular: bool) -> Result<()> {
        if !walk::is_image(path, regular)? {
            *self.others.entry(walk::extension(path)).or_default() += 1;
        } else if let Some(uri) = uri(root, path) {
            self.images.push(uri);
        } else {
            self.unnamable.push(path.display().to_string());
        }
        Ok(())
    }

    fn into_dataset(mut self, root: &Path, rule: &SplitRule) -> Result<Dataset> {
        self.note_files_passed_over();
        let splits = self.splits();
        let mut stray = 0;
        let mut beside = BTreeSet::new();
        let mut labelled = Vec::new();
        for image in &self.images {
            let mut parts = image.split('/');
            let split = if splits.is_empty() {
                Split::Train
            } else {
                let folder = parts.next().unwrap_or_default();
                match splits.get(folder) {
                    Some(&split) => split,
                    None => {
                        beside.insert(folder);
                        continue;
                    }
                }
            };
            match (parts.next(), parts.next()) {
                (Some(class), Some(_)) => labelled.push((image, class, split)),
                _ => stray += 1,
            }
        }

        let mut warnings = std::mem::take(&mut self.warnings);
        if !beside.is_empty() {
            warnings.push(format!("passed over images beside the splits, in {}", name_some(beside.iter().copied())));
        }
        if stray > 0 {
            warnings.push(format!("passed over {stray} images that lie in no class folder"));
        }
        let classes: Vec<String> =
            labelled.iter().map(|&(_, class, _)| class).collect::<BTreeSet<_>>().into_iter().map(String::from).collect();
        check_classes(root, &classes, self.images.len(), LAYOUT)?;

        let index = |class: &str| classes.binary_search_by(|c| c.as_str().cmp(class)).ok();
        let mut entries: Vec<Entry> = labelled
            .iter()
            .filter_map(|&(uri, class, split)| Some(Entry { uri: uri.clone(), labels: vec![index(class)?], split }))
            .collect();
        entries.sort_by(|a, b| a.uri.cmp(&b.uri));
        warnings.extend(self.missing_classes(&splits, &classes, &labelled));
        if splits.is_empty() {
            rule.assign(&mut entries);
        }
        Ok(Dataset { classes, entries, own_splits: !splits.is_empty(), warnings })
    }

    /// Which first-level folders are splits: none where the layout is flat.
    fn splits(&self) -> BTreeMap<String, Split> {
        let top: Vec<&String> = self.folders.iter().filter(|f| !f.contains('/')).collect();
        let splits: BTreeMap<String, Split> = top.iter().filter_map(|f| Some(((*f).clone(), f.to_lowercase().parse().ok()?))).collect();
        let is_split = splits.values().any(|&s| s == Split::Train) || splits.len() == top.len();
        if is_split { splits } else { BTreeMap::new() }
    }

    fn note_files_passed_over(&mut self) {
        self.warnings.extend(walk::about_others(&self.others));
        if !self.unnamable.is_empty() {
            let names = name_some(self.unnamable.iter().map(String::as_str));
            self.warnings.push(format!("passed over {} images whose paths are not UTF-8: {names}", self.unnamable.len()));
        }
    }

    /// Names classes whose folder holds no image, and those that lack images in one of the splits.
    fn missing_classes(&self, splits: &BTreeMap<String, Split>, classes: &[String], labelled: &[(&String, &str, Split)]) -> Vec<String> {
        let class_of = |folder: &'_ String| match folder.split_once('/') {
            None if splits.is_empty() => Some(folder.clone()),
            Some((split, class)) if splits.contains_key(split) => Some(class.to_string()),
            _ => None,
        };
        let folders: BTreeSet<String> = self.folders.iter().filter_map(class_of).collect();
        let empty: Vec<&str> =
            folders.iter().map(String::as_str).filter(|c| classes.binary_search_by(|k| k.as_str().cmp(c)).is_err()).collect();
        let mut warnings = Vec::new();
        if !empty.is_empty() {
            warnings.push(format!("left out {} class folders without images: {}", empty.len(), name_some(empty.into_iter())));
        }
        for split in splits.values().collect::<BTreeSet<_>>() {
            let there: BTreeSet<&str> = labelled.iter().filter(|(_, _, s)| s == split).map(|&(_, class, _)| class).collect();
            let lacking: Vec<&str> = classes.iter().map(String::as_str).filter(|c| !there.contains(c)).collect();
            if !lacking.is_empty() {
                warnings.push(format!("{split} has no images of {} classes: {}", lacking.len(), name_some(lacking.into_iter())));
            }
        }
        warnings
    }
}

/// Nothing can be learnt from no images or of a single class.
pub(super) fn check_classes(path: &Path, classes: &[String], images: usize, hint: &str) -> Result<()> {
    match classes {
        [] if images == 0 => Err(Error::data(path, "holds no images", hint)),
        [] => Err(Error::data(path, format!("holds {images} images, none of them in a class"), hint)),
        [only] => Err(Error::data(path, format!("holds a single class, `{only}`: there is nothing to tell apart"), hint)),
        _ => Ok(()),
    }
}

/// The path relative to the root with `/`, where it is UTF-8.
fn uri(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(root).ok()?.iter().map(OsStr::to_str).collect();
    parts.map(|p| p.join("/"))
}
