//! SHA-256 of image files: what an image *is*, whatever its name; kept between runs, so that unchanged files need not be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{Entry, ImageSource, Stamp};
use crate::{Error, Result};

/// SHA-256 of a file's bytes; its text form is lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Digest> {
        let wrong = || Error::setting(format!("`{text}` is not a SHA-256"), "it has 64 hexadecimal digits");
        let nibble = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
        if text.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
        }
        Ok(Digest(bytes))
    }
}

/// What [`digests`] found.
#[derive(Debug)]
pub struct Digests {
    /// One for each entry; an unreadable file is a failed image, nothing worse.
    pub each: Vec<Result<Digest>>,
    /// How many files had to be read; the others had not changed since.
    pub read: usize,
}

/// Digests of all entries, in parallel on rayon's current pool; `tick` is called once an entry.
///
/// `known` is a CSV file `path,size,mtime_ns,sha256` in which digests are kept from run to run: a file whose size and modification time stand
/// there is not read. A missing or damaged file of that kind costs a reading of the images, nothing else; it is replaced in one step. A file
/// modified within two seconds before it was read is not put down, because a later change might leave the same stamp.
///
/// # Errors
/// `known` cannot be written.
pub fn digests(source: &dyn ImageSource, entries: &[Entry], known: Option<&Path>, tick: &(dyn Fn() + Sync)) -> Result<Digests> {
    let mut records = known.map(load).unwrap_or_default();
    let found: Vec<Result<Found>> = entries
        .par_iter()
        .map(|entry| {
            let found = find(source, &entry.uri, &records);
            tick();
            found
        })
        .collect();
    let read = found.iter().flatten().filter(|f| f.read).count();
    let new = entries.iter().zip(&found).filter_map(|(entry, found)| {
        let found = found.as_ref().ok().filter(|f| f.read && f.settled)?;
        Some((source.locate(&entry.uri), (found.stamp, found.digest)))
    });
    let new: Vec<_> = new.collect();
    if let Some(file) = known.filter(|_| !new.is_empty()) {
        records.extend(new);
        save(file, &records)?;
    }
    Ok(Digests { each: found.into_iter().map(|f| f.map(|f| f.digest)).collect(), read })
}

type Records = BTreeMap<String, (Stamp, Digest)>;

struct Found {
    digest: Digest,
    stamp: Stamp,
    /// Whether the file had to be read.
    read: bool,
    /// Whether the stamp is old enough to stand for the bytes.
    settled: bool,
}

fn find(source: &dyn ImageSource, uri: &str, records: &Records) -> Result<Found> {
    // The stamp is taken first: a change while the file is read then leaves a stamp that no longer fits.
    let stamp = source.stamp(uri)?;
    if let Some(&(_, digest)) = records.get(&source.locate(uri)).filter(|(old, _)| *old == stamp) {
        return Ok(Found { digest, stamp, read: false, settled: true });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let digest = Digest::of(&source.read(uri)?);
    Ok(Found { digest, stamp, read: true, settled: stamp.modified_ns + 2_000_000_000 < now })
}

const HEADER: [&str; 4] = ["path", "size", "mtime_ns", "sha256"];

fn load(file: &Path) -> Records {
    let Ok(mut reader) = csv::Reader::from_path(file) else { return Records::new() };
    if reader.headers().is_ok_and(|h| h == HEADER.as_slice()) {
        reader.records().filter_map(|record| parse(&record.ok()?)).collect()
    } else {
        Records::new()
    }
}

fn parse(record: &csv::StringRecord) -> Option<(String, (Stamp, Digest))> {
    let stamp = Stamp { size: record.get(1)?.parse().ok()?, modified_ns: record.get(2)?.parse().ok()? };
    Some((record.get(0)?.to_string(), (stamp, record.get(3)?.parse().ok()?)))
}

fn save(file: &Path, records: &Records) -> Result<()> {
    let failed = Error::io("write", file);
    let write = || -> std::io::Result<()> {
        let folder = file.parent().ok_or(ErrorKind::NotFound)?;
        std::fs::create_dir_all(folder)?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        let mut writer = csv::Writer::from_writer(temporary.as_file_mut());
        writer.write_record(HEADER)?;
        for (path, (stamp, digest)) in records {
            writer.write_record([path, &stamp.size.to_string(), &stamp.modified_ns.to_string(), &digest.to_string()])?;
        }
        writer.flush()?;
        drop(writer);
        temporary.as_file_mut().flush()?;
        temporary.persist(file)?;
        Ok(())
    };
    write().map_err(failed)
}
