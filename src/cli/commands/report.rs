//! `headstart report`: a sweep as one HTML file.

use crate::report;
use serde_json::json;

use crate::cli::args::Report;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, name};

/// Runs the verb. On stdout: the file that was written.
pub(crate) fn run(a: &Report, screen: &Screen) -> anyhow::Result<Ending> {
    let written = report::write(&a.sweep, a.data.as_deref())?;
    for note in &written.notes {
        if written.damage.contains(note) { screen.warn(note) } else { screen.note(note) }
    }
    if screen.json {
        screen.object(&json!({ "file": name(&written.file), "bytes": written.bytes, "notes": written.notes }));
    } else {
        screen.note(bytes(written.bytes));
        screen.path(&written.file);
    }
    Ok(Ending::Done)
}
