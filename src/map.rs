//! Files mapped into memory, guarded: where a page cannot be read (the file was cut short
//! meanwhile, the disk has a bad sector) the system sends SIGBUS, which ends a process without a
//! word. Here the pages behind such a place read as zeros, and the map is marked: a caller who
//! publishes results from it asks [`Map::check`] first.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::{Error, Result};

/// A whole file, mapped to be read.
#[derive(Debug)]
pub(crate) struct Map {
    /// Dropped before the map, so that addresses of later maps are not guarded by it.
    guard: guard::Guard,
    map: Mmap,
    path: PathBuf,
}

impl Map {
    /// Maps a file.
    ///
    /// # Errors
    /// The system's own.
    pub(crate) fn open(path: &Path) -> Result<Map> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        // SAFETY: the map is read-only, and files that are mapped here are never written in place:
        // shards and weights are renamed into being and unlinked. Somebody outside who edits one
        // while it is read gives wrong values, which no reader of mapped files can exclude; one who
        // cuts it short gives zeros and a mark.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Ok(Map { guard: guard::Guard::new(&map), map, path: path.into() })
    }

    /// Whether a part of it could not be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.guard.is_broken()
    }

    /// Asked before values that were read are used.
    ///
    /// # Errors
    /// A part of the file could not be read, and was taken for zeros.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_broken() {
            false => Ok(()),
            true => Err(Error::io("read", &self.path)(io::Error::other(BROKEN))),
        }
    }

    /// Tells the system that a part will be read soon. Advice alone: where it is not taken, pages
    /// come when they are read.
    pub(crate) fn will_need(&self, offset: usize, len: usize) {
        #[cfg(unix)]
        self.map.advise_range(memmap2::Advice::WillNeed, offset, len).unwrap_or_default();
        #[cfg(not(unix))]
        let _ = (offset, len);
    }
}

/// The fault of a broken map.
pub(crate) const BROKEN: &str = "it was cut short while it was in use, or the disk cannot read a part of it";

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(unix)]
mod guard {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use libc::{c_int, c_void, siginfo_t};

    /// The address range of a live map. All that the handler of the signal reads and writes are
    /// atomics in memory that is never freed.
    #[derive(Debug)]
    struct Slot {
        taken: AtomicBool,
        /// 0 while nothing is guarded.
        start: AtomicUsize,
        end: AtomicUsize,
        broken: AtomicBool,
    }

    impl Slot {
        const fn free() -> Slot {
            Slot { taken: AtomicBool::new(false), start: AtomicUsize::new(0), end: AtomicUsize::new(0), broken: AtomicBool::new(false) }
        }
    }

    /// Slots that came together; the last one leads to further ones.
    struct Slots {
        slots: [Slot; 256],
        next: OnceLock<Box<Slots>>,
    }

    impl Slots {
        const fn new() -> Slots {
            Slots { slots: [const { Slot::free() }; 256], next: OnceLock::new() }
        }
    }

    static FIRST: Slots = Slots::new();
    /// The previous handler of the signal, and the size of a page.
    static BEFORE: OnceLock<(libc::sigaction, usize)> = OnceLock::new();

    /// Guards a map as long as it lives.
    #[derive(Debug)]
    pub(super) struct Guard(&'static Slot);

    impl Guard {
        pub(super) fn new(map: &[u8]) -> Guard {
            BEFORE.get_or_init(install);
            let slot = free_slot();
            let start = map.as_ptr() as usize;
            slot.broken.store(false, Ordering::Relaxed);
            slot.end.store(start + map.len(), Ordering::Relaxed);
            slot.start.store(start, Ordering::Release);
            Guard(slot)
        }

        pub(super) fn is_broken(&self) -> bool {
            self.0.broken.load(Ordering::Acquire)
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.start.store(0, Ordering::Release);
            self.0.taken.store(false, Ordering::Release);
        }
    }

    fn free_slot() -> &'static Slot {
        let mut some = &FIRST;
        loop {
            let take = |slot: &&Slot| slot.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if let Some(slot) = some.slots.iter().find(take) {
                return slot;
            }
            some = some.next.get_or_init(|| Box::new(Slots::new()));
        }
    }

