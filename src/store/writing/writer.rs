//! Writing a cache: shards first, then rows and manifest in one step, so that a kill at any moment
//! loses at most the shards being made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::Digest;
use crate::store::disk::commit;
use crate::store::disk::dtype::{Dtype, Unstorable};
use crate::store::disk::lock::Lock;
use crate::store::disk::manifest::{Deferred, FORMAT, Failure, Manifest, ShardInfo, Tap};
use crate::store::disk::objects::Objects;
use crate::store::disk::rows::{self, Row, Status};
use crate::store::disk::rowset::RowSet;
use crate::store::disk::shard::{self, Head};
use crate::store::key::folder_name;
use crate::store::reading::sound::{Damage, changed};
use crate::{Error, Result};

/// The folder of shards below a cache's folder.
pub(in crate::store) const FEATURES: &str = "features";

/// A cache opened for writing; no other process can write it meanwhile.
#[derive(Debug)]
pub struct Writer {
    pub(in crate::store) folder: PathBuf,
    pub(in crate::store) objects: Box<dyn Objects>,
    pub(in crate::store) manifest: Manifest,
    pub(in crate::store) rows: Vec<Row>,
    /// Why the rows are perhaps not those of the manifest: until they are set, they are only what
    /// could be read.
    pub(super) doubt: Option<String>,
    pub(in crate::store) warnings: Vec<String>,
    pub(super) _lock: Lock,
}

/// Features of some rows for one tap and view, to be stored as one file.
#[derive(Debug, Clone)]
pub struct NewShard {
    /// The tap.
    pub tap: String,
    /// The view.
    pub view: u32,
    /// Shape of one row.
    pub shape: Vec<usize>,
    /// Rows, ascending.
    pub rows: Vec<u64>,
    /// `rows · shape.product()` values in the cache's type, as [`Dtype::encode`] leaves them.
    pub features: Vec<u8>,
}

/// What is committed together: shards of the same rows for several taps and views, and what failed
/// among those rows.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The shards; those without rows are passed over.
    pub shards: Vec<NewShard>,
    /// Rows whose image cannot be used, and why.
    pub failed: Vec<(u64, String)>,
    /// Rows whose file went away or changed meanwhile.
    pub gone: Vec<u64>,
    /// Rows whose file the system could not read, and why: the next run tries again.
    pub unreadable: Vec<(u64, String)>,
    /// Rows without features so far whose file is another one than was thought, and its digest.
    pub corrected: Vec<(u64, Digest)>,
}

impl Writer {
    /// The cache's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the cache holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All rows by number.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What the user should know: shards that were damaged and will be made again.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Refuses to go on with rows that are perhaps not those of the manifest.
    ///
    /// # Errors
    /// Why they are doubted.
    pub(in crate::store) fn believe_rows(&self) -> Result<()> {
        self.doubt.as_ref().map_or(Ok(()), |doubt| Err(Error::cache(&self.folder, doubt, rows::RELIST)))
    }

    /// Looks at the shards of these taps and views; damaged ones are dropped, so that their rows
    /// are missing again.
    ///
    /// A shard that was changed after the manifest was written is read whole and its digest
    /// compared; of the others, size and header: reading every digest at every start would make a
    /// start as slow as the disk.
    ///
    /// # Errors
    /// The system's own.
    pub fn drop_damaged(&mut self, wanted: impl Fn(&str, u32) -> bool) -> Result<()> {
        for Damage { file, problem } in changed(&self.folder, &self.manifest, |s| wanted(&s.tap, s.view))? {
            self.warnings.push(format!("{} {problem}: it is made again", self.folder.join(&file).display()));
            self.objects.remove(&file)?;
            self.manifest.shards.retain(|s| s.file != file);
        }
        Ok(())
    }

