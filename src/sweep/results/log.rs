//! `trials.jsonl`: the records of all trials. Read back, finished trials need not be trained again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::earlier;
use super::names::{EARLIER_LOG_FILE, LOG_FILE};
use super::record::{EpochRecord, FinishedTrial, Record};
use crate::files::replace;
use crate::{Error, Result};

/// The log, open for appending. Lines are written whole: a kill leaves at most one broken line, the
/// last. Each line ends with a checksum of its text.
pub(crate) struct Log {
    path: PathBuf,
    file: Mutex<File>,
    /// Digests of the trials in the logs of earlier sweeps.
    elsewhere: HashSet<String>,
}

/// Finished trials by their digest.
pub(crate) type Finished = HashMap<String, FinishedTrial>;

/// The trials of a log.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Trials that came to their end and of which no line is missing.
    pub finished: Finished,
    /// Their digests, in the order of their ends.
    pub order: Vec<String>,
    /// Damaged or missing lines, in words. Trials to which they may belong are not among the
    /// finished ones.
    pub damage: Vec<String>,
}

impl Log {
    /// Reads the finished trials of earlier runs and of earlier sweeps, rewrites the log with these
    /// alone and opens it. Damage is described with its consequence.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(crate) fn open(path: &Path) -> Result<(Log, Past)> {
        let mut past = Past::default();
        let mut elsewhere = HashSet::new();
        let folder = path.parent().unwrap_or(Path::new("."));
        let kept = earlier::folders(folder)?.into_iter().map(|earlier| earlier.folder.join(LOG_FILE));
        for (is_own, log) in kept.map(|log| (false, log)).chain([(true, aside(path)), (true, path.into())]) {
            let Past { finished, damage, .. } = read_trials(&log)?;
            if !is_own {
                elsewhere.extend(finished.keys().cloned());
            }
            past.finished.extend(finished);
            past.damage.extend(damage.into_iter().map(|damage| format!("{damage}: its trial is trained again where it is wanted")));
        }
        rewrite(path, past.finished.values())?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io("open", path))?;
        Ok((Log { path: path.into(), file: Mutex::new(file), elsewhere }, past))
    }

    /// Rewrites the log with the trials of `numbers` (by digest) under these numbers. Trials of
    /// other sweeps that no folder of theirs keeps move to [`EARLIER_LOG_FILE`] beside it. Returns
    /// the number of these.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub(crate) fn finish(&self, numbers: &HashMap<&str, usize>) -> Result<usize> {
        let all = read_trials(&self.path)?.finished;
        let (mut own, mut earlier): (Finished, Finished) = all.into_iter().partition(|(id, _)| numbers.contains_key(id.as_str()));
        earlier.retain(|id, _| !self.elsewhere.contains(id));
        for (id, trial) in &mut own {
            let number = numbers[id.as_str()];
            trial.epochs.iter_mut().for_each(|e| e.trial = number);
            trial.end.trial = number;
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
    pub(crate) fn append(&self, record: &Record) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line(record).as_bytes()).map_err(Error::io("write", &self.path))
    }
}

/// The file beside a log for trials of other sweeps.
fn aside(path: &Path) -> PathBuf {
    path.with_file_name(EARLIER_LOG_FILE)
}

/// Writes trials in the order of their numbers.
fn rewrite<'a>(path: &Path, trials: impl Iterator<Item = &'a FinishedTrial>) -> Result<()> {
    let mut trials: Vec<&FinishedTrial> = trials.collect();
    trials.sort_unstable_by(|a, b| (a.end.trial, &a.end.id).cmp(&(b.end.trial, &b.end.id)));
    let mut text = String::new();
    for FinishedTrial { epochs, end } in trials {
        epochs.iter().for_each(|e| text += &line(&Record::Epoch(e.clone())));
        text += &line(&Record::Final(end.clone()));
    }
    replace(path, text.as_bytes())
}

/// The text between a record and its checksum, and behind it.
const CHECK: [&str; 2] = [",\"check\":\"", "\"}"];
/// Number of digits of a checksum: the first ones of a SHA-256, which every language has.
const DIGITS: usize = 16;

fn checksum(text: &[u8]) -> String {
    Sha256::digest(text)[..DIGITS / 2].iter().map(|b| format!("{b:02x}")).collect()
}

