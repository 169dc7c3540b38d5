//! Writing files so that a reader, or the next start after a kill, sees the old file or the new one
//! and never a half.
//!
//! A file in the making is called `.tmp-headstart-…`, stands beside the one that it will replace,
//! and is locked (`flock`) by its writer. The lock ends with its process, so a file whose lock can
//! be taken will never be finished. The first write into a folder deletes those, before this
//! process has any of its own there.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::{NamedTempFile, TempDir};

use crate::unfinished::{Thing, Unfinished, begin};
use crate::{Error, Result};

/// Name prefix of files that are being written, by earlier versions too: the owner of a folder's
/// lock may delete those without a writer.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// Prefix of this program's own, in folders that it shares with others.
const OURS: &str = ".tmp-headstart-";

/// Fills a temporary file in the same folder (made if need be), syncs it, renames it over `path`,
/// syncs the folder. An error leaves nothing behind.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let temporary = write_temporary(path, fill)?;
    temporary.file.as_file().sync_all().map_err(Error::io("sync", path))?;
    temporary.put(path)?;
    sync_folder(parent(path))
}

/// As [`replace`], without waiting for the disk: for many small files that can be made again. After
/// a power cut they may be empty.
#[cfg(feature = "report")]
pub(crate) fn replace_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    write_temporary(path, |file| file.write_all(bytes).map_err(Error::io("write", path)))?.put(path)
}

/// As [`write`], with bytes that are in memory.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |file| file.write_all(bytes).map_err(Error::io("write", path)))
}

/// As [`replace`], but leaves a file that is already there alone. Returns whether it wrote.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let Temporary { file, _unfinished } = write_temporary(path, |file| file.write_all(bytes).map_err(Error::io("write", path)))?;
    file.as_file().sync_all().map_err(Error::io("sync", path))?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(parent(path)).map(|()| true),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io("rename a temporary file to", path)(e.error)),
    }
}

/// The place for a result that is wanted under `path`: the file that a link leads to, rather than
/// the link.
///
/// # Errors
/// A device, a pipe or a folder stands there: a file that is renamed over it would take its place.
pub(crate) fn output(path: &Path) -> Result<PathBuf> {
    match fs::metadata(path) {
        Ok(about) if about.is_file() => path.canonicalize().map_err(Error::io("find", path)),
        Ok(about) => {
            let what = if about.is_dir() { "is a folder" } else { "is a device or a pipe" };
            Err(Error::setting(format!("{} {what}: it cannot hold the result", path.display()), "name a file"))
        }
        // A path without access is named when it is written to.
        Err(_) => Ok(path.into()),
    }
}

/// Removes a file; one that is not there is gone already.
pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("delete", path)(e)),
        _ => Ok(()),
    }
}

/// Creates a folder, and those above it, so that they survive a crash.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_folder(above)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::io("create the folder", folder)(e)),
        _ => sync_folder(parent(folder)),
    }
}

/// Deletes half-written files of killed writers in `folder`, down to `levels`: no deeper than the
/// caller's lock reaches. Files that are being written stay. Returns the bytes freed.
pub(crate) fn remove_temporaries(folder: &Path, levels: usize) -> Result<u64> {
    let mut freed = 0;
    for entry in walkdir::WalkDir::new(folder).max_depth(levels).into_iter().filter_map(Result::ok) {
        if !(entry.file_type().is_file() && entry.file_name().to_string_lossy().starts_with(TEMPORARY)) {
            continue;
        }
        let owner = lock(entry.path());
        if !matches!(owner, Err(TryLockError::WouldBlock)) {
            freed += entry.metadata().map_or(0, |m| m.len());
            remove_if_there(entry.path())?;
        }
    }
    Ok(freed)
}

/// A folder in the making; dropped, it is deleted with all that is in it.
pub(crate) struct Scratch {
    folder: TempDir,
    _lock: Option<File>,
    _unfinished: Unfinished,
}

