//! SHA-256 of image files: what an image *is*, whatever its name; kept between runs, so that
//! unchanged files need not be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{Entry, ImageSource, Stamp, patiently};
use crate::{Error, Result, files};

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
pub(crate) struct Digests {
    /// One for each entry; an unreadable file is a failed image, nothing worse.
    pub each: Vec<Result<Digest>>,
    /// How many files had to be read; the others had not changed since.
    pub read: usize,
}

/// Digests of all entries, in parallel on rayon's current pool; `tick` is called once an entry.
///
/// `known` is a CSV file `path,size,mtime_ns,sha256,crc32c` in which digests are kept from run to
/// run: a file whose size and modification time stand there is not read. A missing or damaged file
/// or line of that kind costs a reading of the images, nothing else; it is replaced in one step. A
/// file modified within two seconds before it was read is not put down, because a later change
/// might leave the same stamp.
///
/// # Errors
/// `known` cannot be written.
pub(crate) fn digests(source: &dyn ImageSource, entries: &[Entry], known: Option<&Path>, tick: &(dyn Fn() + Sync)) -> Result<Digests> {
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
    // The stamp is taken first: a change while the file is read then leaves a stamp that no longer
    // fits.
    let stamp = patiently(|| source.stamp(uri))?;
    if let Some(&(_, digest)) = records.get(&source.locate(uri)).filter(|(old, _)| *old == stamp) {
        return Ok(Found { digest, stamp, read: false, settled: true });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let digest = Digest::of(&patiently(|| source.read(uri))?);
    Ok(Found { digest, stamp, read: true, settled: stamp.modified_ns + 2_000_000_000 < now })
}

const HEADER: [&str; 5] = ["path", "size", "mtime_ns", "sha256", "crc32c"];

fn load(file: &Path) -> Records {
    let Ok(mut reader) = csv::Reader::from_path(file) else { return Records::new() };
    // Files of earlier versions have no checksums; their lines are taken as they are.
    if reader.headers().is_ok_and(|h| h == HEADER.as_slice() || *h == HEADER[..4]) {
        reader.records().filter_map(|record| parse(&record.ok()?)).collect()
    } else {
        Records::new()
    }
}

fn parse(record: &csv::StringRecord) -> Option<(String, (Stamp, Digest))> {
    let stamp = Stamp { size: record.get(1)?.parse().ok()?, modified_ns: record.get(2)?.parse().ok()? };
    let is_sound = record.get(4).is_none_or(|sum| sum == checksum([0, 1, 2, 3].map(|i| &record[i])));
    is_sound.then_some((record.get(0)?.to_string(), (stamp, record.get(3)?.parse().ok()?)))
}

/// What a line says of itself: a wrong digit in a digest would make another image of it.
fn checksum(fields: [&str; 4]) -> String {
    format!("{:08x}", crc32c::crc32c(fields.join("\n").as_bytes()))
}

/// Drops what is known of some images: the next [`digests`] reads them.
///
/// # Errors
/// `known` cannot be written.
pub(crate) fn forget<'a>(source: &dyn ImageSource, uris: impl IntoIterator<Item = &'a str>, known: &Path) -> Result<()> {
    let mut records = load(known);
    let before = records.len();
    for uri in uris {
        records.remove(&source.locate(uri));
    }
    if records.len() == before { Ok(()) } else { save(known, &records) }
}

