//! TensorBoard's event files: for each trial a run with its scalars by epoch and its settings for
//! the HParams page.
//!
//! An event file is a list of TFRecords: length and its checksum, message and its checksum.
//! Messages are `Event` of TensorFlow's `event.proto`, `Summary` of `summary.proto`, and
//! `HParamsPluginData` of TensorBoard's HParams plugin, as far as they are needed. Times are the
//! trial's own seconds: the same log gives the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message;
use serde_json::{Map, Value};

use super::files::SweepFiles;
use crate::files::replace_unsynced;
use crate::sweep::{EpochRecord, FinalRecord, Status, TENSORBOARD_FOLDER};
use crate::{Error, Result};

/// The text that every event file begins with.
const VERSION: &str = "brain.Event:2";
const PLUGIN: &str = "hparams";
const SUCCESS: i32 = 1;
const FAILURE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Hparams {
    #[prost(message, optional, tag = "3")]
    start: Option<Start>,
    #[prost(message, optional, tag = "4")]
    end: Option<End>,
}

#[derive(Clone, PartialEq, Message)]
struct Start {
    #[prost(btree_map = "string, message", tag = "1")]
    hparams: BTreeMap<String, Setting>,
}

#[derive(Clone, PartialEq, Message)]
struct End {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(double, tag = "2")]
    end_time_secs: f64,
}

/// `google.protobuf.Value`
#[derive(Clone, PartialEq, Message)]
struct Setting {
    #[prost(double, optional, tag = "2")]
    number: Option<f64>,
    #[prost(string, optional, tag = "3")]
    text: Option<String>,
    #[prost(bool, optional, tag = "4")]
    truth: Option<bool>,
}

impl From<&Value> for Setting {
    fn from(value: &Value) -> Setting {
        match value {
            Value::Number(n) => Setting { number: n.as_f64(), ..Setting::default() },
            Value::Bool(b) => Setting { truth: Some(*b), ..Setting::default() },
            other => Setting { text: Some(crate::heads::plain(other)), ..Setting::default() },
        }
    }
}

/// Writes the event files of all finished trials, and removes those of trials that are no longer
/// there. Returns the number of trials.
///
/// # Errors
/// A folder that is not a sweep or cannot be written to.
pub fn write_tensorboard(folder: &Path) -> Result<usize> {
    let files = SweepFiles::read(folder)?;
    let logs = folder.join(TENSORBOARD_FOLDER);
    fs::create_dir_all(&logs).map_err(Error::io("create the folder", &logs))?;
    let runs: BTreeMap<String, &FinalRecord> = files.trials.values().map(|end| (format!("trial-{:04}", end.trial), end)).collect();
    for entry in fs::read_dir(&logs).map_err(Error::io("list", &logs))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("trial-") && !runs.contains_key(&name) {
            fs::remove_dir_all(entry.path()).map_err(Error::io("delete", entry.path()))?;
        }
    }
    for (name, end) in &runs {
        let run = logs.join(name);
        fs::create_dir_all(&run).map_err(Error::io("create the folder", &run))?;
        let epochs = files.epochs.get(&end.trial).map_or(&[][..], Vec::as_slice);
        let file = run.join(format!("events.out.tfevents.{}.headstart", end.trial));
        // Not synced: hundreds of small files would take seconds, and all of it can be made again
        // from trials.jsonl.
        replace_unsynced(&file, &events(epochs, end))?;
    }
    Ok(runs.len())
}

/// The event file of a trial.
fn events(epochs: &[EpochRecord], end: &FinalRecord) -> Vec<u8> {
    let mut out = vec![];
    let hparams = end.settings.iter().map(|(key, value)| (key.clone(), value.into())).collect();
    let start = Hparams { start: Some(Start { hparams }), end: None };
    record(&mut out, &Event { file_version: Some(VERSION.into()), ..Event::default() });
    record(&mut out, &event(0.0, 0, vec![plugin("_hparams_/session_start_info", &start)]));
    let mut time = 0.0;
    for epoch in epochs {
        time += epoch.seconds;
        let mut values = scalars(&epoch.metrics, None);
        values.extend(epoch.train_loss.map(|loss| scalar("train/loss", loss)));
        values.push(scalar("lr", epoch.lr));
        record(&mut out, &event(time, epoch.epoch, values));
    }
    // The weights that count may be an earlier epoch's.
    record(&mut out, &event(time, end.epochs, scalars(&end.metrics, Some("final"))));
    let status = if end.status == Status::Diverged { FAILURE } else { SUCCESS };
    let last = Hparams { start: None, end: Some(End { status, end_time_secs: end.seconds }) };
    record(&mut out, &event(time, 0, vec![plugin("_hparams_/session_end_info", &last)]));
    out
}

