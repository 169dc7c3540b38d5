//! Which shards were compared with their digests: done once, before the first row of a shard
//! counts, and remembered in `.checked.csv` as long as the shard's file stays as it was. Nothing
//! depends on that file: without it, shards are read once more.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;
use std::{panic, thread};

use super::sound::{compare, suspect};
use crate::store::disk::manifest::ShardInfo;
use crate::{Error, Result, files};

const CHECKED: &str = ".checked.csv";
const HEADER: [&str; 5] = ["file", "size", "mtime_ns", "ctime_ns", "sha256"];

/// Threads that read and digest, for each core: some wait for the disk while others compute.
const READERS: usize = 2;

/// What a file system says of a shard, and the digest that it had then, as they stand in
/// `.checked.csv`.
type Stamp = [String; 4];

/// Compares shards with their digests, those that were compared before left out, and remembers
/// them.
///
/// # Errors
/// A shard that is not as it was written, and how many there are: `headstart features` makes them
/// again.
pub(in crate::store) fn check(folder: &Path, shards: &[ShardInfo]) -> Result<()> {
    let mut known = load(folder);
    let stamps: Vec<Option<Stamp>> = shards.iter().map(|s| stamp(folder, s)).collect();
    let unknown: Vec<usize> =
        (0..shards.len()).filter(|&i| stamps[i].is_none() || known.get(&shards[i].file) != stamps[i].as_ref()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let outcome = Mutex::new(vec![]);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&i) = unknown.get(next.fetch_add(1, Ordering::Relaxed)) {
            let compared = compare(folder, &shards[i]);
            outcome.lock().unwrap_or_else(|e| e.into_inner()).push((i, compared));
        }
    };
    let cores = thread::available_parallelism().map_or(1, |n| n.get());
    thread::scope(|threads| {
        let readers: Vec<_> = (0..(cores * READERS).min(unknown.len())).map(|_| threads.spawn(work)).collect();
        readers.into_iter().for_each(|r| r.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
    });
    let mut failed = vec![];
    for (i, compared) in outcome.into_inner().unwrap_or_else(|e| e.into_inner()) {
        match (compared, &stamps[i]) {
            (Ok(()), Some(stamp)) => drop(known.insert(shards[i].file.clone(), stamp.clone())),
            (Ok(()), None) => {}
            (Err(error), _) => failed.push((i, error)),
        }
    }
    save(folder, &known);
    failed.iter().for_each(|(i, _)| suspect(&folder.join(&shards[*i].file)));
    failed.sort_by_key(|(i, _)| *i);
    let count = failed.len();
    match failed.into_iter().next() {
        None => Ok(()),
        Some((_, Error::Cache { path, problem, hint })) if count > 1 => {
            Err(Error::cache(path, format!("{problem} ({count} of {} shards are)", shards.len()), hint))
        }
        Some((_, error)) => Err(error),
    }
}

/// Size, times and promised digest: equal ones stand for equal bytes. The time of the last change,
/// which cannot be set, is known on Unix alone.
fn stamp(folder: &Path, shard: &ShardInfo) -> Option<Stamp> {
    let about = fs::metadata(folder.join(&shard.file)).ok()?;
    let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    #[cfg(unix)]
    let changed = {
        use std::os::unix::fs::MetadataExt;
        i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec())
    };
    #[cfg(not(unix))]
    let changed = 0;
    Some([about.len().to_string(), modified.to_string(), changed.to_string(), shard.sha256.clone()])
}

fn load(folder: &Path) -> HashMap<String, Stamp> {
    let Ok(mut reader) = csv::Reader::from_path(folder.join(CHECKED)) else { return HashMap::new() };
    if !reader.headers().is_ok_and(|h| h == HEADER.as_slice()) {
        return HashMap::new();
    }
    let line = |record: csv::StringRecord| {
        let mut fields = record.iter().map(String::from);
        Some((fields.next()?, fields.collect::<Vec<_>>().try_into().ok()?))
    };
    reader.records().flatten().filter_map(line).collect()
}

/// A folder that cannot be written costs another reading next time, nothing else.
fn save(folder: &Path, known: &HashMap<String, Stamp>) {
    let mut lines: Vec<(&String, &Stamp)> = known.iter().filter(|(file, _)| folder.join(file).is_file()).collect();
    lines.sort_unstable();
    let mut writer = csv::Writer::from_writer(vec![]);
    let mut put =
        |file: &str, [size, modified, changed, sha256]: [&str; 4]| writer.write_record([file, size, modified, changed, sha256]).is_ok();
    let [file, rest @ ..] = HEADER;
    let written = put(file, rest) && lines.iter().all(|(file, stamp)| put(file, stamp.each_ref().map(String::as_str)));
    if let Some(text) = writer.into_inner().ok().filter(|_| written) {
        let _ = files::replace(&folder.join(CHECKED), &text);
    }
}