fn save(file: &Path, records: &Records) -> Result<()> {
    files::write(file, |to| {
        let write = || -> std::io::Result<()> {
            let mut writer = csv::Writer::from_writer(to);
            writer.write_record(HEADER)?;
            for (path, (stamp, digest)) in records {
                let (size, modified, digest) = (stamp.size.to_string(), stamp.modified_ns.to_string(), digest.to_string());
                writer.write_record([path, &size, &modified, &digest, &checksum([path, &size, &modified, &digest])])?;
            }
            writer.flush()
        };
        write().map_err(Error::io("write", file))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::{ListOptions, open};
    use super::*;

    /// A folder with two classes of `n` files each, last modified an hour ago.
    fn world(n: usize) -> (tempfile::TempDir, Box<dyn ImageSource>, Vec<Entry>) {
        let folder = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for i in 0..n {
                write(folder.path(), &format!("{class}/{i}.png"), format!("{class}{i}").as_bytes(), 3600);
            }
        }
        let source = open(folder.path(), &ListOptions::default()).unwrap();
        let entries = source.list().unwrap().entries;
        (folder, source, entries)
    }

    fn write(folder: &Path, uri: &str, bytes: &[u8], seconds_ago: u64) {
        fs::write(folder.join(uri), bytes).unwrap();
        let file = fs::File::options().write(true).open(folder.join(uri)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
    }

    fn run(source: &dyn ImageSource, entries: &[Entry], known: &Path) -> (Vec<Option<Digest>>, usize) {
        let ticks = AtomicUsize::new(0);
        let count = || {
            ticks.fetch_add(1, Ordering::Relaxed);
        };
        let found = digests(source, entries, Some(known), &count).unwrap();
        assert_eq!(ticks.into_inner(), entries.len());
        (found.each.into_iter().map(Result::ok).collect(), found.read)
    }

    #[test]
    fn the_text_form_round_trips_and_is_what_sha256sum_prints() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for bad in ["", "ba78", &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn unchanged_files_are_not_read_again() {
        let (folder, source, entries) = world(3);
        let known = folder.path().join(".known/digests.csv");
        let (first, read) = run(&*source, &entries, &known);
        assert_eq!(read, 6);
        assert_eq!(first[0], Some(Digest::of(b"a0")));
        assert_eq!(run(&*source, &entries, &known), (first.clone(), 0));

        write(folder.path(), "a/1.png", b"new", 1800);
        let (second, read) = run(&*source, &entries, &known);
        assert_eq!((read, second[1]), (1, Some(Digest::of(b"new"))));
        assert_eq!(second[2..], first[2..]);
    }

    #[test]
    fn a_file_modified_just_now_is_not_trusted_next_time() {
        let (folder, source, entries) = world(1);
        let known = folder.path().join("digests.csv");
        write(folder.path(), "a/0.png", b"x0", 0);
        run(&*source, &entries, &known);
        assert_eq!(run(&*source, &entries, &known).1, 1);
    }

    #[test]
    fn a_damaged_record_costs_a_reading_and_is_mended() {
        let (folder, source, entries) = world(2);
        let known = folder.path().join("digests.csv");
        let (whole, _) = run(&*source, &entries, &known);
        let text = fs::read_to_string(&known).unwrap();
        let digit = text.find(&whole[0].unwrap().to_string()).unwrap() + 9;
        let other = if &text[digit..=digit] == "0" { "1" } else { "0" };
        let flipped = format!("{}{other}{}", &text[..digit], &text[digit + 1..]);
        for damage in [&text[..text.len() - 30], "", "path,size\n", &text.replace(",2,", ",x,"), &text.replace("sha256", "md5"), &flipped] {
            fs::write(&known, damage).unwrap();
            let (found, read) = run(&*source, &entries, &known);
            assert!(found == whole && read > 0);
            assert_eq!(fs::read_to_string(&known).unwrap(), text);
        }
    }

    #[test]
    fn records_without_checksums_are_read_and_single_ones_forgotten() {
        let (folder, source, entries) = world(2);
        let known = folder.path().join("digests.csv");
        let (whole, _) = run(&*source, &entries, &known);
        let text = fs::read_to_string(&known).unwrap();
        let plain: Vec<&str> = text.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
        fs::write(&known, plain.join("\n")).unwrap();
        assert_eq!(run(&*source, &entries, &known), (whole.clone(), 0));
        forget(&*source, ["a/1.png", "no/such.png"], &known).unwrap();
        assert_eq!(run(&*source, &entries, &known), (whole, 1));
        assert_eq!(fs::read_to_string(&known).unwrap(), text);
    }

    #[test]
    fn an_unreadable_file_is_one_failure_among_digests() {
        let (folder, source, entries) = world(2);
        fs::remove_file(folder.path().join("a/1.png")).unwrap();
        let found = digests(&*source, &entries, None, &|| ()).unwrap();
        let failed: Vec<String> = found.each.iter().filter_map(|d| d.as_ref().err().map(ToString::to_string)).collect();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].contains("a/1.png"), "{}", failed[0]);
        assert_eq!(found.read, 3);
    }
}
