//! Output for people and machines: results on stdout, everything else on stderr.

use std::cell::OnceCell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use crate::extraction::{Event, Level};
use crate::text::counted;
pub(super) use crate::text::{seconds, thousands};
use crate::weights::Fetching;
use crate::{visible, visible_lines};
use comfy_table::{Cell, CellAlignment, LineStyle, Row, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::results::Results;
use super::wording::in_commands;

/// The command's output, as the global flags want it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub quiet: bool,
    pub json: bool,
}

impl Screen {
    /// Something good to know; silent under `--quiet`.
    pub(super) fn note(&self, text: impl Display) {
        if !self.quiet {
            to_stderr(visible_lines(&in_commands(&text.to_string())));
        }
    }

    /// Something that may need the user's hand.
    pub(super) fn warn(&self, text: impl Display) {
        let (on, off) = if io::stderr().is_terminal() { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
        to_stderr(format_args!("{on}warning:{off} {}", visible_lines(&in_commands(&text.to_string()))));
    }

    /// An event of an extraction, as a note or a warning.
    pub(super) fn event(&self, event: &Event<'_>) {
        match event.level() {
            Level::Note => self.note(event),
            Level::Warning => self.warn(event),
        }
    }

    /// The error that stopped the command; a bug asks to be reported.
    pub(super) fn error(&self, error: &anyhow::Error) {
        let (on, off) = if io::stderr().is_terminal() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let mut text = error.to_string();
        // Causes whose words are in the message already would only repeat them.
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        if error.chain().any(|e| matches!(e.downcast_ref(), Some(crate::Error::Internal(_)))) {
            text = format!(
                "{text}\n  help: this is a bug in headstart {}: please report it with this message and the command",
                env!("CARGO_PKG_VERSION")
            );
        }
        to_stderr(format_args!("{on}error:{off} {}", visible_lines(&in_commands(&text))));
    }

    /// A result for people, on stdout. Whether it got there is known at the end: [`Results::end`].
    pub(super) fn result(&self, text: impl Display) {
        Results.line(visible_lines(&text.to_string()).as_bytes());
    }

    /// A path as a result: to the byte for programs (`cache=$(headstart features …)`), readable on
    /// a terminal.
    pub(super) fn path(&self, path: &Path) {
        if io::stdout().is_terminal() {
            self.result(visible(&path.to_string_lossy()));
        } else {
            Results.line(path.as_os_str().as_encoded_bytes());
        }
    }

    /// A result for machines, one object a line, on stdout.
    pub(super) fn object(&self, object: &serde_json::Value) {
        Results.line(object.to_string().as_bytes());
    }

    /// A listener for a file that is fetched: a line when it begins, and a bar.
    pub(super) fn fetching(&self) -> impl Fn(Fetching) {
        let (screen, shown) = (*self, OnceCell::new());
        move |event| match event {
            Fetching::Begins(text) => screen.note(text),
            Fetching::Bytes { done, total } => {
                let bar: &ProgressBar = shown.get_or_init(|| screen.bar(total, "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}"));
                bar.set_position(done);
                if done == total {
                    bar.finish_and_clear();
                }
            }
        }
    }

    /// Takes what a bar has drawn, or a key has left, off the terminal's line.
    pub(super) fn clear_line(&self) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// A progress bar on a terminal, nothing elsewhere.
    pub(super) fn bar(&self, total: u64, template: &str) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

fn to_stderr(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A table with a line below its header; all columns but the first `left` are aligned to the right.
pub(super) fn table<T: Into<Row>>(header: T, left: usize, rows: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(header);
    table.add_rows(rows.into_iter().map(|row| visible_cells(&row.into())));
    table.column_iter_mut().skip(left).for_each(|c| {
        c.set_cell_alignment(CellAlignment::Right);
    });
    table
}

/// A row whose cells hold one line each, whatever the names in them hold.
fn visible_cells(row: &Row) -> Row {
    row.cell_iter().map(|cell| Cell::new(visible(&cell.content()))).collect::<Vec<Cell>>().into()
}

/// A path in JSON, which holds UTF-8 alone: `�` stands for anything else.
pub(super) fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Bytes as people say them.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { counted(n as usize, "byte", "bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_table_stays_in_its_cell() {
        let shown = table(["class".to_string()], 1, [["a\nb\x1b[2J\u{202e}".to_string()]]).to_string();
        assert!(shown.contains("a\\nb\\u{1b}[2J\\u{202e}"), "{shown}");
    }

    #[test]
    fn quantities_read_as_people_say_them() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(999_600), "1.0 MB");
    }
}