fn line(record: &Record) -> String {
    // A record is a map of texts and numbers: serialising it cannot fail.
    let mut text = serde_json::to_string(record).unwrap_or_default();
    text.pop();
    format!("{text}{}{}{}\n", CHECK[0], checksum(text.as_bytes()), CHECK[1])
}

/// The record of a line without its checksum, and the checksum; `None` where it has none.
fn checked(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(CHECK[1].as_bytes())?;
    let (rest, digits) = line.split_at_checked(line.len().checked_sub(DIGITS)?)?;
    Some((rest.strip_suffix(CHECK[0].as_bytes())?, digits))
}

/// The record of a line that is as it was written. Logs of early versions have no checksums.
fn parse(line: &[u8], has_checksum: bool) -> Option<Record> {
    match checked(line) {
        Some((text, digits)) if checksum(text).as_bytes() == digits => serde_json::from_slice(&[text, b"}"].concat()).ok(),
        None if !has_checksum => serde_json::from_slice(line).ok(),
        _ => None,
    }
}

/// Reads the trials of a log that came to their end, but for those of which a line is missing or
/// may be a damaged one.
///
/// # Errors
/// A file that cannot be read. One that is not there holds no trial.
pub(crate) fn read_trials(path: &Path) -> Result<Past> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Past::default()),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let has_checksums = lines.iter().any(|line| checked(line).is_some());
    let mut past = Past::default();
    let mut begun: HashMap<String, (usize, Vec<EpochRecord>)> = HashMap::new();
    let (mut spans, mut damaged) = (HashMap::<String, std::ops::Range<usize>>::new(), vec![]);
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        match parse(line, has_checksums) {
            // A trial that was begun again starts over.
            Some(Record::Epoch(e)) if e.epoch == 1 && e.run == 0 => drop(begun.insert(e.id.clone(), (at, vec![e]))),
            Some(Record::Epoch(e)) => begun.entry(e.id.clone()).or_insert((at, vec![])).1.push(e),
            Some(Record::Final(end)) => {
                let (first, epochs) = begun.remove(&end.id).unwrap_or((at, vec![]));
                if spans.contains_key(&end.id) {
                    past.order.retain(|id| *id != end.id);
                }
                past.order.push(end.id.clone());
                spans.insert(end.id.clone(), first..at);
                past.finished.insert(end.id.clone(), FinishedTrial { epochs, end });
            }
            None => {
                // Text behind the last line break was being written.
                let how = if at + 1 == lines.len() { "cut short" } else { "damaged" };
                past.damage.push(format!("{}:{} is {how}", path.display(), at + 1));
                damaged.push(at);
            }
        }
    }
    past.order.retain(|id| {
        let (span, trial) = (&spans[id], &past.finished[id]);
        let is_whole = is_whole(trial);
        if !is_whole && damaged.is_empty() {
            past.damage.push(format!("{}:{} ends trial {}, of which lines are missing", path.display(), span.end + 1, trial.end.trial));
        }
        // A damaged line within a trial's own may have been one of them.
        is_whole && !damaged.iter().any(|at| span.contains(at))
    });
    let left: HashSet<&String> = past.order.iter().collect();
    past.finished.retain(|id, _| left.contains(id));
    Ok(past)
}