    fn install() -> (libc::sigaction, usize) {
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = handle;
        // SAFETY: both structures are plain numbers for which zeros are valid; the handler has the
        // signature that SA_SIGINFO asks for, and does nothing but what a handler may (see there).
        // It runs on the thread's alternate stack where there is one, as the runtime's own handler
        // does.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut before: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &action, &mut before);
            (before, libc::sysconf(libc::_SC_PAGESIZE).max(1) as usize)
        }
    }

    /// A page cannot be read. It reads atomics, maps memory (a bare system call) and hands on, and
    /// neither allocates nor locks.
    extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the system hands a valid structure to a handler that was installed with
        // SA_SIGINFO.
        let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
        // Codes from 0 down are signals that another process sent: those have no address.
        if code <= 0 || !patch(address) {
            hand_on(signal, info, context);
        }
    }

    /// Puts zeros in the place of pages that cannot be read, up to the end of the map. Returns
    /// whether the address is one of ours.
    fn patch(address: usize) -> bool {
        let Some((_, page)) = BEFORE.get() else { return false };
        let Some(slot) = find(address) else { return false };
        // Marked first: who sees a zero sees the mark as well.
        slot.broken.store(true, Ordering::SeqCst);
        let start = address / page * page;
        let length = slot.end.load(Ordering::Relaxed).next_multiple_of(*page) - start;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        // SAFETY: the range lies in a live read-only map of ours, which the thread that stumbled
        // borrows, so it cannot be unmapped meanwhile; maps begin at a page and own the last one
        // whole. Other bytes under a `&[u8]` are what a file that changes under its map gives
        // anyway; the mark says that they are worth nothing.
        let patched = unsafe { libc::mmap(start as *mut c_void, length, libc::PROT_READ, flags, -1, 0) };
        patched != libc::MAP_FAILED
    }

    fn find(address: usize) -> Option<&'static Slot> {
        let mut some = Some(&FIRST);
        while let Some(slots) = some {
            let is_inside = |slot: &&Slot| {
                let start = slot.start.load(Ordering::Acquire);
                start != 0 && start <= address && address < slot.end.load(Ordering::Relaxed)
            };
            if let Some(slot) = slots.slots.iter().find(is_inside) {
                return Some(slot);
            }
            some = slots.next.get().map(|next| &**next);
        }
        None
    }

    /// Calls the previous handler of the signal.
    fn hand_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let before = BEFORE.get().map(|(before, _)| before).filter(|b| b.sa_sigaction != libc::SIG_DFL && b.sa_sigaction != libc::SIG_IGN);
        // SAFETY: the address is that of the handler that the system gave us, called as its flags
        // say; without one the signal does what it does by default as soon as this handler returns.
        unsafe {
            match before {
                Some(b) if b.sa_flags & libc::SA_SIGINFO != 0 => {
                    let call: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(b.sa_sigaction);
                    call(signal, info, context);
                }
                Some(b) => {
                    let call: extern "C" fn(c_int) = std::mem::transmute(b.sa_sigaction);
                    call(signal);
                }
                None => {
                    libc::signal(signal, libc::SIG_DFL);
                    libc::raise(signal);
                }
            }
        }
    }
}

/// Systems without the signal have no such guard.
#[cfg(not(unix))]
mod guard {
    #[derive(Debug)]
    pub struct Guard;

    impl Guard {
        pub fn new(_: &[u8]) -> Guard {
            Guard
        }

        pub fn is_broken(&self) -> bool {
            false
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_file_cut_short_reads_as_zeros_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        // More than one allotment of slots.
        let maps: Vec<Map> = (0..300)
            .map(|i| {
                let path = folder.path().join(i.to_string());
                std::fs::write(&path, vec![7; 40_000]).unwrap();
                Map::open(&path).unwrap()
            })
            .collect();
        let cut = [3, 299];
        for i in cut {
            File::options().write(true).open(folder.path().join(i.to_string())).unwrap().set_len(10_000).unwrap();
        }
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| cut.iter().for_each(|&i| assert_eq!((maps[i][9_999], maps[i][39_999], maps[i][20_000]), (7, 0, 0))));
            }
        });
        for (i, map) in maps.iter().enumerate() {
            assert_eq!(map.is_broken(), cut.contains(&i));
        }
        let error = maps[299].check().unwrap_err().to_string();
        assert!(error.contains("299") && error.contains("cut short"), "{error}");
        drop(maps);
        let path = folder.path().join("7");
        assert!(!Map::open(&path).unwrap().is_broken(), "a slot that is used again is clean");
    }

    const CHILD: &str = "HEADSTART_TEST_SIGBUS";

    /// Not a test of its own: the process that `signals_of_others_go_to_whom_they_belong` looks at.
    #[test]
    #[ignore = "run by another test, in a process that is killed"]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let map = Map::open(&std::env::current_exe().unwrap()).unwrap();
        assert_ne!(map[0], 0);
        // SAFETY: a signal to ourselves.
        unsafe { libc::raise(libc::SIGBUS) };
        // SAFETY: as above; the runtime's own handler lets the second one through.
        unsafe { libc::raise(libc::SIGBUS) };
    }

    #[test]
    fn signals_of_others_go_to_whom_they_belong() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["map::tests::child", "--exact", "--ignored"]).env(CHILD, "1").stdout(Stdio::null()).stderr(Stdio::null());
        assert_eq!(command.status().unwrap().signal(), Some(libc::SIGBUS));
    }
}
