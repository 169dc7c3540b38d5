//! From what a listing found to a data set: classes that are one, labels that are not classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use super::options::ListOptions;
use super::text::name_some;
use super::{Dataset, Entry, GroupRule, Split, group};
use crate::text::visible;
use crate::{Error, Result};

/// From how many classes on labels may be something else.
const SUSPICIOUS: usize = 10;

/// An image as it was found.
pub(super) struct Item {
    pub uri: String,
    /// Class names.
    pub labels: BTreeSet<String>,
    pub split: Option<Split>,
    pub group: Option<String>,
}

/// What a listing found.
#[derive(Default)]
pub(super) struct Found {
    pub items: Vec<Item>,
    pub own_splits: bool,
    pub warnings: Vec<String>,
    pub notes: Vec<String>,
}

/// Makes a data set of what was found at `path`.
///
/// # Errors
/// Labels that cannot be classes, a pattern of groups that fits nothing.
pub(super) fn dataset(path: &Path, mut found: Found, options: &ListOptions) -> Result<Dataset> {
    unite(&mut found);
    let Found { items, own_splits, mut warnings, mut notes } = found;
    let classes: Vec<String> = items.iter().flat_map(|i| &i.labels).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if !options.labels_are_classes && !options.lenient {
        refuse_other_labels(path, &classes, &items)?;
    }
    let entry = |item: Item| Entry {
        labels: item.labels.iter().filter_map(|label| classes.binary_search(label).ok()).collect(),
        uri: item.uri,
        split: item.split,
        group: item.group,
    };
    let mut entries: Vec<Entry> = items.into_iter().map(entry).collect();
    entries.sort_by(|a, b| a.uri.cmp(&b.uri));
    if let Some(GroupRule::Pattern(pattern)) = &options.group {
        warnings.extend(group::assign(pattern, path, &mut entries)?);
    }
    note_several_labels(&entries, &mut warnings, &mut notes);
    if own_splits {
        notes.extend(missing_splits(&entries));
    }
    Ok(Dataset { classes, entries, own_splits, warnings, notes })
}

/// Names that differ only in their Unicode form are one class. Those that differ in case are one
/// where no split holds two of them; else that is said.
fn unite(found: &mut Found) {
    let mut spellings: BTreeMap<String, BTreeMap<String, Spelling>> = BTreeMap::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut decomposed = BTreeSet::new();
    for item in &found.items {
        for label in &item.labels {
            let name: String = label.nfc().collect();
            if name != *label {
                decomposed.insert(name.clone());
            }
            let spelling = spellings.entry(folded(&name)).or_default().entry(name.clone()).or_default();
            spelling.images += 1;
            spelling.splits.insert(item.split);
            names.insert(label.clone(), name);
        }
    }
    let composed = decomposed.iter().filter(|name| names.contains_key(*name)).map(String::as_str).collect::<Vec<_>>();
    if !composed.is_empty() {
        let text = format!(
            "{} class names are spelt in two forms of Unicode and are one class each: {}",
            composed.len(),
            name_some(composed.into_iter())
        );
        found.warnings.push(text);
    }
    for same in spellings.into_values().filter(|same| same.len() > 1) {
        let all = name_some(same.keys().map(String::as_str));
        let splits: usize = same.values().map(|s| s.splits.len()).sum();
        let apart = splits == same.values().flat_map(|s| &s.splits).collect::<BTreeSet<_>>().len();
        let Some((first, _)) = same.iter().max_by_key(|(name, s)| (s.images, std::cmp::Reverse((*name).clone()))) else { continue };
        if apart {
            found.warnings.push(format!("the classes {all} differ only in case and stand in different splits: they are one, `{first}`"));
            names.values_mut().filter(|name| same.contains_key(*name)).for_each(|name| name.clone_from(first));
        } else {
            found.warnings.push(format!("the classes {all} differ only in case and are kept apart: if they are one, give them one name"));
        }
    }
    if names.iter().any(|(label, name)| label != name) {
        for item in &mut found.items {
            item.labels = item.labels.iter().map(|label| names[label].clone()).collect();
        }
    }
}

/// How often and where one spelling of a class occurs.
#[derive(Default)]
struct Spelling {
    images: usize,
    splits: BTreeSet<Option<Split>>,
}

fn folded(name: &str) -> String {
    name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Values of a regression and names of single photos are not classes.
fn refuse_other_labels(path: &Path, classes: &[String], items: &[Item]) -> Result<()> {
    if classes.len() < SUSPICIOUS {
        return Ok(());
    }
    let mut images: BTreeMap<&str, usize> = BTreeMap::new();
    items.iter().flat_map(|i| &i.labels).for_each(|label| *images.entry(label).or_default() += 1);
    let most = |n: usize| 2 * n > classes.len();
    let count = |is: &dyn Fn(&f64) -> bool| classes.iter().filter_map(|c| c.replace(',', ".").parse().ok()).filter(is).count();
    let numbers = count(&|_| true);
    let fractions = count(&|v| v.fract() != 0.0);
    let single = images.values().filter(|n| **n == 1).count();
    let (n, k) = (items.len(), classes.len());
    let problem = if most(numbers) && (most(fractions) || 3 * k > n) {
        format!(
            "has {k} different labels for {n} images, most of them numbers such as `{}`: values to predict are not classes",
            classes[k / 2]
        )
    } else if most(single) {
        format!(
            "has {k} different labels for {n} images, {single} of them for one image only, such as `{}`: nothing can be learnt of them",
            classes[k / 2]
        )
    } else {
        return Ok(());
    };
    let hint = "give a few classes of several images each (for numbers, ranges such as `young` and `old`); if these are classes indeed, say option `labels-are-classes`";
    Err(Error::data(path, problem, hint))
}

/// What a sweep does without a val split, where the data has splits of its own.
fn missing_splits(entries: &[Entry]) -> Option<String> {
    let lacks = |split| entries.iter().all(|e| e.split != Some(split));
    match (lacks(Split::Val), lacks(Split::Test)) {
        (false, _) => None,
        (true, false) => Some("there are no val images: a sweep holds out a fifth of train to choose by".into()),
        (true, true) => Some(
            "there are neither val nor test images: a sweep holds out a fifth of train to choose by, and \
             nothing is left for a last look at the chosen head"
                .into(),
        ),
    }
}

fn note_several_labels(entries: &[Entry], warnings: &mut Vec<String>, notes: &mut Vec<String>) {
    let several = entries.iter().filter(|e| e.labels.len() > 1).count();
    if several == 0 {
        return;
    }
    let text = format!("{several} of {} images have several labels (`a|b`): each class is judged by itself", entries.len());
    if 10 * several < entries.len() {
        warnings.push(format!("{text}. If `|` belongs to the names of classes, say option `single-label`"));
    } else {
        notes.push(text);
    }
}

/// Nothing can be learnt from no images or of a single class.
pub(super) fn check(path: &Path, classes: &[String], images: usize, hint: &str) -> Result<()> {
    match classes {
        [] if images == 0 => Err(Error::data(path, "holds no images", hint)),
        [] => Err(Error::data(path, format!("holds {images} images, none of them in a class"), hint)),
        [only] => Err(Error::data(path, format!("holds a single class, `{}`: there is nothing to tell apart", visible(only)), hint)),
        _ => Ok(()),
    }
}
