//! What people and machines see: results on stdout, everything else on stderr.

use std::cell::OnceCell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Row, Table, TableStyle};
pub use headstart::report::seconds;
use headstart::weights::Fetching;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where a command's words go, as the global flags have it.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub quiet: bool,
    pub json: bool,
}

impl Screen {
    /// Something good to know; silent under `--quiet`.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            to_stderr(text);
        }
    }

    /// Something that may need the user's hand.
    pub fn warn(&self, text: impl Display) {
        let (on, off) = if io::stderr().is_terminal() { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
        to_stderr(format_args!("{on}warning:{off} {text}"));
    }

    /// What stopped the command.
    pub fn error(&self, error: &anyhow::Error) {
        let (on, off) = if io::stderr().is_terminal() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let mut text = error.to_string();
        // Causes whose words are in the message already would only repeat them.
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        to_stderr(format_args!("{on}error:{off} {text}"));
    }

    /// A result, on stdout.
    pub fn result(&self, text: impl Display) {
        // A reader that has gone away (`| head`) is no error of ours.
        let _ = writeln!(io::stdout(), "{text}");
    }

    /// A result for machines, one object a line, on stdout.
    pub fn object(&self, object: &serde_json::Value) {
        self.result(object);
    }

    /// Whoever listens while a file is fetched: a line when it begins, and a bar.
    pub fn fetching(&self) -> impl Fn(Fetching) {
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

    /// A progress bar on a terminal, nothing elsewhere.
    pub fn bar(&self, total: u64, template: &str) -> ProgressBar {
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
pub fn table<T: Into<Row>>(header: T, left: usize, rows: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(header);
    table.add_rows(rows);
    table.column_iter_mut().skip(left).for_each(|c| {
        c.set_cell_alignment(CellAlignment::Right);
    });
    table
}

/// Bytes as people say them.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// 12345678 as `12,345,678`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_say_them() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(999_600), "1.0 MB");
        assert_eq!(thousands(12_345_678), "12,345,678");
        assert_eq!(thousands(123), "123");
    }
}