    /// Wants rows again that the system could not read, where it `can_read` them now. The shards
    /// that they would have been in, of the wanted taps and views, are dropped and made anew with
    /// them: what one bad moment of a disk leaves in the end is what would have been without it.
    ///
    /// # Errors
    /// The system's own.
    pub fn try_again(&mut self, wanted: impl Fn(&str, u32) -> bool, can_read: impl Fn(&Row) -> bool) -> Result<()> {
        let row = |number: u64| self.rows.binary_search_by_key(&number, |r| r.row).ok().map(|i| &self.rows[i]);
        let again: Vec<Failure> = self.manifest.failed.iter().filter(|f| f.retry && row(f.row).is_some_and(&can_read)).cloned().collect();
        if again.is_empty() {
            return Ok(());
        }
        again.iter().for_each(|failure| self.set_status(failure.row, Status::Ok));
        self.fail([]);
        let lacks_one = |s: &ShardInfo| wanted(&s.tap, s.view) && again.iter().any(|f| f.beside.is_some() && f.beside == s.rows.first());
        let (dropped, kept): (Vec<_>, Vec<_>) = self.manifest.shards.drain(..).partition(lacks_one);
        self.manifest.shards = kept;
        self.save(true)?;
        dropped.iter().try_for_each(|shard| self.objects.remove(&shard.file))
    }

    /// Remembers the words that get the weights again.
    ///
    /// # Errors
    /// The system's own.
    pub fn set_weights(&mut self, words: &str) -> Result<()> {
        if self.manifest.weights != words {
            self.manifest.weights = words.into();
            self.save(false)?;
        }
        Ok(())
    }

    /// Remembers what is left to [`merge`](crate::store::merge). Said before rows become open, and
    /// taken back only after they were settled, it is never forgotten.
    ///
    /// # Errors
    /// The system's own.
    pub fn defer(&mut self, deferred: Deferred) -> Result<()> {
        if self.manifest.deferred != deferred {
            self.manifest.deferred = deferred;
            self.save(false)?;
        }
        Ok(())
    }

    /// Puts other rows and classes in the place of those that are there, and writes what changed.
    /// `unreadable` are rows that failed because their file cannot be read, and why.
    ///
    /// # Errors
    /// The system's own.
    pub fn set_rows(&mut self, rows: Vec<Row>, classes: Vec<String>, next_row: u64, unreadable: Vec<Failure>) -> Result<()> {
        let doubt = self.doubt.take();
        let rows_changed = rows != self.rows || classes != self.manifest.classes || doubt.is_some();
        self.warnings.extend(doubt.map(|doubt| format!("{doubt}: paths, labels and splits are set anew")));
        let before = self.manifest.clone();
        (self.rows, self.manifest.classes, self.manifest.next_row) = (rows, classes, next_row);
        self.fail(unreadable);
        if rows_changed || before != self.manifest {
            self.save(rows_changed)?;
        }
        Ok(())
    }

    /// Stores a group: its shards, then the rows that failed, the manifest last.
    ///
    /// # Errors
    /// The system's own (a full disk): what was committed before stays, and nothing half-written is
    /// left.
    pub fn commit(&mut self, group: Group) -> Result<()> {
        let shards: Vec<NewShard> = group.shards.into_iter().filter(|s| !s.rows.is_empty()).collect();
        let first = shards.first().map(|s| s.rows[0]);
        let together: Vec<(String, u32)> = shards.iter().map(|s| (s.tap.clone(), s.view)).collect();
        for shard in shards {
            let head = Head {
                format: FORMAT,
                key: self.manifest.key_digest.clone(),
                tap: shard.tap.clone(),
                view: shard.view,
                together: together.clone(),
                failed: group.failed.clone(),
                crc32c: None,
            };
            self.put(&head, shard)?;
        }
        for row in &group.gone {
            self.set_status(*row, Status::Deleted);
        }
        for (row, digest) in &group.corrected {
            if let Ok(i) = self.rows.binary_search_by_key(row, |r| r.row) {
                self.rows[i].digest = Some(*digest);
            }
        }
        let same_rows = [group.failed.len(), group.gone.len(), group.unreadable.len(), group.corrected.len()] == [0; 4];
        self.add_failures(group.failed);
        let unreadable = group.unreadable.into_iter();
        self.fail(unreadable.map(|(row, reason)| Failure { retry: true, beside: first, ..Failure::of_image(row, "", reason) }));
        self.save(!same_rows)
    }

