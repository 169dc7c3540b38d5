//! Labels from a CSV file: `path,label[,split][,group]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::classes::{self, Found, Item};
use super::options::ListOptions;
use super::text::name_some;
use super::{Dataset, GroupRule, SplitNames, layout};
use crate::text::visible;
use crate::{Error, Result, nearest};

const FORM: &str = "the first line is `path,label`, perhaps with `split` and `group` behind; one image a line, several labels as `a|b`";
const SPLIT_WORDS: &str = "write train, val or test into every row, or say what the words mean (option `splits=train=seen,test=unseen`), or leave out the column \
                           (or say option `splits=none`): then the data is split by hash";

/// Lists the images that a CSV file names.
pub(super) fn list(file: &Path, options: &ListOptions) -> Result<Dataset> {
    let mut found = Reader::open(file, options)?.read()?;
    refuse_foreign_paths(file, &found.items)?;
    let classes: Vec<String> = found.items.iter().flat_map(|i| &i.labels).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if !options.lenient {
        classes::check(file, &classes, found.items.len(), FORM)?;
    }
    found.own_splits = found.items.iter().any(|i| i.split.is_some());
    classes::dataset(file, found, options)
}

/// Where the fields are.
struct Columns {
    path: usize,
    label: usize,
    split: Option<usize>,
    group: Option<usize>,
}

struct Reader<'a> {
    file: &'a Path,
    text: Vec<u8>,
    options: &'a ListOptions,
    delimiter: u8,
}

impl<'a> Reader<'a> {
    fn open(file: &'a Path, options: &'a ListOptions) -> Result<Reader<'a>> {
        let text = std::fs::read(file).map_err(Error::io("read", file))?;
        Ok(Reader { file, delimiter: delimiter(&text), text, options })
    }

    fn read(&self) -> Result<Found> {
        let mut reader = csv::ReaderBuilder::new().delimiter(self.delimiter).trim(csv::Trim::All).from_reader(self.text.as_slice());
        let header = reader.headers().map_err(|e| self.unreadable(e))?.clone();
        let columns = self.columns(&header)?;
        let mut found = Found { notes: self.unused(&header, &columns).into_iter().collect(), ..Found::default() };
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| self.unreadable(e))?;
            let line = record.position().map_or(0, |at| line_of(&self.text, at));
            let item = self.item(&record, &columns, line)?;
            if let Some(first) = seen.insert(item.uri.clone(), line) {
                let problem = format!("`{}` stands in line {first} already", item.uri);
                return Err(self.wrong(line, problem, "give an image one row; several labels go into it as `a|b`"));
            }
            found.items.push(item);
        }
        Ok(found)
    }

    fn columns(&self, header: &csv::StringRecord) -> Result<Columns> {
        let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
        let needed = |name: &str| {
            let near = nearest(name, header.iter()).map(|n| format!("; is it `{n}`?")).unwrap_or_default();
            column(name).ok_or_else(|| self.wrong(1, format!("the header names no column `{name}`{near}"), FORM))
        };
        Ok(Columns {
            path: needed("path")?,
            label: needed("label")?,
            split: if self.options.lenient || self.options.splits.as_ref().is_some_and(SplitNames::is_none) {
                None
            } else {
                column("split")
            },
            group: match &self.options.group {
                Some(GroupRule::Column(name)) => Some(needed(name)?),
                Some(GroupRule::Pattern(_)) => None,
                None => column("group"),
            },
        })
    }

    /// Names the columns that are not read.
    fn unused(&self, header: &csv::StringRecord, columns: &Columns) -> Option<String> {
        let used = [Some(columns.path), Some(columns.label), columns.split, columns.group];
        let unused: Vec<&str> = header.iter().enumerate().filter(|(i, _)| !used.contains(&Some(*i))).map(|(_, name)| name).collect();
        (!unused.is_empty()).then(|| format!("columns that are not used: {}", name_some(unused.into_iter())))
    }

    fn item(&self, record: &csv::StringRecord, columns: &Columns, line: u64) -> Result<Item> {
        let uri = record[columns.path].to_string();
        if uri.is_empty() {
            return Err(self.wrong(line, "names no path".into(), FORM));
        }
        let label = &record[columns.label];
        let labels: BTreeSet<String> = if self.options.single_label {
            BTreeSet::from([label.to_string()])
        } else {
            label.split('|').map(|l| l.trim().to_string()).collect()
        };
        if labels.contains("") {
            return Err(self.wrong(line, format!("`{uri}` has an empty label"), FORM));
        }
        let split = |word: &str| {
            let split = layout::split_of_word(word, self.options.splits.as_ref());
            split.ok_or_else(|| self.wrong(line, format!("`{word}` is not a split"), SPLIT_WORDS))
        };
        Ok(Item {
            uri,
            labels,
            split: columns.split.map(|at| split(&record[at])).transpose()?,
            group: columns.group.map(|at| record[at].to_string()).filter(|group| !group.is_empty()),
        })
    }

    fn unreadable(&self, e: csv::Error) -> Error {
        let line = e.position().map_or(1, |at| line_of(&self.text, at));
        match e.into_kind() {
            csv::ErrorKind::Utf8 { .. } => self.wrong(line, "is not UTF-8 text".into(), "save the CSV file as UTF-8"),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => self.wrong(
                line,
                format!("has {len} fields where the header has {expected_len}"),
                "put a path that holds a comma into double quotes",
            ),
            other => self.wrong(line, format!("{other:?}"), FORM),
        }
    }

    fn wrong(&self, line: u64, problem: String, hint: &str) -> Error {
        Error::data(format!("{}:{line}", self.file.display()), visible(&problem), hint)
    }
}

/// The delimiter under which the first line names the columns; spreadsheets of many countries write
/// semicolons.
fn delimiter(text: &[u8]) -> u8 {
    let first = text.split(|byte| b"\r\n".contains(byte)).find(|line| !line.is_empty()).unwrap_or_default();
    let names = |delimiter: u8| {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(first);
        reader.headers().is_ok_and(|header| ["path", "label"].iter().all(|name| header.iter().any(|h| h.eq_ignore_ascii_case(name))))
    };
    [b',', b';', b'\t'].into_iter().find(|delimiter| names(*delimiter)).unwrap_or(b',')
}

/// Paths of Windows name nothing on other systems.
fn refuse_foreign_paths(file: &Path, items: &[Item]) -> Result<()> {
    let root = file.parent().unwrap_or(Path::new("."));
    let mut foreign = items.iter().filter(|i| i.uri.contains('\\') && !root.join(&i.uri).exists());
    let Some(first) = foreign.next() else { return Ok(()) };
    let problem = format!("{} paths are written with `\\` and name no file here, such as `{}`", foreign.count() + 1, visible(&first.uri));
    let hint = format!("write them with `/`, relative to the CSV file: `{}`", visible(&first.uri.replace('\\', "/")));
    Err(Error::data(file, problem, hint))
}

/// The 1-based line of a record: the reader's position lies before the empty lines that it skips.
fn line_of(text: &[u8], at: &csv::Position) -> u64 {
    let skipped = text.iter().skip(at.byte() as usize).take_while(|b| b"\r\n".contains(b));
    at.line() + skipped.filter(|&&b| b == b'\n').count() as u64
}
