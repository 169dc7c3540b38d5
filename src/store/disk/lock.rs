//! One writer a cache: an advisory lock that the system gives back when its owner dies, with the
//! owner's process id in the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, Result, files};

/// Not part of a cache: the id of the process that wrote last.
pub(in crate::store) const LOCK: &str = ".lock";
/// More digits than a process id has.
const LONGEST: u64 = 32;

/// What a second process does while the first one writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Waits for a moment (two seconds), then is refused.
    #[default]
    Moment,
    /// Waits until the other is done.
    UntilFree,
}

/// Held while a cache is written; given back when dropped, or by the system when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the cache in `folder`, which is made if need be.
    ///
    /// # Errors
    /// Another process holds it: the message names its process id.
    pub(crate) fn take(folder: &Path, wait: Wait) -> Result<Lock> {
        files::create_folder(folder)?;
        let path = folder.join(LOCK);
        let mut file = open(&path)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
                Err(TryLockError::WouldBlock) if wait == Wait::Moment && start.elapsed() > Duration::from_secs(2) => {
                    let problem = format!("is being written by another process{}", owner(&mut file));
                    return Err(Error::cache(folder, problem, "let it finish, or stop it: what it has finished is kept"));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        let note = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(Error::io("write", &path))?;
        Ok(Lock { _file: file })
    }
}

/// Opens the file, or makes it. A link is not followed, and what is not a lock file is not written:
/// the process id would take the place of what it holds.
fn open(path: &Path) -> Result<File> {
    let refuse = |problem: &str| Err(Error::cache(path, problem, "headstart keeps its lock there: move it away"));
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) {
        return refuse("is a symbolic link");
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Nor a link that somebody puts there this moment.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path).map_err(Error::io("open", path))?;
    let about = file.metadata().map_err(Error::io("read", path))?;
    if !about.is_file() || about.len() > LONGEST {
        return refuse("is not a lock file");
    }
    Ok(file)
}

fn owner(file: &mut File) -> String {
    let mut text = String::new();
    match file.rewind().and_then(|()| file.read_to_string(&mut text)) {
        Ok(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => format!(" (process id {text})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path(), Wait::Moment).unwrap();
        let error = Lock::take(folder.path(), Wait::Moment).unwrap_err().to_string();
        assert!(error.contains(&format!("process id {}", std::process::id())), "{error}");
        drop(first);
        Lock::take(folder.path(), Wait::Moment).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_lock_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, precious) = (folder.path().join(LOCK), folder.path().join("precious"));
        let text = "a thesis of more than thirty-two characters";
        std::fs::write(&precious, text).unwrap();
        std::os::unix::fs::symlink(&precious, &lock).unwrap();
        let error = Lock::take(folder.path(), Wait::Moment).unwrap_err().to_string();
        assert!(error.contains(".lock") && error.contains("symbolic link"), "{error}");
        std::fs::remove_file(&lock).unwrap();
        std::fs::hard_link(&precious, &lock).unwrap();
        let error = Lock::take(folder.path(), Wait::Moment).unwrap_err().to_string();
        assert!(error.contains("not a lock file"), "{error}");
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), text);
        std::fs::remove_file(&lock).unwrap();
        Lock::take(folder.path(), Wait::Moment).unwrap();
    }

    #[test]
    fn or_waits_if_asked() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path(), Wait::Moment).unwrap();
        std::thread::scope(|s| {
            let second = s.spawn(|| Lock::take(folder.path(), Wait::UntilFree).map(|_| Instant::now()));
            std::thread::sleep(Duration::from_millis(120));
            let released = Instant::now();
            drop(first);
            assert!(second.join().unwrap().unwrap() >= released);
        });
    }
}
