//! What was measured, leg by leg, in the folder of a comparison: a leg that is there is not run again.

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

/// Everything that an unfinished comparison remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Digest of everything that the comparison depends on.
    pub id: String,
    /// The comparison in words.
    pub title: String,
    /// Seconds before either leg: images listed and digested, weights read, the base planned.
    pub start: Option<f64>,
    /// The leg on cached features.
    pub cached: Option<CachedLeg>,
    /// The leg with the base in the loop.
    pub in_loop: Option<InLoopLeg>,
}

/// The leg on cached features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedLeg {
    /// Images that could not be used.
    pub failed: usize,
    /// The extraction by phase.
    pub extract: Seconds,
    /// Opening the cache and making its features ready for the head.
    pub open: f64,
    /// All epochs.
    pub epochs: Vec<Epoch>,
    /// The head at its end, on val.
    pub val: Metrics,
}

/// The leg with the base in the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InLoopLeg {
    /// The epochs that were run.
    pub epochs: Vec<Epoch>,
    /// How its head agrees with the one on cached features after as many epochs.
    pub agreement: Agreement,
}

/// One epoch of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The base over all images, by phase, where this leg runs it in every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Seconds>,
    /// Seconds of training the head and judging it on val.
    pub head: f64,
    /// Accuracy on val after it.
    pub acc1: f64,
    /// Loss on val after it.
    pub loss: f64,
}

impl Epoch {
    /// Seconds of the whole epoch.
    pub fn seconds(&self) -> f64 {
        self.base.map_or(0.0, |base| base.wall) + self.head
    }
}

/// What two heads say of the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Epochs that both were trained for.
    pub epochs: usize,
    /// Images of val.
    pub images: usize,
    /// Whether all probabilities are the same bits.
    pub identical: bool,
    /// Largest difference of a probability.
    pub largest_difference: f64,
    /// Images whose most probable class is the same.
    pub same_class: usize,
}

impl CachedLeg {
    /// Its time over epochs.
    pub fn line(&self, start: f64) -> Line {
        Line::new(start + self.extract.wall + self.open, self.epochs.iter().map(Epoch::seconds))
    }
}

impl InLoopLeg {
    /// Its time over epochs.
    pub fn line(&self, start: f64) -> Line {
        Line::new(start, self.epochs.iter().map(Epoch::seconds))
    }
}

impl Record {
    /// What is in `folder` of the comparison with this id; in a new or empty folder, nothing yet.
    ///
    /// # Errors
    /// A folder with another comparison or with other files; a damaged record.
    pub fn open(folder: &Path, id: &str, title: &str) -> Result<Record> {
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
            return Err(Error::data(folder, problem, "name another folder with --out, or remove this one"));
        }
        Ok(record)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The system's own.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        replace(&path, &to_json(self, &path)?)
    }
}

/// The same with every number rounded to thirteen digits: so many are read back from JSON as they were written, to the last bit, and a
/// comparison that is told again tells the same.
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
    let mistake = |e| Error::cache(FILE, e, "this is a mistake in headstart");
    let mut value = serde_json::to_value(measured).map_err(mistake)?;
    round(&mut value);
    serde_json::from_value(value).map_err(mistake)
}

/// A value as the bytes of a JSON file.
pub(super) fn to_json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::cache(path, e, "this is a mistake in headstart"))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A folder that somebody uses for something else stays as it is.
fn refuse_others(folder: &Path) -> Result<()> {
    let listed = std::fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let others = listed.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    if others {
        return Err(Error::data(folder, "is not empty and holds no comparison", "name a new folder with --out"));
    }
    Ok(())
}

/// Deletes what a killed run left half-done in `folder`: files half-written, folders of features in the making.
pub(super) fn remove_leftovers(folder: &Path) -> Result<()> {
    remove_temporaries(folder, 1)?;
    let listed = std::fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let left = |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY));
    listed.flatten().map(|e| e.path()).filter(left).try_for_each(|path| remove(&path))
}

/// Deletes a folder; one that is not there is no error.
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
    fn legs_are_found_again_and_other_folders_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::open(folder.path(), "1", "one").unwrap();
        record.start = rounded(Some(0.1 + 0.2)).unwrap();
        assert_eq!(record.start, Some(0.3));
        record.save(folder.path()).unwrap();
        assert_eq!(Record::open(folder.path(), "1", "one").unwrap(), record);
        let other = Record::open(folder.path(), "2", "two").unwrap_err().to_string();
        assert!(other.contains("(one)") && other.contains("--out"), "{other}");
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