impl Scratch {
    /// Makes one in `folder`, which is made if need be.
    pub(crate) fn new(folder: &Path) -> Result<Scratch> {
        prepare(folder)?;
        loop {
            let make = || {
                let made = tempfile::Builder::new().prefix(OURS).tempdir_in(folder);
                let made = made.map_err(Error::io("create a temporary folder in", folder))?;
                let thing = Thing::Folder(made.path().into());
                Ok((made, thing))
            };
            let (made, _unfinished) = begin(make)?;
            // Only Unix can open a folder, so that it can be locked.
            let _lock = File::open(made.path()).ok();
            if _lock.as_ref().is_none_or(|file| claim(file, made.path())) {
                return Ok(Scratch { folder: made, _lock, _unfinished });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A file in the making; dropped, it is deleted: a full disk leaves nothing behind.
struct Temporary {
    file: NamedTempFile,
    _unfinished: Unfinished,
}

impl Temporary {
    fn new(folder: &Path) -> Result<Temporary> {
        let mut options = tempfile::Builder::new();
        options.prefix(OURS);
        // Files get the permissions that the umask allows, not those of temporary files, which are
        // for their owner alone.
        #[cfg(unix)]
        options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        loop {
            let make = || {
                let file = options.tempfile_in(folder).map_err(Error::io("create a temporary file in", folder))?;
                let thing = Thing::File(file.path().into());
                Ok((file, thing))
            };
            let (file, _unfinished) = begin(make)?;
            if claim(file.as_file(), file.path()) {
                return Ok(Temporary { file, _unfinished });
            }
        }
    }

    fn put(self, path: &Path) -> Result<()> {
        let Temporary { file, _unfinished } = self;
        file.persist(path).map(drop).map_err(|e| Error::io("rename a temporary file to", path)(e.error))
    }
}

fn write_temporary(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<Temporary> {
    let folder = parent(path);
    prepare(folder)?;
    let mut temporary = Temporary::new(folder)?;
    fill(temporary.file.as_file_mut())?;
    Ok(temporary)
}

/// Locks a new file; false where another process has taken it for a leftover and deletes it.
fn claim(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => is_still(file, path),
        Err(TryLockError::WouldBlock) => false,
        // A file system without locks: there no file is taken for a leftover, either.
        Err(TryLockError::Error(_)) => true,
    }
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |m: fs::Metadata| (m.dev(), m.ino());
    matches!((file.metadata().map(place), fs::symlink_metadata(path).map(place)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn is_still(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Takes the lock of something in the making, which works once its writer is gone.
fn lock(path: &Path) -> Result<File, TryLockError> {
    // Some file systems lock only files that are open for writing, which a folder cannot be.
    let file = OpenOptions::new().read(true).write(!path.is_dir()).open(path).map_err(TryLockError::Error)?;
    file.try_lock().map(|()| file)
}

/// Makes a folder to write into. The first time that this process does so, leftovers of killed
/// writers are deleted.
fn prepare(folder: &Path) -> Result<()> {
    static SEEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    create_folder(folder)?;
    if SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_path_buf())
        && let Ok(listed) = fs::read_dir(folder)
    {
        listed.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(OURS)).for_each(|entry| remove_leftover(&entry));
    }
    Ok(())
}

/// A leftover that cannot be locked or deleted may have an owner: it stays and does no harm.
fn remove_leftover(entry: &fs::DirEntry) {
    let path = entry.path();
    let Ok(kind) = entry.file_type() else { return };
    if (kind.is_file() || kind.is_dir())
        && let Ok(_owner) = lock(&path)
    {
        let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes renames in `folder` durable. Only Unix can open a folder for that.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io("sync the folder", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn results_go_through_links_and_take_no_place_but_a_files() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&output(&link).unwrap(), b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(output(&folder.path().join("none")).unwrap(), folder.path().join("none"));
        for other in [Path::new("/dev/null"), folder.path()] {
            let error = output(other).unwrap_err().to_string();
            assert!(error.contains("name a file") && error.contains(&other.display().to_string()), "{error}");
        }
    }

    #[test]
    fn replace_and_create_leave_whole_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap(), "already there");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn temporaries_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        create(&folder.path().join("x/keep"), b"1").unwrap();
        fs::write(folder.path().join("x/.tmp-dead"), b"123").unwrap();
        assert_eq!(remove_temporaries(folder.path(), 1).unwrap(), 0, "too deep");
        assert_eq!(remove_temporaries(folder.path(), 2).unwrap(), 3);
        assert_eq!(fs::read_dir(folder.path().join("x")).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_go_at_the_first_write_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let there = |name: &str| folder.path().join(name).exists();
        fs::write(folder.path().join(".tmp-headstart-dead"), b"1").unwrap();
        fs::create_dir(folder.path().join(".tmp-headstart-folder")).unwrap();
        fs::write(folder.path().join(".tmp-headstart-folder/wheel"), b"1").unwrap();
        fs::write(folder.path().join(".tmp-others"), b"1").unwrap();
        // Another process writes this one.
        let live = File::create(folder.path().join(".tmp-headstart-live")).unwrap();
        live.try_lock().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        assert!(!there(".tmp-headstart-dead") && !there(".tmp-headstart-folder"));
        assert!(there(".tmp-headstart-live") && there(".tmp-others"), "in a shared folder only files that are surely ours go");
        replace(&folder.path().join("file"), b"1").unwrap();
        assert!(scratch.path().exists());
        remove_temporaries(folder.path(), 1).unwrap();
        assert!(there(".tmp-headstart-live") && !there(".tmp-others"));
        drop((live, scratch));
        remove_temporaries(folder.path(), 1).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the file alone");
    }

    #[test]
    fn a_file_that_was_deleted_while_it_was_claimed_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = File::create(&path).unwrap();
        let taken = lock(&path).unwrap();
        assert!(!claim(&file, &path), "somebody has its lock");
        fs::remove_file(&path).unwrap();
        drop(taken);
        assert!(!claim(&file, &path), "it is gone");
        File::create(&path).unwrap();
        assert!(!claim(&file, &path), "another one stands in its place");
    }

    #[test]
    fn errors_name_the_path_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("file");
        fs::write(&occupied, b"1").unwrap();
        let error = replace(&occupied.join("below"), b"").unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
        let full = folder.path().join("new/full");
        write(&full, |_| Err(Error::io("write", &full)(std::io::ErrorKind::StorageFull.into()))).unwrap_err();
        assert_eq!(fs::read_dir(full.parent().unwrap()).unwrap().count(), 0);
    }
}
