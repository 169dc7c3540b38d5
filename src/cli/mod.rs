//! Raw arguments → checked settings → one command → one exit code.

mod args;
mod commands;
mod screen;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;

use args::{Bench, Cli, Demo, Verb, Weights};
use screen::Screen;

/// How a command ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All done.
    Done,
    /// Done, but not to the strictness asked for.
    Incomplete,
}

/// Runs the command line. Exit 0: done; 1: failed; 2: wrong usage or unusable input.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen { quiet: cli.global.quiet, json: cli.global.json };
    match whole(|| run(&cli, &screen)) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::from(1),
        Err(error) => {
            screen.error(&error);
            let unusable =
                error.chain().find_map(|e| e.downcast_ref::<headstart::Error>()).is_some_and(headstart::Error::is_unusable_input);
            ExitCode::from(if unusable { 2 } else { 1 })
        }
    }
}

/// Runs `work`; a panic becomes an error. Those that the library itself catches (a decoder that stumbles over a damaged image) become that
/// image's reason, so a panic prints nothing by itself.
fn whole(work: impl FnOnce() -> anyhow::Result<Ending>) -> anyhow::Result<Ending> {
    static LAST: Mutex<String> = Mutex::new(String::new());
    panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = LAST.lock() {
            *last = info.to_string();
        }
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let last = LAST.lock().map(|last| last.replace('\n', " ")).unwrap_or_default();
        Err(anyhow::anyhow!("a mistake in headstart itself: {last}; please report this, with the command"))
    })
}

fn run(cli: &Cli, screen: &Screen) -> anyhow::Result<Ending> {
    if let Some(threads) = cli.global.threads {
        set_threads(threads)?;
    }
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
        Verb::Report(a) => commands::report::run(a, screen),
        Verb::Predict(a) => commands::predict::run(a, device, screen),
        Verb::Export(a) => commands::export::run(a, device, screen),
        Verb::Bench(Bench::Forward(a)) => commands::bench::forward(a, device, screen),
        Verb::Bench(Bench::Heads(a)) => commands::bench::heads(a, device, screen),
        Verb::Demo(Demo::Mnist { dir }) => commands::demo::mnist(dir, screen),
    }
}

fn set_threads(threads: usize) -> anyhow::Result<()> {
    if threads == 0 {
        return Err(headstart::Error::setting("--threads 0 leaves nobody to work", "use 1 or more, or leave it out for all cores").into());
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    Ok(())
}