fn event(wall_time: f64, step: usize, value: Vec<SummaryValue>) -> Event {
    Event { wall_time, step: step as i64, summary: Some(Summary { value }), file_version: None }
}

fn plugin(tag: &str, content: &Hparams) -> SummaryValue {
    let plugin_data = Some(PluginData { plugin_name: PLUGIN.into(), content: content.encode_to_vec() });
    SummaryValue { tag: tag.into(), simple_value: None, metadata: Some(Metadata { plugin_data }) }
}

fn scalar(tag: &str, value: f64) -> SummaryValue {
    SummaryValue { tag: tag.into(), simple_value: Some(value as f32), metadata: None }
}

/// `val.acc1` as `val/acc1`, which TensorBoard groups by the word before the slash; or as
/// `group/acc1`.
fn scalars(metrics: &Map<String, Value>, group: Option<&str>) -> Vec<SummaryValue> {
    let one = |(name, value): (&String, &Value)| {
        let (split, metric) = name.split_once('.').unwrap_or(("", name));
        Some(scalar(&format!("{}/{metric}", group.unwrap_or(split)), value.as_f64()?))
    };
    metrics.iter().filter_map(one).collect()
}

/// Appends a TFRecord.
fn record(out: &mut Vec<u8>, event: &Event) {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(&data);
    out.extend(masked_crc(&data).to_le_bytes());
}

/// CRC-32C, rotated and offset so that checksums of data with checksums in it stay sound
/// (TensorFlow's masking).
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of an event file, checksums checked.
    fn decode(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = vec![];
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(masked_crc(&bytes[..8]).to_le_bytes(), bytes[8..12]);
            let data = &bytes[12..12 + length];
            assert_eq!(masked_crc(data).to_le_bytes(), bytes[12 + length..16 + length]);
            events.push(Event::decode(data).unwrap());
            bytes = &bytes[16 + length..];
        }
        events
    }

    #[test]
    fn the_checksum_is_tensorflows() {
        // The first record of any event file that TensorFlow writes begins so: length 24 and its
        // checksum.
        assert_eq!(masked_crc(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn a_trial_becomes_scalars_and_settings() {
        let metrics = Map::from_iter([("val.acc1".to_owned(), Value::from(0.5))]);
        let epoch = |epoch| EpochRecord {
            trial: 7,
            id: "x".into(),
            run: 0,
            epoch,
            lr: 0.1,
            train_loss: Some(0.25),
            seconds: 2.0,
            metrics: metrics.clone(),
        };
        let end = FinalRecord {
            trial: 7,
            id: "x".into(),
            settings: Map::from_iter([("lr".to_owned(), Value::from(0.1)), ("head".to_owned(), "dense".into())]),
            status: Status::Done,
            epochs: 1,
            seconds: 4.0,
            metrics: metrics.clone(),
        };
        let events = decode(&events(&[epoch(1), epoch(2)], &end));
        assert_eq!(events[0].file_version.as_deref(), Some(VERSION));
        let values = |i: usize| &events[i].summary.as_ref().unwrap().value;
        let content = &values(1)[0].metadata.as_ref().unwrap().plugin_data.as_ref().unwrap().content;
        let start = Hparams::decode(content.as_slice()).unwrap().start.unwrap();
        assert_eq!((start.hparams["lr"].number, start.hparams["head"].text.as_deref()), (Some(0.1), Some("dense")));
        assert_eq!((events[3].step, events[3].wall_time), (2, 4.0));
        let tags: Vec<&str> = values(3).iter().map(|v| v.tag.as_str()).collect();
        assert_eq!(tags, ["val/acc1", "train/loss", "lr"]);
        assert_eq!((values(4)[0].tag.as_str(), events[4].step), ("final/acc1", 1));
        assert_eq!(events.len(), 6);
    }
}