/// Whether each epoch of each run is there, up to the one that counts.
fn is_whole(FinishedTrial { epochs, end }: &FinishedTrial) -> bool {
    let mut runs = BTreeMap::<usize, usize>::new();
    let follows = |e: &EpochRecord| {
        let last = runs.entry(e.run).or_default();
        *last += 1;
        *last == e.epoch
    };
    epochs.iter().all(follows) && runs.keys().copied().eq(0..runs.len()) && runs.values().max().is_some_and(|&last| end.epochs <= last)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::super::record::{FinalRecord, Status};
    use super::*;

    fn records(id: &str, trial: usize) -> [Record; 2] {
        let metrics = Map::from_iter([("val.acc1".to_owned(), Value::from(0.5))]);
        let epoch =
            EpochRecord { trial, id: id.into(), run: 0, epoch: 1, lr: 0.1, train_loss: None, seconds: 0.0, metrics: metrics.clone() };
        let (settings, status) = (Map::from_iter([("lr".to_owned(), Value::from(0.1))]), Status::Done);
        let end = FinalRecord { trial, id: id.into(), settings, status, epochs: 1, seconds: 0.5, metrics };
        [Record::Epoch(epoch), Record::Final(end)]
    }

    fn ids(path: &Path) -> Vec<String> {
        let mut past = read_trials(path).unwrap();
        past.order.sort_unstable();
        past.order
    }

    #[test]
    fn a_killed_log_keeps_its_finished_trials_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG_FILE);
        let (log, past) = Log::open(&path).unwrap();
        assert!(past.finished.is_empty() && past.damage.is_empty());
        for (id, trial) in [("a", 0), ("b", 1)] {
            records(id, trial).iter().for_each(|r| log.append(r).unwrap());
        }
        log.append(&records("c", 2)[0]).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"record\":\"ep").unwrap();
        let (log, past) = Log::open(&path).unwrap();
        assert_eq!(past.order.len(), 0, "those of several logs have no order");
        assert!(past.damage.len() == 1 && past.damage[0].contains("trials.jsonl:6 is cut short: its trial is trained again"), "{past:?}");
        assert_eq!(ids(&path), ["a", "b"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
        assert_eq!(log.finish(&HashMap::from([("b", 0), ("d", 2)])).unwrap(), 1);
        assert_eq!((ids(&path), ids(&folder.path().join(EARLIER_LOG_FILE))), (vec!["b".to_owned()], vec!["a".to_owned()]));
        // A later sweep finds both.
        let (log, past) = Log::open(&path).unwrap();
        assert_eq!((past.finished.len(), past.finished["b"].end.trial), (2, 0));
        assert_eq!(log.finish(&HashMap::from([("a", 0), ("b", 1)])).unwrap(), 0);
        assert!(ids(&folder.path().join(EARLIER_LOG_FILE)).is_empty());
    }

    #[test]
    fn no_flipped_bit_is_taken_for_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG_FILE);
        let (log, _) = Log::open(&path).unwrap();
        for (id, trial) in [("a", 0), ("b", 1), ("c", 2)] {
            records(id, trial).iter().for_each(|r| log.append(r).unwrap());
        }
        let (whole, all) = (std::fs::read(&path).unwrap(), read_trials(&path).unwrap().finished);
        for at in 0..whole.len() {
            for bit in [0, 3, 6] {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                std::fs::write(&path, &flipped).unwrap();
                let past = read_trials(&path).unwrap();
                let line = whole[..at].iter().filter(|&&b| b == b'\n').count() + 1;
                assert!(past.finished.iter().all(|(id, trial)| all[id] == *trial), "byte {at}, bit {bit}");
                let near = |line: usize| past.damage.iter().any(|said| said.contains(&format!("trials.jsonl:{line} is ")));
                // A line break that is gone makes one line of two.
                assert!(!past.damage.is_empty() && (near(line) || near(line + 1)), "byte {at}, bit {bit}: {:?}", past.damage);
                assert!(past.finished.len() < 3 && !past.finished.is_empty(), "only the trials of that line: byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn logs_without_checksums_are_read_and_lines_that_are_gone_are_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG_FILE);
        let text = |records: &[Record]| records.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect::<String>();
        let (a, b) = (records("a", 0), records("b", 1));
        std::fs::write(&path, text(&a) + &text(&b)).unwrap();
        assert_eq!(ids(&path), ["a", "b"]);
        std::fs::write(&path, text(&a[1..]) + &text(&b)).unwrap();
        let past = read_trials(&path).unwrap();
        assert_eq!((past.order.len(), past.finished.contains_key("b")), (1, true));
        assert!(past.damage[0].contains("trials.jsonl:1 ends trial 0, of which lines are missing"), "{past:?}");
        // Numbers that no sweep writes.
        let Record::Epoch(e) = &b[0] else { unreachable!() };
        for (run, epoch) in [(usize::MAX, 1), (0, usize::MAX), (1, 1)] {
            std::fs::write(&path, text(&[Record::Epoch(EpochRecord { run, epoch, ..e.clone() }), b[1].clone()])).unwrap();
            assert!(ids(&path).is_empty());
        }
    }
}