    /// Writes one shard file and enters it.
    fn put(&mut self, head: &Head, shard: NewShard) -> Result<()> {
        let dtype = self.manifest.key.store;
        let tap = Tap { shape: shard.shape.clone(), dtype };
        if let Some(before) = self.manifest.taps.get(&shard.tap).filter(|before| **before != tap) {
            let problem = format!("holds `{}` of shape {:?}, and now it has shape {:?}", shard.tap, before.shape, tap.shape);
            return Err(Error::cache(&self.folder, problem, "was the backbone changed without its version? delete this cache"));
        }
        let bytes = shard::encode(head, &shard.rows, &shard.shape, dtype, &shard.features)?;
        let file = file_name(&shard.tap, shard.view, shard.rows[0]);
        if !self.objects.put_if_absent(&file, &bytes)? {
            let hint = "does another process write it over a network file system that has no locks?";
            return Err(Error::cache(self.folder.join(&file), "is already there", hint));
        }
        let rows: RowSet = shard.rows.into_iter().collect();
        let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes).to_string());
        self.enter(tap, ShardInfo { tap: shard.tap, view: shard.view, file, rows, bytes: size, sha256 });
        Ok(())
    }

    /// Enters a shard that is there.
    pub(in crate::store) fn enter(&mut self, tap: Tap, info: ShardInfo) {
        self.manifest.taps.insert(info.tap.clone(), tap);
        self.manifest.shards.push(info);
    }

    /// Marks rows as failed for what is wrong with their image.
    pub(in crate::store) fn add_failures(&mut self, failed: impl IntoIterator<Item = (u64, String)>) {
        self.fail(failed.into_iter().map(|(row, reason)| Failure::of_image(row, "", reason)));
    }

    /// Marks rows as failed. The manifest lists them under the path that they have now.
    pub(in crate::store) fn fail(&mut self, failed: impl IntoIterator<Item = Failure>) {
        let mut known: BTreeMap<u64, Failure> = self.manifest.failed.drain(..).map(|f| (f.row, f)).collect();
        for failure in failed {
            self.set_status(failure.row, Status::Failed);
            let beside = failure.beside.or_else(|| known.get(&failure.row)?.beside);
            known.insert(failure.row, Failure { beside, ..failure });
        }
        let failures = self.rows.iter().filter(|r| r.status == Status::Failed).map(|r| {
            let lost = || Failure::of_image(r.row, "", "the reason was lost with the manifest");
            Failure { path: r.path.clone(), ..known.remove(&r.row).unwrap_or_else(lost) }
        });
        self.manifest.failed = failures.collect();
    }

    fn set_status(&mut self, row: u64, status: Status) {
        if let Ok(i) = self.rows.binary_search_by_key(&row, |r| r.row) {
            self.rows[i].status = status;
        }
    }

    pub(in crate::store) fn save(&mut self, with_rows: bool) -> Result<()> {
        self.manifest.sort();
        commit::write(&self.folder, &mut self.manifest, with_rows.then_some(&self.rows))
    }
}

impl NewShard {
    /// Encodes values that are all there already.
    ///
    /// # Errors
    /// A value that `dtype` cannot hold.
    pub fn encode(tap: &str, view: u32, shape: &[usize], rows: &[u64], values: &[f32], dtype: Dtype) -> Result<NewShard, Unstorable> {
        let mut features = vec![];
        dtype.encode(values, &mut features)?;
        Ok(NewShard { tap: tap.into(), view, shape: shape.into(), rows: rows.into(), features })
    }
}

/// Where the shard that begins with row `first` is: a row is first in one shard of a tap and view
/// at most, so names never meet.
pub(in crate::store) fn file_name(tap: &str, view: u32, first: u64) -> String {
    format!("{FEATURES}/{}/v{view}-{first:05}.safetensors", folder_name(tap))
}
