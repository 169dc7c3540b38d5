//! Labels from a CSV file: `path,label[,split][,group]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::folder::check_classes;
use super::{Dataset, Entry, GroupRule, ListOptions, Split, group};
use crate::{Error, Result, nearest};

const FORM: &str = "the first line is `path,label`, perhaps with `split` and `group` behind; one image a line, several labels as `a|b`";

/// Lists the images that a CSV file names.
pub(super) fn list(file: &Path, options: &ListOptions) -> Result<Dataset> {
    let rows = rows(file, options.group.as_ref())?;
    let classes: Vec<String> = rows.iter().flat_map(|r| &r.labels).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    check_classes(file, &classes, rows.len(), FORM)?;
    let has_splits = rows.iter().any(|r| r.split.is_some());
    let mut entries: Vec<Entry> = rows
        .into_iter()
        .map(|row| Entry {
            uri: row.path,
            labels: row.labels.iter().filter_map(|label| classes.binary_search(label).ok()).collect(),
            split: row.split.unwrap_or(Split::Train),
            group: row.group,
        })
        .collect();
    entries.sort_by(|a, b| a.uri.cmp(&b.uri));
    if !has_splits {
        options.split.assign(&mut entries);
    }
    let mut warnings = Vec::new();
    if let Some(GroupRule::Pattern(pattern)) = &options.group {
        warnings.extend(group::assign(pattern, file, &mut entries)?);
    }
    Ok(Dataset { classes, entries, own_splits: has_splits, warnings })
}

struct Row {
    path: String,
    /// Sorted, each once.
    labels: BTreeSet<String>,
    /// In all rows or in none.
    split: Option<Split>,
    group: Option<String>,
}

fn rows(file: &Path, group: Option<&GroupRule>) -> Result<Vec<Row>> {
    let wrong = |line: u64, problem: String, hint: &str| Error::data(format!("{}:{line}", file.display()), problem, hint);
    let text = std::fs::read(file).map_err(Error::io("read", file))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_slice());
    let unreadable = |e: csv::Error| {
        let line = e.position().map_or(1, |at| line_of(&text, at));
        match e.into_kind() {
            csv::ErrorKind::Utf8 { .. } => wrong(line, "is not UTF-8 text".into(), "save the CSV file as UTF-8"),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => wrong(
                line,
                format!("has {len} fields where the header has {expected_len}"),
                "put a path that holds a comma into double quotes",
            ),
            other => wrong(line, format!("{other:?}"), FORM),
        }
    };

    let header = reader.headers().map_err(unreadable)?.clone();
    let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let needed = |name: &str| {
        let near = nearest(name, header.iter()).map(|n| format!("; is it `{n}`?")).unwrap_or_default();
        column(name).ok_or_else(|| wrong(1, format!("the header names no column `{name}`{near}"), FORM))
    };
    let (path_at, label_at, split_at) = (needed("path")?, needed("label")?, column("split"));
    let group_at = match group {
        Some(GroupRule::Column(name)) => Some(needed(name)?),
        Some(GroupRule::Pattern(_)) => None,
        None => column("group"),
    };

    let mut rows = Vec::new();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, |at| line_of(&text, at));
        let path = record[path_at].to_string();
        if path.is_empty() {
            return Err(wrong(line, "names no path".into(), FORM));
        }
        let labels: BTreeSet<String> = record[label_at].split('|').map(|l| l.trim().to_string()).collect();
        if labels.contains("") {
            return Err(wrong(line, format!("`{path}` has an empty label"), FORM));
        }
        let split = match split_at.map(|at| &record[at]) {
            None => None,
            Some(word) => Some(word.to_lowercase().parse::<Split>().map_err(|_| {
                let problem = format!("`{word}` is not a split");
                wrong(line, problem, "write train, val or test into every row, or leave out the column: then the data is split by hash")
            })?),
        };
        if let Some(first) = seen.insert(path.clone(), line) {
            let problem = format!("`{path}` stands in line {first} already");
            return Err(wrong(line, problem, "give an image one row; several labels go into it as `a|b`"));
        }
        let group = group_at.map(|at| record[at].to_string()).filter(|g| !g.is_empty());
        rows.push(Row { path, labels, split, group });
    }
    Ok(rows)
}

/// The 1-based line of a record: the reader's position lies before the empty lines that it skips.
fn line_of(text: &[u8], at: &csv::Position) -> u64 {
    let skipped = text.iter().skip(at.byte() as usize).take_while(|b| b"\r\n".contains(b));
    at.line() + skipped.filter(|&&b| b == b'\n').count() as u64
}
