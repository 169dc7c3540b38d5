//! What belongs together: photos of one patient, one burst, one video.

use std::path::Path;
use std::str::FromStr;

use regex::Regex;

use super::Entry;
use crate::text::visible;
use crate::{Error, Result};

const MARK: &str = "{group}";
const HELP: &str = "for folders give a pattern for the end of each path, such as `{group}/*` (the folder that holds the photo) or `{group}_*` (its name up to the \
                    first `_`); for a CSV file the name of a column";

/// Where the group of an image is written: photos of a group are never parted, neither by splits
/// that come from a rule nor by a sweep.
///
/// - **A pattern** has `{group}` in it and is held against the end of each path: `*` stands for any
///   text without a `/`, `{group}` for the shortest text that fits. `{group}/*` takes the folder
///   that holds the photo, `{group}_*` the file's name up to its first `_`, `{group}/{group}/*` the
///   last two folders together.
/// - **Any other text** names a column of the CSV file; without a rule, that is the column `group`,
///   where there is one.
#[derive(Debug, Clone)]
pub enum GroupRule {
    /// A column of a CSV file.
    Column(String),
    /// A pattern, as a regular expression.
    Pattern(Regex),
}

impl FromStr for GroupRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<GroupRule> {
        let refuse = || Error::setting(format!("`{text}` says nothing of groups"), HELP);
        if !text.contains(MARK) {
            let is_column = !text.trim().is_empty() && !text.contains(['*', '{', '}', '/']);
            return if is_column { Ok(GroupRule::Column(text.trim().into())) } else { Err(refuse()) };
        }
        let pieces: Vec<String> = text.split(MARK).map(|piece| regex::escape(piece).replace(r"\*", "[^/]*")).collect();
        let pattern = format!("(?:^|/){}$", pieces.join("([^/]+?)"));
        Regex::new(&pattern).map(GroupRule::Pattern).map_err(|_| refuse())
    }
}

/// The group that a pattern finds in a path.
fn in_path(pattern: &Regex, uri: &str) -> Option<String> {
    let found = pattern.captures(uri)?;
    let parts: Vec<&str> = found.iter().skip(1).flatten().map(|part| part.as_str()).collect();
    Some(parts.join("/"))
}

/// Sets the group of every entry by a pattern, and returns what the user should know.
pub(super) fn assign(pattern: &Regex, path: &Path, entries: &mut [Entry]) -> Result<Option<String>> {
    entries.iter_mut().for_each(|entry| entry.group = in_path(pattern, &entry.uri));
    let without = entries.iter().filter(|e| e.group.is_none()).count();
    match entries.first() {
        Some(first) if without == entries.len() => {
            let problem = format!("no path matches the pattern of option `group`; one of them is {}", visible(&first.uri));
            Err(Error::data(path, problem, HELP))
        }
        _ => Ok((without > 0).then(|| format!("{without} of {} images match no group: each of them stands alone", entries.len()))),
    }
}

/// A folder has no columns.
pub(super) fn no_column(path: &Path, name: &str) -> Error {
    Error::data(path, format!("is a folder and has no column `{name}` to group by"), HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(pattern: &str, uri: &str) -> Option<String> {
        match pattern.parse().unwrap() {
            GroupRule::Pattern(pattern) => in_path(&pattern, uri),
            GroupRule::Column(name) => panic!("{name} is a column"),
        }
    }

    #[test]
    fn a_pattern_is_held_against_the_end_of_the_path() {
        for (pattern, uri, want) in [
            ("{group}/*", "train/cats/p7/1.jpg", Some("p7")),
            ("{group}/*", "cats/p7/1.jpg", Some("p7")),
            ("{group}/*/*", "train/p7/left/1.jpg", Some("p7")),
            ("{group}_*", "cats/p7_scan_3.jpg", Some("p7")),
            ("*_{group}_*", "cats/scan_p7_3.jpg", Some("p7")),
            ("{group}.*", "cats/a.b.jpg", Some("a")),
            ("{group}/{group}/*", "train/cats/burst 1/1.jpg", Some("cats/burst 1")),
            ("{group}(?)_*", "cats/p7(?)_1.jpg", Some("p7")),
            ("{group}_*", "p7_a/1.jpg", None),
            ("video-{group}/*", "cats/p7/1.jpg", None),
            ("{group}/*", "1.jpg", None),
        ] {
            assert_eq!(group(pattern, uri).as_deref(), want, "{pattern} on {uri}");
        }
    }

    #[test]
    fn what_is_no_pattern_names_a_column_and_nonsense_is_refused_with_the_way_out() {
        assert!(matches!("patient".parse().unwrap(), GroupRule::Column(name) if name == "patient"));
        for nonsense in ["", " ", "*/*", "{class}/*", "a/b"] {
            let error = nonsense.parse::<GroupRule>().unwrap_err().to_string();
            assert!(error.contains("{group}/*"), "{nonsense}: {error}");
        }
    }
}
