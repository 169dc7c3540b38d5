//! Unfinished business of this process: files and folders in the making, programs that it waits
//! for. A program that ends at a signal takes them with it: see [`abandon`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Result;

/// Something that is of no use unless it is finished.
pub(crate) enum Thing {
    File(PathBuf),
    Folder(PathBuf),
    Program(Arc<Mutex<Child>>),
}

/// By number, in the order in which they were begun.
static UNFINISHED: Mutex<BTreeMap<u64, Thing>> = Mutex::new(BTreeMap::new());

/// Keeps a thing among the unfinished ones for as long as it lives.
#[derive(Debug)]
pub(crate) struct Unfinished(u64);

/// Begins something: no moment lies between its making and its entry in the list.
pub(crate) fn begin<T>(make: impl FnOnce() -> Result<(T, Thing)>) -> Result<(T, Unfinished)> {
    let mut all = lock();
    let (made, thing) = make()?;
    let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
    all.insert(number, thing);
    Ok((made, Unfinished(number)))
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        lock().remove(&self.0);
    }
}

/// For a program that is about to end, at a signal say: deletes the files and folders that this
/// process is just making, and ends the programs that it waits for. A thread that begins another
/// one waits for ever.
pub fn abandon() {
    let all = lock();
    all.values().for_each(Thing::abandon);
    // Never given back: the program ends, and until then nothing new is to be begun.
    std::mem::forget(all);
}

impl Thing {
    /// A thing that is gone was finished at this moment; one that cannot be deleted is left to the
    /// next run.
    fn abandon(&self) {
        match self {
            Thing::File(path) => drop(fs::remove_file(path)),
            Thing::Folder(path) => remove_folder(path),
            Thing::Program(child) => drop(child.lock().unwrap_or_else(PoisonError::into_inner).kill()),
        }
    }
}

/// Others may be writing into it, until they wait or end.
fn remove_folder(path: &Path) {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        if fs::remove_dir_all(path).is_ok() || !path.exists() {
            return;
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<u64, Thing>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
