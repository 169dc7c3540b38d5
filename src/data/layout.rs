//! What the folders of a data set mean: classes alone, or splits above or below them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::names::{Reading, SplitNames, read};
use super::text::name_some;
use super::{Split, names};
use crate::{Error, Result, nearest};

/// Where class and split stand in the path of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// `DIR/CLASS/…`
    Flat,
    /// `DIR/SPLIT/CLASS/…`, perhaps `DIR/SPLIT/SPLIT/CLASS/…`: folders of the first level.
    Above(BTreeMap<String, SplitFolder>),
    /// `DIR/CLASS/SPLIT/…`: names of the second level.
    Below(BTreeMap<String, Split>),
}

/// A folder that is a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitFolder {
    pub split: Split,
    /// The only folder in it, where that is called like a split itself: `seg_train/seg_train`.
    pub inner: Option<String>,
}

/// Where an image stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In a class, and in a split where the data has some.
    Class(&'a str, Option<Split>),
    /// In a folder beside the splits.
    Beside(&'a str),
    /// In no class folder.
    Stray,
}

impl Layout {
    /// Class and split of a path relative to the root.
    pub(super) fn place<'a>(&self, uri: &'a str) -> Place<'a> {
        let mut parts = uri.split('/');
        let mut split = None;
        if let Layout::Above(folders) = self {
            let top = parts.next().unwrap_or_default();
            let Some(folder) = folders.get(top) else { return Place::Beside(top) };
            if folder.inner.is_some() {
                parts.next();
            }
            split = Some(folder.split);
        }
        let (Some(class), Some(next)) = (parts.next(), parts.next()) else { return Place::Stray };
        if let Layout::Below(splits) = self {
            match (splits.get(next), parts.next()) {
                (Some(&below), Some(_)) => split = Some(below),
                _ => return Place::Beside(class),
            }
        }
        Place::Class(class, split)
    }

    /// The class that a folder stands for, where it stands for one.
    pub(super) fn class_of<'a>(&self, folder: &'a str) -> Option<&'a str> {
        let parts: Vec<&str> = folder.split('/').collect();
        match (self, parts.as_slice()) {
            (Layout::Flat | Layout::Below(_), [class]) => Some(class),
            (Layout::Above(folders), [top, rest @ ..]) => match (folders.get(*top)?.inner.is_some(), rest) {
                (false, [class]) | (true, [_, class]) => Some(class),
                _ => None,
            },
            _ => None,
        }
    }

    /// The splits that there are.
    pub(super) fn splits(&self) -> BTreeSet<Split> {
        match self {
            Layout::Flat => BTreeSet::new(),
            Layout::Above(folders) => folders.values().map(|f| f.split).collect(),
            Layout::Below(splits) => splits.values().copied().collect(),
        }
    }

    /// Which folder was taken for which split, where it is not called so.
    pub(super) fn note(&self) -> Option<String> {
        let named = |(name, folder): (&String, &SplitFolder)| {
            let whole = folder.inner.as_ref().map_or(name.clone(), |inner| format!("{name}/{inner}"));
            (whole != folder.split.name()).then(|| format!("{whole} is {}", folder.split))
        };
        let said: Vec<String> = match self {
            Layout::Flat => return None,
            Layout::Above(folders) => folders.iter().filter_map(named).collect(),
            Layout::Below(splits) => splits.iter().map(|(name, split)| format!("{name} in each class folder is {split}")).collect(),
        };
        (!said.is_empty()).then(|| format!("splits: {}", said.join(", ")))
    }
}

/// A folder of the first level.
#[derive(Default)]
struct Top<'a> {
    /// Images in it itself.
    direct: usize,
    /// Folders in it with images somewhere below.
    below: BTreeSet<&'a str>,
}

impl Top<'_> {
    fn holds_folders(&self) -> bool {
        self.direct == 0 && !self.below.is_empty()
    }
}

/// What the layout is and what the user should know of it.
pub(super) struct Decided {
    pub layout: Layout,
    pub warnings: Vec<String>,
}

/// Finds the layout of a folder's images. With `names`, the user has said which folders are splits.
/// A lenient reader takes what is not sure for classes.
///
/// # Errors
/// Folders that look like splits where it is not sure that they are.
pub(super) fn decide(root: &Path, images: &[String], names: Option<&SplitNames>, lenient: bool) -> Result<Decided> {
    let tops = tops(images);
    let plain = |layout| Ok(Decided { layout, warnings: vec![] });
    if let Some(names) = names {
        return plain(given(root, &tops, names)?);
    }
    let sure: BTreeMap<&str, Split> = tops.keys().filter_map(|name| split_named(name)).collect();
    let structured = sure.keys().any(|name| tops[name].holds_folders());
    let several = sure.values().collect::<BTreeSet<_>>().len() > 1;
    if !sure.is_empty() && (sure.len() == tops.len() || structured && several) {
        return plain(above(&tops, sure));
    }
    if let Some(below) = below(&tops) {
        return plain(Layout::Below(below));
    }
    let looks: BTreeMap<&str, Split> = tops.keys().filter_map(|name| split_like(name)).collect();
    if !lenient && (structured || look_like_splits(&tops, &looks)) {
        return Err(not_sure(root, &tops, &looks));
    }
    let mut warnings = vec![];
    if !sure.is_empty() {
        let names = name_some(sure.keys().copied());
        warnings.push(format!(
            "took {names} for a class: it holds images itself, like the folders beside it (if it is a split, say so with option `splits`)"
        ));
    } else if let Some(common) = common_folders(&tops) {
        warnings.push(format!(
            "each of the class folders {} holds folders of the same names: {}. Are those the classes? Then say what the folders above are, with option `splits`, or give one of them with option `data`",
            name_some(tops.keys().copied()),
            name_some(common.iter().copied())
        ));
    }
    Ok(Decided { layout: Layout::Flat, warnings })
}

