//! The measurements of a comparison, kept arm by arm in its folder: an arm that is there is not run
//! again.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::line::Line;
use crate::extract::Seconds;
use crate::files::{TEMPORARY, remove_temporaries, replace};
use crate::heads::Metrics;
use crate::{Error, Result};

const FILE: &str = "legs.json";

/// The measurements so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Digest of everything that the comparison depends on.
    pub id: String,
    /// The comparison in words, for messages.
    pub title: String,
    /// Seconds before either arm: images listed and digested, weights read, the base planned.
    pub start: Option<f64>,
    /// The arm on cached features.
    pub cached: Option<CachedArm>,
    /// The arm with the base in the loop.
    pub in_loop: Option<InLoopArm>,
}

/// The arm on cached features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CachedArm {
    /// Number of images that could not be used.
    pub failed: usize,
    /// The extraction by phase.
    pub extract: Seconds,
    /// Seconds to open the cache and prepare its features for the head.
    pub open: f64,
    /// All epochs.
    pub epochs: Vec<Epoch>,
    /// Metrics of the trained head on val.
    pub val: Metrics,
}

/// The arm with the base in the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InLoopArm {
    /// The epochs that were run.
    pub epochs: Vec<Epoch>,
    /// Agreement of its head with the one on cached features after as many epochs.
    pub agreement: Agreement,
}

/// One epoch of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Seconds of the base over all images, by phase, where the arm runs it in every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Seconds>,
    /// Seconds of training the head and judging it on val.
    pub head: f64,
    /// Accuracy on val after the epoch.
    pub acc1: f64,
    /// Loss on val after the epoch.
    pub loss: f64,
}

impl Epoch {
    /// Seconds of the whole epoch.
    pub fn seconds(&self) -> f64 {
        self.base.map_or(0.0, |base| base.wall) + self.head
    }
}

/// Agreement of two heads on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Number of epochs that both were trained for.
    pub epochs: usize,
    /// Number of images of val.
    pub images: usize,
    /// Whether all probabilities are the same bits.
    pub identical: bool,
    /// Largest difference of a probability.
    pub largest_difference: f64,
    /// Number of images whose most probable class is the same.
    pub same_class: usize,
}

impl CachedArm {
    /// Its time over epochs.
    pub(crate) fn line(&self, start: f64) -> Line {
        Line::new(start + self.extract.wall + self.open, self.epochs.iter().map(Epoch::seconds))
    }
}

impl InLoopArm {
    /// Its time over epochs.
    pub(crate) fn line(&self, start: f64) -> Line {
        Line::new(start, self.epochs.iter().map(Epoch::seconds))
    }
}

impl Record {
    /// The measurements in `folder` of the comparison with this digest; none in a new or empty
    /// folder.
    ///
    /// # Errors
    /// A folder with another comparison or with other files; a damaged record.
    pub(crate) fn open(folder: &Path, id: &str, title: &str) -> Result<Record> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                refuse_others(folder)?;
                let record = Record { id: id.into(), title: title.into(), start: None, cached: None, in_loop: None };
                record.save(folder)?;
                return Ok(record);
            }
            Err(e) => return Err(Error::io("read", &path)(e)),
        };
        let damaged = |e| Error::data(&path, format!("is damaged: {e}"), "remove the folder, and measure again");
        let record: Record = serde_json::from_str(&text).map_err(damaged)?;
        if record.id != id {
            let problem = format!("holds another comparison ({}), or one of other images, settings or threads", record.title);
            return Err(Error::data(folder, problem, "name another folder with option `out`, or remove this one"));
        }
        Ok(record)
    }

    /// Writes the measurements into the folder.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        replace(&path, &to_json(self, &path)?)
    }
}

/// The same with every number rounded to thirteen digits. These are read back from JSON to the last
/// bit, so that a comparison that is shown again shows the same numbers.
pub(super) fn rounded<T: Serialize + DeserializeOwned>(measured: T) -> Result<T> {
    fn round(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                let short = number.as_f64().and_then(|n| format!("{n:.12e}").parse::<f64>().ok());
                *value = short.map_or(Value::Null, Value::from);
            }
            Value::Array(values) => values.iter_mut().for_each(round),
            Value::Object(fields) => fields.values_mut().for_each(round),
            _ => {}
        }
    }
    let mistake = |e| Error::internal(format!("measurements cannot be written as JSON: {e}"));
    let mut value = serde_json::to_value(measured).map_err(mistake)?;
    round(&mut value);
    serde_json::from_value(value).map_err(mistake)
}

/// A value as the bytes of a JSON file.
pub(super) fn to_json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::internal(format!("{} cannot be made: {e}", path.display())))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Refuses a folder that is used for something else.
fn refuse_others(folder: &Path) -> Result<()> {
    let listed = std::fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let others = listed.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    if others {
        return Err(Error::data(folder, "is not empty and does not hold a comparison", "name a new folder with option `out`"));
    }
    Ok(())
}

/// Deletes the unfinished files and folders of a killed run.
pub(super) fn remove_leftovers(folder: &Path) -> Result<()> {
    remove_temporaries(folder, 1)?;
    let listed = std::fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let left = |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY));
    listed.flatten().map(|e| e.path()).filter(left).try_for_each(|path| remove(&path))
}

/// Deletes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("delete", folder)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_found_again_and_other_folders_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::open(folder.path(), "1", "one").unwrap();
        record.start = rounded(Some(0.1 + 0.2)).unwrap();
        assert_eq!(record.start, Some(0.3));
        record.save(folder.path()).unwrap();
        assert_eq!(Record::open(folder.path(), "1", "one").unwrap(), record);
        let other = Record::open(folder.path(), "2", "two").unwrap_err().to_string();
        assert!(other.contains("(one)") && other.contains("option `out`"), "{other}");
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Record::open(folder.path(), "1", "one").unwrap_err().to_string().contains("legs.json"));
        let photos = tempfile::tempdir().unwrap();
        std::fs::write(photos.path().join("cat.jpg"), "").unwrap();
        assert!(Record::open(photos.path(), "1", "one").unwrap_err().to_string().contains("not empty"));
        assert!(!photos.path().join(FILE).exists());
    }

    #[test]
    fn leftovers_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".tmp-loop1/deep", "cache"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join(".tmp-half"), "{").unwrap();
        remove_leftovers(folder.path()).unwrap();
        assert!(!folder.path().join(".tmp-loop1").exists() && !folder.path().join(".tmp-half").exists());
        assert!(folder.path().join("cache").exists());
    }
}
