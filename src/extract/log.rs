//! `extract.log.jsonl`: whatever differs from run to run, one line a run.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::job::ExtractionJob;
use super::observe::Seconds;
use super::outcome::Outcome;
use crate::{Error, Result};

const LOG: &str = "extract.log.jsonl";

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// When it ended, seconds since 1970.
    pub unix_time: u64,
    pub version: String,
    pub machine: String,
    pub threads: usize,
    pub taps: Vec<String>,
    pub views: u32,
    pub batch: usize,
    pub images: usize,
    pub computed: usize,
    pub reused: usize,
    pub failed: usize,
    pub seconds: Seconds,
    /// Where the images were.
    #[serde(default)]
    pub data: Option<PathBuf>,
}

/// Adds the record of a run.
pub(super) fn append(job: &ExtractionJob<'_>, outcome: &Outcome) -> Result<()> {
    let path = job.folder.join(LOG);
    let record = Record {
        unix_time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        version: env!("CARGO_PKG_VERSION").into(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        threads: rayon::current_num_threads(),
        taps: job.taps.iter().map(|t| t.name.clone()).collect(),
        views: job.views,
        batch: job.batch,
        images: outcome.images,
        computed: outcome.computed,
        reused: outcome.reused,
        failed: outcome.failed.len(),
        seconds: outcome.seconds,
        data: std::path::absolute(job.source.locate("")).ok().filter(|path| path.to_str().is_some()),
    };
    let write = || -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(&path)?.write_all(&line)
    };
    write().map_err(Error::io("write", &path))
}

/// The last run that computed something for this many views of these taps.
pub(super) fn last(folder: &Path, taps: &[String]) -> Option<Record> {
    let lines = BufReader::new(File::open(folder.join(LOG)).ok()?).lines();
    let records = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Record>(&line).ok());
    records.filter(|r| r.computed > 0 && r.taps == taps).last()
}
