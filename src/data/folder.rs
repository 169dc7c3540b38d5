//! Labels from folder names: `DIR/CLASS/…`, or `DIR/SPLIT/CLASS/…`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use super::classes::{self, Found, Item};
use super::layout::{self, Layout, Place};
use super::options::ListOptions;
use super::passed::Passed;
use super::text::name_some;
use super::walk::{Step, Walk};
use super::{Dataset, GroupRule, group};
use crate::text::counted;
use crate::{Error, Result};

const LAYOUT: &str = "put the images into one folder a class (DIR/cats/…, DIR/dogs/…), these perhaps into DIR/train, DIR/val and DIR/test, \
                      or name them in a CSV file `path,label`";

/// Lists the images below `root`; reads the first bytes of files whose extension says nothing, and
/// no others.
pub(super) fn list(root: &Path, options: &ListOptions) -> Result<Dataset> {
    if let Some(GroupRule::Column(name)) = &options.group {
        return Err(group::no_column(root, name));
    }
    let mut seen = Seen::default();
    let mut walk = Walk::new(root);
    for step in &mut walk {
        match step? {
            Step::Folder(path) => seen.folder(root, &path),
            Step::Image(path) => seen.image(root, &path),
            Step::PassedOver(words) => seen.warnings.push(words),
        }
    }
    seen.passed = walk.passed;
    seen.into_dataset(root, options)
}

/// What a walk over the files comes upon.
#[derive(Default)]
struct Seen {
    /// All folders of the first three levels, relative to the root: splits and classes are among
    /// them.
    folders: BTreeSet<String>,
    /// Images, relative to the root.
    images: Vec<String>,
    passed: Passed,
    unnamable: Vec<String>,
    warnings: Vec<String>,
}

impl Seen {
    fn folder(&mut self, root: &Path, path: &Path) {
        if let Some(uri) = uri(root, path).filter(|uri| !uri.is_empty() && uri.split('/').count() <= 3) {
            self.folders.insert(uri);
        }
    }

    fn image(&mut self, root: &Path, path: &Path) {
        match uri(root, path) {
            Some(uri) => self.images.push(uri),
            None => self.unnamable.push(path.display().to_string()),
        }
    }

    fn into_dataset(mut self, root: &Path, options: &ListOptions) -> Result<Dataset> {
        if let (true, Some(kinds)) = (self.images.is_empty(), self.passed.unreadable()) {
            let problem = format!("holds no images that can be read, only {kinds}");
            return Err(Error::data(root, problem, self.passed.way_out()));
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.passed.warnings());
        if !self.unnamable.is_empty() {
            let names = name_some(self.unnamable.iter().map(String::as_str));
            let images = counted(self.unnamable.len(), "image whose path is", "images whose paths are");
            warnings.push(format!("passed over {images} not UTF-8: {names}"));
        }
        let decided = layout::decide(root, &self.images, options.splits.as_ref(), options.lenient)?;
        let layout = decided.layout;
        warnings.extend(decided.warnings);
        let (items, passed) = self.items(&layout);
        warnings.extend(passed);

        let classes: BTreeSet<&String> = items.iter().flat_map(|i| &i.labels).collect();
        if !options.lenient {
            let classes: Vec<String> = classes.into_iter().cloned().collect();
            classes::check(root, &classes, self.images.len(), &self.hint(&classes))?;
        }
        let own_splits = layout != Layout::Flat;
        let dataset = classes::dataset(root, Found { items, own_splits, warnings, notes: layout.note().into_iter().collect() }, options)?;
        let missing = self.missing_classes(&layout, &dataset);
        Ok(Dataset { warnings: dataset.warnings.into_iter().chain(missing).collect(), ..dataset })
    }

    /// Images with their class and split, and what is said of those without.
    fn items(&self, layout: &Layout) -> (Vec<Item>, Vec<String>) {
        let (mut items, mut beside, mut stray) = (vec![], BTreeMap::new(), vec![]);
        for image in &self.images {
            match layout.place(image) {
                Place::Class(class, split) => {
                    items.push(Item { uri: image.clone(), labels: BTreeSet::from([class.to_string()]), split, group: None });
                }
                Place::Beside(folder) => {
                    *beside.entry(folder).or_insert(0) += 1;
                }
                Place::Stray => stray.push(image.as_str()),
            }
        }
        let mut warnings = vec![];
        if !beside.is_empty() {
            let folders: Vec<String> = beside.iter().map(|(folder, images)| format!("{images} in {folder}")).collect();
            let images = counted(beside.values().sum(), "image", "images");
            warnings.push(format!("passed over {images} beside the splits: {}", name_some(folders.iter().map(String::as_str))));
        }
        if !stray.is_empty() {
            let images = counted(stray.len(), "image that lies", "images that lie");
            warnings.push(format!("passed over {images} in no class folder: {}", name_some(stray.into_iter())));
        }
        (items, warnings)
    }

    /// The way out of too few classes: they may lie one folder deeper.
    fn hint(&self, classes: &[String]) -> String {
        let [only] = classes else { return LAYOUT.into() };
        let below = self.folders.iter().filter(|f| f.split_once('/').is_some_and(|(top, rest)| top == only && !rest.contains('/'))).count();
        if below > 1 {
            format!("if the folders in `{only}` are the classes, give option `data=DIR/{only}`; else {LAYOUT}")
        } else {
            LAYOUT.into()
        }
    }

    /// Names classes whose folder holds no image, and those that lack images in one of the splits.
    fn missing_classes(&self, layout: &Layout, dataset: &Dataset) -> Vec<String> {
        let with_images: BTreeSet<&str> = self
            .images
            .iter()
            .filter_map(|image| if let Place::Class(class, _) = layout.place(image) { Some(class) } else { None })
            .collect();
        let folders: BTreeSet<&str> = self.folders.iter().filter_map(|folder| layout.class_of(folder)).collect();
        let empty: Vec<&str> = folders.difference(&with_images).copied().collect();
        let mut warnings = Vec::new();
        if !empty.is_empty() {
            let folders = counted(empty.len(), "class folder", "class folders");
            warnings.push(format!("left out {folders} without images: {}", name_some(empty.into_iter())));
        }
        for split in layout.splits() {
            let there: BTreeSet<usize> =
                dataset.entries.iter().filter(|e| e.split == Some(split)).flat_map(|e| e.labels.iter().copied()).collect();
            let lacking = dataset.classes.iter().enumerate().filter(|(label, _)| !there.contains(label));
            let lacking: Vec<&str> = lacking.map(|(_, class)| class.as_str()).collect();
            if !lacking.is_empty() {
                let classes = counted(lacking.len(), "class", "classes");
                warnings.push(format!("{split} has no images of {classes}: {}", name_some(lacking.into_iter())));
            }
        }
        warnings
    }
}

/// The path relative to the root with `/`, where it is UTF-8.
fn uri(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(root).ok()?.iter().map(OsStr::to_str).collect();
    parts.map(|p| p.join("/"))
}
