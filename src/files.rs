//! Writing files so that a reader, or the next start after a kill, sees the old file or the new one and never a half.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Name prefix of files that are being written: whatever carries it may be deleted by the owner of the lock.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// Fills a temporary file in the same folder (made if need be), syncs it, renames it over `path`, syncs the folder. An error leaves nothing behind.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let temporary = write_temporary(path, fill)?;
    temporary.persist(path).map_err(|e| Error::io("rename a temporary file to", path)(e.error))?;
    sync_folder(parent(path))
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
    let temporary = write_temporary(path, |file| file.write_all(bytes).map_err(Error::io("write", path)))?;
    match temporary.persist_noclobber(path) {
        Ok(_) => sync_folder(parent(path)).map(|()| true),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io("rename a temporary file to", path)(e.error)),
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

/// Deletes what a killed writer left half-written in `folder`, so many levels deep: no deeper than its lock reaches, since what is being written
/// elsewhere looks the same. Returns the bytes freed.
pub(crate) fn remove_temporaries(folder: &Path, levels: usize) -> Result<u64> {
    let mut freed = 0;
    for entry in walkdir::WalkDir::new(folder).max_depth(levels).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_file() && entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            freed += entry.metadata().map_or(0, |m| m.len());
            fs::remove_file(entry.path()).map_err(Error::io("delete", entry.path()))?;
        }
    }
    Ok(freed)
}

fn write_temporary(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<tempfile::NamedTempFile> {
    let folder = parent(path);
    create_folder(folder)?;
    let mut options = tempfile::Builder::new();
    options.prefix(TEMPORARY);
    // Files are for everybody whom the umask allows, not only for their owner as temporary files are.
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Dropped on an error, the temporary file is deleted: a full disk leaves nothing behind.
    let mut temporary = options.tempfile_in(folder).map_err(Error::io("create a temporary file in", folder))?;
    fill(temporary.as_file_mut())?;
    temporary.as_file().sync_all().map_err(Error::io("sync", path))?;
    Ok(temporary)
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
