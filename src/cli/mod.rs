//! Raw arguments → checked settings → one command → one exit code.

mod args;
mod bench;
mod commands;
mod demo;
mod ending;
mod results;
mod screen;
mod signals;
mod watch;
mod wording;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;

use args::{Bench, Cli, Demo, Verb, Weights};
use ending::Ending;
use results::Results;
use screen::Screen;
use wording::in_commands;

/// Runs a command line, whose first word is the program's name. The exit code is 0 where all was
/// done, 1 for a failure, 2 for wrong usage or unusable input, and 128 or more where a signal
/// stopped it.
///
/// It is made for a program's own `main`: it listens for signals, keeps panics quiet and starts the
/// threads of the whole process, so a process can call it once.
///
/// ```no_run
/// headstart::cli::main(["headstart", "features", "--data", "photos", "--backbone", "efficientnet_lite0"]);
/// ```
pub fn main<I, A>(args: I) -> ExitCode
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let (code, screen) = match Cli::try_parse_from(args) {
        Ok(cli) => {
            let screen = Screen { quiet: cli.global.quiet, json: cli.global.json };
            (ended(whole(|| run(&cli, &screen)), &screen), screen)
        }
        Err(usage) => (said(&usage), Screen { quiet: false, json: false }),
    };
    match Results.end() {
        Ok(()) => ExitCode::from(code),
        Err(lost) => {
            let lost = lost.raw_os_error().map_or_else(|| lost.kind().into(), io::Error::from_raw_os_error);
            screen.error(&crate::Error::io("write the results to", "stdout")(lost).into());
            ExitCode::from(code.max(1))
        }
    }
}

/// The exit code of a command that ended so; an error is said.
fn ended(end: anyhow::Result<Ending>, screen: &Screen) -> u8 {
    match end {
        Ok(Ending::Done) => 0,
        Ok(Ending::Incomplete) => 1,
        Ok(Ending::Stopped) => signals::asked().unwrap_or(1),
        Err(error) => {
            screen.error(&error);
            let unusable = error.chain().find_map(|e| e.downcast_ref::<crate::Error>()).is_some_and(crate::Error::is_unusable_input);
            if unusable { 2 } else { 1 }
        }
    }
}

/// The exit code of a command line that was not understood, or that asked for help or version,
/// which are results.
fn said(usage: &clap::Error) -> u8 {
    let (shown, to_stderr) = (usage.render(), usage.use_stderr());
    let is_terminal = if to_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = if is_terminal && std::env::var_os("NO_COLOR").is_none() { shown.ansi().to_string() } else { shown.to_string() };
    let _ = if to_stderr { io::stderr().write_all(in_commands(&text).as_bytes()) } else { Results.write_all(text.as_bytes()) };
    usage.exit_code() as u8
}

/// Runs `work`; a panic becomes an error. Those that the library itself catches (a decoder that
/// stumbles over a damaged image) become that image's reason, so a panic prints nothing by itself.
fn whole(work: impl FnOnce() -> anyhow::Result<Ending>) -> anyhow::Result<Ending> {
    static LAST: Mutex<String> = Mutex::new(String::new());
    panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = LAST.lock() {
            *last = info.to_string();
        }
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let last = LAST.lock().map(|last| last.replace('\n', " ")).unwrap_or_default();
        // The standard library panics where the system has no thread left.
        if last.contains("failed to spawn thread") {
            return Err(no_threads(&reason_of_spawn(&last)));
        }
        Err(crate::Error::internal(last).into())
    })
}

/// The system's own words in the standard library's panic: `panicked at …: failed to spawn thread: Os
/// { code: 11, kind: WouldBlock, message: "Resource temporarily unavailable" }`.
fn reason_of_spawn(panic: &str) -> &str {
    let message = panic.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    message.map_or("a thread could not be started", |(message, _)| message)
}

fn no_threads(reason: &dyn Display) -> anyhow::Error {
    anyhow::anyhow!(
        "the system gives it no more threads: {reason}\n  help: use fewer (--threads 1), or raise the limits (`ulimit -u`, `ulimit -v`)"
    )
}

fn run(cli: &Cli, screen: &Screen) -> anyhow::Result<Ending> {
    signals::listen(*screen).map_err(|e| no_threads(&e))?;
    set_threads(cli.global.threads)?;
    let device = &cli.global.device;
    match &cli.verb {
        Verb::Backbones(a) => commands::backbones::run(a, screen),
        Verb::Weights(Weights::Fetch { entry }) => commands::weights::fetch(entry, screen),
        Verb::Weights(Weights::Convert { src, dst }) => commands::weights::convert(src, dst, screen),
        Verb::Weights(Weights::Check { file, backbone }) => commands::weights::check(file, backbone, screen),
        Verb::Features(a) => commands::features::run(a, device, screen),
        Verb::Inspect(a) => commands::inspect::run(a, screen),
        Verb::Verify(a) => commands::verify::run(a, device, screen),
        Verb::Gc(a) => commands::gc::run(a, screen),
        Verb::Merge(a) => commands::merge::run(a, screen),
        Verb::Sweep(a) => commands::sweep::run(a, device, screen),
        Verb::Speedup(a) => commands::speedup::run(a, device, screen),
        #[cfg(feature = "report")]
        Verb::Report(a) => commands::report::run(a, screen),
        Verb::Predict(a) => commands::predict::run(a, device, screen),
        Verb::Export(a) => commands::export::run(a, device, screen),
        Verb::Bench(Bench::Forward(a)) => commands::bench::forward(a, device, screen),
        Verb::Bench(Bench::Heads(a)) => commands::bench::heads(a, device, screen),
        Verb::Demo(Demo::Mnist { dir }) => commands::demo::mnist(dir, screen),
    }
}

/// Starts the threads, all cores' where nothing is said: now, so that a system which has none left
/// is understood.
fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if threads == Some(0) {
        return Err(crate::Error::setting("--threads 0 leaves nobody to work", "use 1 or more, or leave it out for all cores").into());
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or_default()).build_global().map_err(|e| no_threads(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_for_lack_of_threads_gives_the_systems_reason_alone() {
        let panic = "panicked at /rustc/0/library/std/src/thread/scoped.rs:210:34: failed to spawn thread: Os { code: 11, kind: WouldBlock, \
                     message: \"Resource temporarily unavailable\" }";
        assert_eq!(reason_of_spawn(panic), "Resource temporarily unavailable");
        assert_eq!(reason_of_spawn("panicked at x: failed to spawn thread"), "a thread could not be started");
    }
}
