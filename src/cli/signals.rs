//! Ctrl-C and SIGTERM: what is finished is kept and said, what is half-written goes, and the exit
//! code is 128 and the signal's number. Also the signals by which a system says that a file or the
//! memory has reached its limit.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::screen::Screen;

/// The first signal that asked to stop; 0 before.
static ASKED: AtomicI32 = AtomicI32::new(0);
/// Whether the running work looks at [`asked`] and ends in its own time.
static GENTLE: AtomicBool = AtomicBool::new(false);
/// Words for the work that is kept.
static KEPT: Mutex<Option<Box<dyn Fn() -> String + Send>>> = Mutex::new(None);

/// The exit code of the signal that asked to stop.
pub(super) fn asked() -> Option<u8> {
    Some(ASKED.load(Ordering::Relaxed)).filter(|&signal| signal != 0).map(|signal| 128 + signal as u8)
}

/// While this lives, a first signal only asks.
pub(super) struct Gently(());

/// Lets the running work come to a good end: it looks at [`asked`].
pub(super) fn gently() -> Gently {
    GENTLE.store(true, Ordering::Relaxed);
    Gently(())
}

impl Drop for Gently {
    fn drop(&mut self) {
        GENTLE.store(false, Ordering::Relaxed);
    }
}

/// While this lives, its words are said at a signal.
pub(super) struct Kept(());

/// Sets the words for finished work, should a signal end the program.
pub(super) fn kept(words: impl Fn() -> String + Send + 'static) -> Kept {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(words));
    Kept(())
}

impl Drop for Kept {
    fn drop(&mut self) {
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Listens for as long as the program runs.
#[cfg(unix)]
pub(super) fn listen(screen: Screen) -> std::io::Result<()> {
    use signal_hook::consts::{SIGABRT, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::{flag, iterator::Signals};

    // Left alone, these two kill. Heard, the first lets writing fail as on a full disk
    // (`ulimit -f`). The second follows the words of Rust's own about memory that is not to be had
    // (`ulimit -v`): the program ends there, with the exit code of a failure.
    flag::register(SIGXFSZ, Arc::default())?;
    flag::register_conditional_shutdown(SIGABRT, 1, Arc::new(AtomicBool::new(true)))?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let hear = move || signals.forever().for_each(|signal| hear(signal, &screen));
    std::thread::Builder::new().name("signals".into()).spawn(hear).map(drop)
}

#[cfg(not(unix))]
pub fn listen(_: Screen) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn hear(signal: i32, screen: &Screen) {
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
    let is_first = ASKED.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    screen.clear_line();
    if is_first && GENTLE.load(Ordering::Relaxed) {
        return screen.note(format_args!("{name}: stopping as soon as the running shard is written; once more, and it is given up"));
    }
    crate::abandon();
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let words = kept.as_ref().map_or("nothing half-written is left".into(), |words| words());
    screen.warn(format_args!("{name}: stopped; {words}"));
    signal_hook::low_level::exit(128 + signal);
}
