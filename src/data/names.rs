//! What folders and words of a column say of splits: `Training`, `test_set`, `seg_train`,
//! `train2017`.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Split;
use crate::{Error, Result};

/// Words beside a split's name that say nothing.
const FILLERS: [&str; 25] = [
    "set",
    "sets",
    "data",
    "dataset",
    "datasets",
    "subset",
    "image",
    "images",
    "img",
    "imgs",
    "photo",
    "photos",
    "picture",
    "pictures",
    "pic",
    "pics",
    "seg",
    "split",
    "splits",
    "folder",
    "dir",
    "files",
    "samples",
    "partition",
    "the",
];
const TRAIN: [&str; 6] = ["train", "training", "trainval", "trainvalid", "trainvalidation", "traindev"];
const VAL: [&str; 8] = ["val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"];
const TEST: [&str; 5] = ["test", "testing", "tests", "holdout", "heldout"];

/// What a name says of splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is the name of a split.
    Split(Split),
    /// It has the name of a split in it, and more: `train_station`, `flowers_train`.
    Like(Split),
    /// Nothing.
    Other,
}

/// Reads a name in any case, with separators, numbers and words such as `set` or `images` around.
pub(super) fn read(name: &str) -> Reading {
    let words = words(name);
    if let Some(split) = split_of(&words.concat()) {
        return Reading::Split(split);
    }
    match words.iter().find_map(|word| split_of(word)) {
        Some(split) => Reading::Like(split),
        None => Reading::Other,
    }
}

/// The words of a name in lower case, without numbers and fillers; they end at separators, digits,
/// and where a capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let ends = before.is_lowercase() && c.is_uppercase() || before.is_numeric() != c.is_numeric();
        if ends || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty() && !word.chars().all(char::is_numeric) && !FILLERS.contains(&word.as_str()));
    words
}

/// `trainset` and `testimages` are written as one word, too.
fn split_of(word: &str) -> Option<Split> {
    let known = |word: &str| match word {
        w if TRAIN.contains(&w) => Some(Split::Train),
        w if VAL.contains(&w) => Some(Split::Val),
        w if TEST.contains(&w) => Some(Split::Test),
        _ => None,
    };
    known(word).or_else(|| FILLERS.iter().filter_map(|filler| word.strip_suffix(filler)).find_map(known))
}

/// Which folders (or words of a CSV's column `split`) are which split:
/// `train=Training,test=Testing`; `none` where no folder is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitNames(BTreeMap<String, Split>);

impl SplitNames {
    /// Nothing is a split.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The split of a folder or word.
    pub fn get(&self, name: &str) -> Option<Split> {
        self.0.get(name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Split)> {
        self.0.iter().map(|(name, split)| (name.as_str(), *split))
    }
}

impl FromStr for SplitNames {
    type Err = Error;

    fn from_str(text: &str) -> Result<SplitNames> {
        if text == "none" {
            return Ok(SplitNames::default());
        }
        let one = |pair: &str| {
            let (split, name) = pair.split_once('=').filter(|(_, name)| !name.is_empty())?;
            Some((name.trim_end_matches('/').to_string(), split.trim().parse().ok()?))
        };
        let help =
            "write which folders are train, val and test, such as option `splits=train=Training,test=Testing`, or option `splits=none`";
        let pairs: Option<Vec<(String, Split)>> = text.split(',').map(one).collect();
        let pairs = pairs.ok_or_else(|| Error::setting(format!("`{text}` does not say which folders are splits"), help))?;
        let names: BTreeMap<String, Split> = pairs.iter().cloned().collect();
        if names.len() < pairs.len() {
            return Err(Error::setting(format!("`{text}` names a folder twice"), help));
        }
        Ok(SplitNames(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings_are_splits() {
        use Split::{Test, Train, Val};
        for (split, names) in [
            (
                Train,
                "train Train TRAIN Training training_set train-data trainset TrainSet seg_train train2017 trainval train_val images_train 01-train",
            ),
            (Val, "val valid Validation validation_set val_data dev DevSet eval val2017 Valid-Images"),
            (Test, "test Testing testset test_set test_data TestImages seg_test holdout hold_out Held-Out tests"),
        ] {
            for name in names.split(' ') {
                assert_eq!(read(name), Reading::Split(split), "{name}");
            }
        }
        assert_eq!(read("Train Images"), Reading::Split(Train));
    }

    #[test]
    fn other_names_are_like_splits_or_not() {
        for name in ["train_station", "flowers-train", "test tube", "train_test", "bulletTrain"] {
            assert!(matches!(read(name), Reading::Like(_)), "{name}: {:?}", read(name));
        }
        for name in ["cats", "", "2023", "images", "trainer", "contest", "latest", "strain", "restrained", "vale"] {
            assert_eq!(read(name), Reading::Other, "{name}");
        }
    }

    #[test]
    fn given_names_stand_in_pairs() {
        let names: SplitNames = "train=Training,train=More,test=2024/".parse().unwrap();
        assert_eq!((names.get("More"), names.get("2024"), names.get("x")), (Some(Split::Train), Some(Split::Test), None));
        assert!("none".parse::<SplitNames>().unwrap().is_none());
        for bad in ["", "train", "train=", "=x", "training=x", "train=a,b", "train=a,val=a"] {
            assert!(bad.parse::<SplitNames>().unwrap_err().to_string().contains("option `splits=train=Training"), "{bad}");
        }
    }
}
