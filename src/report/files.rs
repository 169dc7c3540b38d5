//! The files of a sweep and of its caches, read back. A missing file is not an error; a damaged one
//! is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::run::{Run, written};
use crate::heads::{BEST_FOLDER, MODEL_FILE, Model};
use crate::sweep::{
    CONFIG_FILE, CONFUSION_FILE, EpochRecord, FinalRecord, FinishedTrial, LOG_FILE, NOTES_FILE, PER_CLASS_FILE, PREDICTIONS_FILE, RUN_FILE,
    SweepConfig, read_trials,
};
use crate::{Error, Result};

/// The content of a sweep directory.
pub(super) struct SweepFiles {
    /// The sweep file as it ran.
    pub config: SweepConfig,
    /// Finished trials by number.
    pub trials: BTreeMap<usize, FinalRecord>,
    /// Epochs of each of them.
    pub epochs: BTreeMap<usize, Vec<EpochRecord>>,
    /// The best head's description.
    pub model: Option<Model>,
    /// The best head's answers.
    pub predictions: Vec<Prediction>,
    /// Counts, with a header.
    pub confusion: Option<Table>,
    /// A row for each class, with a header.
    pub per_class: Option<Table>,
    /// Notes of the sweep.
    pub notes: Vec<String>,
    /// Damage to its log.
    pub damage: Vec<String>,
    /// The command that made it.
    pub run: Option<Run>,
    /// End of its last run in seconds since 1970.
    pub ended: Option<u64>,
}

/// A CSV file as it is.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// A row of `predictions.csv`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Prediction {
    /// Path of the image.
    pub path: String,
    /// Name of the split: val or test.
    pub split: String,
    /// Its class.
    pub class: String,
    /// The head's answer.
    pub predicted: String,
    /// Whether the answer is right: 1 or 0.
    pub correct: u8,
    /// Probability of the answer.
    pub probability: f64,
    /// Probability of the image's class.
    #[serde(default)]
    pub probability_of_class: Option<f64>,
}

/// A line of a cache's `extract.log.jsonl`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Extraction {
    /// Version of headstart.
    #[serde(default)]
    pub version: String,
    /// System and architecture.
    #[serde(default)]
    pub machine: String,
    /// Number of threads.
    #[serde(default)]
    pub threads: usize,
    /// Number of images that were computed, not found in the cache.
    #[serde(default)]
    pub computed: usize,
    /// Seconds by phase.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
    /// The folder of the images.
    #[serde(default)]
    pub data: Option<PathBuf>,
}

impl SweepFiles {
    /// Reads a sweep directory.
    ///
    /// # Errors
    /// A folder without trials, a damaged file.
    pub(super) fn read(folder: &Path) -> Result<SweepFiles> {
        let log = folder.join(LOG_FILE);
        if !log.is_file() {
            return Err(Error::data(folder, format!("is not a sweep: it has no {LOG_FILE}"), "name the folder of a sweep"));
        }
        let mut past = read_trials(&log)?;
        let (mut trials, mut epochs) = (BTreeMap::new(), BTreeMap::<usize, Vec<EpochRecord>>::new());
        for FinishedTrial { epochs: of_trial, end } in past.order.iter().filter_map(|id| past.finished.remove(id)) {
            // Of several runs the first stands for the trial.
            epochs.insert(end.trial, of_trial.into_iter().filter(|e| e.run == 0).collect());
            trials.insert(end.trial, end);
        }
        let model = folder.join(BEST_FOLDER).join(MODEL_FILE);
        let per_class = [PER_CLASS_FILE, "classes.csv"].iter().find_map(|name| table(&folder.join(name)).transpose());
        let run_file = folder.join(RUN_FILE);
        let run: Option<Run> =
            optional(&run_file)?.map(|text| serde_json::from_str(&text).map_err(|e| damaged(&run_file, &e))).transpose()?;
        let said = optional(&folder.join(NOTES_FILE))?.unwrap_or_default();
        let damage = past.damage.iter().map(|damage| format!("{damage}: its trial is left out")).collect();
        Ok(SweepFiles {
            config: SweepConfig::read(&folder.join(CONFIG_FILE))?,
            trials,
            epochs,
            model: optional(&model)?.map(|text| Model::parse(text.as_bytes(), &model)).transpose()?,
            predictions: predictions(&folder.join(PREDICTIONS_FILE))?,
            confusion: confusion(&folder.join(CONFUSION_FILE))?,
            per_class: per_class.transpose()?,
            notes: said.lines().map(str::to_owned).collect(),
            damage,
            ended: run.as_ref().map(|run| run.unix_time).or_else(|| written(&log)),
            run,
        })
    }
}

/// The last extraction of a cache that computed something; `None` where the cache is no longer
/// there.
///
/// # Errors
/// A log that is there and cannot be read.
pub(super) fn extraction(cache: &Path) -> Result<Option<Extraction>> {
    let Some(text) = optional(&cache.join("extract.log.jsonl"))? else { return Ok(None) };
    let all: Vec<Extraction> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // A run that found everything in the cache still knows where the images are.
    let data = all.iter().rev().find_map(|e| e.data.clone());
    Ok(all.into_iter().rev().find(|e| e.computed > 0).map(|e| Extraction { data, ..e }))
}

fn optional(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::data(path, format!("is damaged: {reason}"), "start the sweep again as before: it writes the file anew")
}

fn predictions(path: &Path) -> Result<Vec<Prediction>> {
    let Some(text) = optional(path)? else { return Ok(vec![]) };
    csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().map_err(|e| damaged(path, &e))
}

/// A table of counts, with a row and a column for each class.
fn confusion(path: &Path) -> Result<Option<Table>> {
    let Some(found) = table(path)? else { return Ok(None) };
    let is_count = |cell: &String| cell.parse::<usize>().is_ok();
    if found.rows.len() + 1 != found.header.len() || !found.rows.iter().all(|row| row.iter().skip(1).all(is_count)) {
        return Err(damaged(path, &"it does not hold a count for each class and answer"));
    }
    Ok(Some(found))
}

fn table(path: &Path) -> Result<Option<Table>> {
    let Some(text) = optional(path)? else { return Ok(None) };
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = cells(reader.headers().map_err(|e| damaged(path, &e))?);
    let rows = reader.records().map(|r| r.map(|r| cells(&r))).collect::<Result<_, _>>().map_err(|e| damaged(path, &e))?;
    Ok(Some(Table { header, rows }))
}
