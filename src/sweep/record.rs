//! `trials.jsonl`: one record an epoch and a final one for each trial; read back, finished trials need not be trained again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::files::replace;
use crate::heads::{Epoch, METRICS, Metrics};
use crate::{Error, Result};

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All epochs, or its own early stopping.
    Done,
    /// Stopped by the sweep, because others did better.
    Stopped,
    /// The loss left the finite numbers.
    Diverged,
}

impl Status {
    /// Its word in files.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Stopped => "stopped",
            Status::Diverged => "diverged",
        }
    }
}

/// One line of `trials.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Record {
    /// After an epoch.
    Epoch(EpochRecord),
    /// After the last one.
    Final(FinalRecord),
}

/// A trial after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the trial.
    pub trial: usize,
    /// Digest of everything that decides its numbers.
    pub id: String,
    /// Number of the run, where a trial has several.
    #[serde(default, skip_serializing_if = "is_first")]
    pub run: usize,
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Mean training loss of its steps.
    #[serde(rename = "train.loss")]
    pub train_loss: Option<f64>,
    /// Seconds.
    pub seconds: f64,
    /// `val.acc1` and so on.
    #[serde(flatten)]
    pub metrics: Map<String, Value>,
}

/// A trial at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalRecord {
    /// Number of the trial.
    pub trial: usize,
    /// Digest of everything that decides its numbers.
    pub id: String,
    /// What the sweep file says of it.
    pub settings: Map<String, Value>,
    /// How it ended.
    pub status: Status,
    /// The epoch whose weights were kept.
    pub epochs: usize,
    /// Seconds.
    pub seconds: f64,
    /// `val.acc1` and so on.
    #[serde(flatten)]
    pub metrics: Map<String, Value>,
}

fn is_first(run: &usize) -> bool {
    *run == 0
}

impl EpochRecord {
    /// What is written of an epoch.
    pub fn new(trial: usize, id: &str, run: usize, epoch: &Epoch) -> EpochRecord {
        let trained = Some(epoch.train.acc1).filter(|a| a.is_finite()).map(|a| ("train.acc1".to_owned(), rounded(a).into()));
        EpochRecord {
            trial,
            id: id.into(),
            run,
            epoch: epoch.epoch,
            lr: rounded(epoch.lr),
            train_loss: Some(epoch.train.loss).filter(|l| l.is_finite()).map(rounded),
            seconds: epoch.seconds,
            metrics: trained.into_iter().chain(flat("val", &epoch.val)).collect(),
        }
    }

    /// Whether the loss had left the finite numbers: there are no metrics then.
    pub fn has_diverged(&self) -> bool {
        self.metrics.get("val.loss").is_some_and(Value::is_null)
    }
}

/// Ten digits: more says nothing, and as many are read back as the very number that was written.
pub(super) fn rounded(x: f64) -> f64 {
    format!("{x:.9e}").parse().unwrap_or(x)
}

/// Metrics as `split.name` → value; what is no number is null.
pub fn flat(split: &str, metrics: &Metrics) -> Map<String, Value> {
    let value = |name: &str| metrics.get(name).map(|x| Value::from(rounded(x)));
    METRICS.iter().filter_map(|(name, _)| value(name).map(|v| (format!("{split}.{name}"), v))).collect()
}

/// The file, open for appending. Lines are written whole: a kill leaves at most one broken line, the last.
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

/// Beside the log: finished trials of other sweeps in the same folder, so that a sweep with other settings loses none.
pub const EARLIER: &str = "trials-earlier.jsonl";

/// What earlier runs left: for each trial id its epochs and its end.
pub type Finished = HashMap<String, (Vec<EpochRecord>, FinalRecord)>;

impl Log {
    /// Reads the finished trials of earlier runs, those put aside too, rewrites the log with these alone and opens it.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path) -> Result<(Log, Finished)> {
        let mut finished = read(&aside(path))?;
        finished.extend(read(path)?);
        rewrite(path, finished.values())?;
        Ok((Log::append_to(path)?, finished))
    }

    fn append_to(path: &Path) -> Result<Log> {
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io("open", path))?;
        Ok(Log { path: path.into(), file: Mutex::new(file) })
    }

    /// Rewrites the file with the trials that `numbers` names, by id, under these numbers. Other sweeps' trials go to [`EARLIER`] beside it;
    /// returns how many.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn settle(&self, numbers: &HashMap<&str, usize>) -> Result<usize> {
        let (mut own, earlier): (Finished, Finished) = read(&self.path)?.into_iter().partition(|(id, _)| numbers.contains_key(id.as_str()));
        for (id, (epochs, end)) in &mut own {
            let number = numbers[id.as_str()];
            epochs.iter_mut().for_each(|e| e.trial = number);
            end.trial = number;
        }
        let earlier_file = aside(&self.path);
        if !earlier.is_empty() || earlier_file.exists() {
            rewrite(&earlier_file, earlier.values())?;
        }
        rewrite(&self.path, own.values())?;
        Ok(earlier.len())
    }

    /// Appends one record.
    ///
    /// # Errors
    /// A full disk.
    pub fn append(&self, record: &Record) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line(record).as_bytes()).map_err(Error::io("write", &self.path))
    }
}