fn tops(images: &[String]) -> BTreeMap<&str, Top<'_>> {
    let mut tops: BTreeMap<&str, Top<'_>> = BTreeMap::new();
    for image in images {
        let Some((top, rest)) = image.split_once('/') else { continue };
        let top = tops.entry(top).or_default();
        match rest.split_once('/') {
            Some((below, _)) => {
                top.below.insert(below);
            }
            None => top.direct += 1,
        }
    }
    tops
}

fn split_named<'a>(name: &&'a str) -> Option<(&'a str, Split)> {
    match read(name) {
        Reading::Split(split) => Some((*name, split)),
        _ => None,
    }
}

fn split_like<'a>(name: &&'a str) -> Option<(&'a str, Split)> {
    match read(name) {
        Reading::Split(split) | Reading::Like(split) => Some((*name, split)),
        Reading::Other => None,
    }
}

/// The folders that the user named.
fn given(root: &Path, tops: &BTreeMap<&str, Top<'_>>, names: &SplitNames) -> Result<Layout> {
    if names.is_none() {
        return Ok(Layout::Flat);
    }
    if let Some((name, _)) = names.iter().find(|(name, _)| !tops.contains_key(name)) {
        let hint = match nearest(name, tops.keys().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", name_some(tops.keys().copied())),
        };
        return Err(Error::data(root, format!("has no folder `{name}` with images in it, which option `splits` names"), hint));
    }
    Ok(above(tops, names.iter().collect()))
}

fn above(tops: &BTreeMap<&str, Top<'_>>, splits: BTreeMap<&str, Split>) -> Layout {
    let folder = |(name, split): (&str, Split)| {
        let only = tops.get(name).filter(|top| top.holds_folders() && top.below.len() == 1).and_then(|top| top.below.first());
        let inner = only.filter(|inner| **inner == name || read(inner) == Reading::Split(split)).map(|inner| (*inner).to_string());
        (name.to_string(), SplitFolder { split, inner })
    };
    Layout::Above(splits.into_iter().map(folder).collect())
}

/// Splits inside of each class, where nothing else is in there.
fn below(tops: &BTreeMap<&str, Top<'_>>) -> Option<BTreeMap<String, Split>> {
    let all: BTreeSet<&str> = tops.values().flat_map(|top| top.below.iter().copied()).collect();
    let splits: BTreeMap<String, Split> = all.iter().filter_map(split_named).map(|(name, split)| (name.to_string(), split)).collect();
    let several = splits.values().collect::<BTreeSet<_>>().len() > 1;
    (several && splits.len() == all.len() && tops.values().all(Top::holds_folders)).then_some(splits)
}

/// Whether folders of several splits' names either are all that there is, or hold folders of the
/// same name.
fn look_like_splits(tops: &BTreeMap<&str, Top<'_>>, looks: &BTreeMap<&str, Split>) -> bool {
    if looks.values().collect::<BTreeSet<_>>().len() < 2 {
        return false;
    }
    let mut seen = BTreeSet::new();
    let shared = looks.keys().flat_map(|name| &tops[name].below).any(|below| !seen.insert(*below));
    looks.len() == tops.len() || shared
}

/// Two or more names that the folders in every folder of the first level have.
fn common_folders<'a>(tops: &BTreeMap<&str, Top<'a>>) -> Option<BTreeSet<&'a str>> {
    let mut all = tops.values();
    let first = all.next()?.below.clone();
    let same = tops.len() > 1 && first.len() > 1 && tops.values().all(|top| top.holds_folders() && top.below == first);
    same.then_some(first)
}

fn not_sure(root: &Path, tops: &BTreeMap<&str, Top<'_>>, looks: &BTreeMap<&str, Split>) -> Error {
    let pairs: Vec<String> = looks.iter().map(|(name, split)| format!("{split}={name}")).collect();
    let problem =
        format!("holds the folders {}: are {} splits or classes?", name_some(tops.keys().copied()), name_some(looks.keys().copied()));
    Error::data(root, problem, format!("say which are splits: option `splits={}`; if none is, option `splits=none`", pairs.join(",")))
}

/// The split that a word in a CSV's column means.
pub(super) fn split_of_word(word: &str, names: Option<&SplitNames>) -> Option<Split> {
    match names {
        Some(names) => names.get(word),
        None => match names::read(word) {
            Reading::Split(split) => Some(split),
            _ => None,
        },
    }
}
