//! Names for people to look at. Names of files and classes may hold anything: none of it may reach
//! a terminal as a command.

use std::borrow::Cow;
use std::path::Path;

/// `text` with its control characters as escapes (`\u{1b}`, `\n`), and those that reverse the
/// direction of writing likewise.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// As [`visible`], but lines stay lines: for messages and tables, whose own line ends are meant.
pub(crate) fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// A path for people: [`visible`], and `�` for bytes that are not UTF-8.
pub(crate) fn visible_path(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

/// Serialises a path, and `�` for bytes that are not UTF-8, which JSON cannot hold.
pub(crate) fn lossy<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

fn escaped(text: &str, is_meant: impl Fn(char) -> bool) -> Cow<'_, str> {
    let acts = |c: char| !is_meant(c) && (c.is_control() || turns_direction(c));
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !acts(c) => shown.push(c),
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            _ => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// Line and paragraph separators, embeddings, overrides and isolates: they make `gpj.exe` look like
/// `exe.jpg`.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number with its noun: `1 class`, `2 classes`.
pub(crate) fn counted(n: usize, one: &str, several: &str) -> String {
    format!("{} {}", thousands(n as u64), if n == 1 { one } else { several })
}

/// 12345678 as `12,345,678`.
pub(crate) fn thousands(n: u64) -> String {
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

/// Seconds as people say them: `40 ms` below a tenth of a second, `0.4 s`, `12 s`, `3 min 20 s`, `2
/// h 5 min`.
pub(crate) fn seconds(s: f64) -> String {
    match s.round() as u64 {
        _ if s < 0.095 => format!("{:.0} ms", s * 1000.0),
        _ if s < 9.95 => format!("{s:.1} s"),
        t if t < 60 => format!("{t} s"),
        t if t < 3600 => format!("{} min {} s", t / 60, t % 60),
        t => format!("{} h {} min", t / 3600, t % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_and_all_else_stays() {
        assert!(matches!(visible("chats/café 猫\u{200f}.jpg"), Cow::Borrowed(_)));
        assert_eq!(visible("a\x1b[31mb\x07\x7f\u{9b}c\r\n\t"), "a\\u{1b}[31mb\\u{7}\\u{7f}\\u{9b}c\\r\\n\\t");
        assert_eq!(visible("x\u{202e}gpj.exe\u{2066}"), "x\\u{202e}gpj.exe\\u{2066}");
        assert_eq!(visible_lines("one\n\ttwo\x1b"), "one\n\ttwo\\u{1b}");
    }

    #[test]
    fn quantities_read_as_people_say_them() {
        assert_eq!((thousands(12_345_678), thousands(123)), ("12,345,678".into(), "123".into()));
        for (s, words) in [(0.0124, "12 ms"), (0.44, "0.4 s"), (12.4, "12 s"), (200.2, "3 min 20 s"), (7500.0, "2 h 5 min")] {
            assert_eq!(seconds(s), words);
        }
    }
}