/// Where a log's trials of earlier sweeps are kept.
fn aside(path: &Path) -> PathBuf {
    path.with_file_name(EARLIER)
}

/// Writes trials in the order of their numbers.
fn rewrite<'a>(path: &Path, trials: impl Iterator<Item = &'a (Vec<EpochRecord>, FinalRecord)>) -> Result<()> {
    let mut trials: Vec<_> = trials.collect();
    trials.sort_unstable_by(|(_, a), (_, b)| (a.trial, &a.id).cmp(&(b.trial, &b.id)));
    let mut text = String::new();
    for (epochs, end) in trials {
        epochs.iter().for_each(|e| text += &line(&Record::Epoch(e.clone())));
        text += &line(&Record::Final(end.clone()));
    }
    replace(path, text.as_bytes())
}

fn line(record: &Record) -> String {
    // A record is a map of texts and numbers: serialising it cannot fail.
    serde_json::to_string(record).map(|text| text + "\n").unwrap_or_default()
}

/// Records of finished trials; broken lines (a killed writer's) are passed over.
fn read(path: &Path) -> Result<Finished> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Finished::new()),
        Err(e) => return Err(Error::io("open", path)(e)),
    };
    let mut epochs: HashMap<String, Vec<EpochRecord>> = HashMap::new();
    let mut finished = Finished::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(Error::io("read", path))?;
        match serde_json::from_slice(&line) {
            // A trial that was begun again starts over.
            Ok(Record::Epoch(e)) if e.epoch == 1 && e.run == 0 => drop(epochs.insert(e.id.clone(), vec![e])),
            Ok(Record::Epoch(e)) => epochs.entry(e.id.clone()).or_default().push(e),
            Ok(Record::Final(end)) => {
                let past = epochs.remove(&end.id).unwrap_or_default();
                finished.insert(end.id.clone(), (past, end));
            }
            Err(_) => {}
        }
    }
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(id: &str, trial: usize) -> [Record; 2] {
        let metrics = Map::from_iter([("val.acc1".to_owned(), Value::from(0.5))]);
        let epoch =
            EpochRecord { trial, id: id.into(), run: 0, epoch: 1, lr: 0.1, train_loss: None, seconds: 0.0, metrics: metrics.clone() };
        let (settings, status) = (Map::from_iter([("lr".to_owned(), Value::from(0.1))]), Status::Done);
        let end = FinalRecord { trial, id: id.into(), settings, status, epochs: 1, seconds: 0.5, metrics };
        [Record::Epoch(epoch), Record::Final(end)]
    }

    #[test]
    fn a_killed_log_keeps_its_finished_trials_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let (log, finished) = Log::open(&path).unwrap();
        assert!(finished.is_empty());
        for (id, trial) in [("a", 0), ("b", 1)] {
            records(id, trial).iter().for_each(|r| log.append(r).unwrap());
        }
        log.append(&records("c", 2)[0]).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"record\":\"ep").unwrap();
        let (log, finished) = Log::open(&path).unwrap();
        let mut ids: Vec<&String> = finished.keys().collect();
        ids.sort_unstable();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
        assert_eq!(log.settle(&HashMap::from([("b", 0), ("d", 2)])).unwrap(), 1);
        let ids = |path: &Path| read(path).unwrap().into_keys().collect::<Vec<_>>();
        assert_eq!((ids(&path), ids(&folder.path().join(EARLIER))), (vec!["b".to_owned()], vec!["a".to_owned()]));
        // A later sweep finds both.
        let (log, finished) = Log::open(&path).unwrap();
        assert_eq!((finished.len(), finished["b"].1.trial), (2, 0));
        assert_eq!(log.settle(&HashMap::from([("a", 0), ("b", 1)])).unwrap(), 0);
        assert!(ids(&folder.path().join(EARLIER)).is_empty());
    }
}
