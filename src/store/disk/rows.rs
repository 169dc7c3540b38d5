//! `rows.csv`: one line an image. Labels, splits, groups and paths live here alone.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::data::{Digest, Settled, Split};
use crate::{Error, Result};

pub(in crate::store) const ROWS: &str = "rows.csv";
/// The last column is there where the data has groups: files without it are as they always were.
const HEADER: [&str; 8] = ["row", "path", "class", "label", "split", "sha256", "status", "group"];
const WITHOUT_GROUPS: usize = 7;

/// Whether a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing speaks against the image: its features are in the shards that list its row.
    Ok,
    /// The image cannot be used; the manifest says why.
    Failed,
    /// The image is gone. Its features stay until `gc`, in case it comes back.
    Deleted,
}

impl Status {
    /// Its word in `rows.csv`.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Deleted => "deleted",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number, for ever.
    pub row: u64,
    /// Its URI in its source: for local folders the path below the root.
    pub path: String,
    /// Indices into the manifest's classes; more than one where the data is multi-label.
    pub labels: Vec<usize>,
    /// Its split; open in one part of an extraction, until `merge` knows what all images are.
    pub split: Option<Split>,
    /// Digest of the file; `None` where it could not be read.
    pub digest: Option<Digest>,
    /// Whether it counts.
    pub status: Status,
    /// What it belongs to (a patient, a burst, a video), where that is known: rows of a group are
    /// not parted.
    pub group: Option<String>,
}

impl Row {
    /// The row as a rule for splitting knows it, if its split is settled.
    pub fn settled(&self) -> Option<Settled<'_>> {
        Some(Settled { digest: self.digest, path: &self.path, group: self.group.as_deref(), split: self.split? })
    }
}

/// The way out of a `rows.csv` that is not what was written.
pub(in crate::store) const RELIST: &str =
    "extract the features again as before: rows that can be read stay, and paths, labels and splits are set anew; or put back a copy";

/// The text of `rows.csv`. `class` repeats the labels as names, several as `a|b`.
pub(in crate::store) fn encode(rows: &[Row], classes: &[String]) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::with_capacity(rows.len() * 128));
    let columns = if rows.iter().any(|r| r.group.is_some()) { HEADER.len() } else { WITHOUT_GROUPS };
    let mut record =
        |fields: [&str; 8]| csv.write_record(&fields[..columns]).map_err(|e| Error::internal(format!("rows cannot be written: {e}")));
    record(HEADER)?;
    for row in rows {
        let labels: Vec<String> = row.labels.iter().map(usize::to_string).collect();
        record([
            &row.row.to_string(),
            &row.path,
            &class_names(&row.labels, classes),
            &labels.join("|"),
            row.split.map_or("", Split::name),
            &row.digest.map(|d| d.to_string()).unwrap_or_default(),
            row.status.name(),
            row.group.as_deref().unwrap_or_default(),
        ])?;
    }
    csv.into_inner().map_err(|e| Error::internal(format!("rows cannot be written: {e}")))
}

/// Reads the text of the file at `path`; rows come sorted by number.
///
/// # Errors
/// A damaged file, or labels that are not those of `classes`.
pub(in crate::store) fn decode(path: &Path, text: &[u8], classes: &[String]) -> Result<Vec<Row>> {
    let damaged = |problem: String| Error::cache(path, problem, RELIST);
    let mut csv = csv::Reader::from_reader(text);
    let is_header = |h: &csv::StringRecord| *h == HEADER[..WITHOUT_GROUPS] || h == HEADER.as_slice();
    if !csv.headers().is_ok_and(is_header) {
        return Err(damaged(format!("does not begin with `{}`", HEADER[..WITHOUT_GROUPS].join(","))));
    }
    let mut rows: Vec<Row> = vec![];
    let mut records = csv.records();
    loop {
        let line = records.reader().position().line();
        let Some(record) = records.next() else { break };
        let row = record.map_err(|e| e.to_string()).and_then(|r| {
            let labels = parse_labels(&r)?;
            if labels.iter().any(|&l| l >= classes.len()) || class_names(&labels, classes) != field(&r, 2) {
                return Err(format!("class `{}` is not label {} of the manifest", field(&r, 2), field(&r, 3)));
            }
            in_order(parse(&r, labels)?, &rows)
        });
        rows.push(row.map_err(|problem| damaged(format!("line {line}: {problem}")))?);
    }
    Ok(rows)
}

/// What can be read of a file that is not what was written, and how many lines cannot. Names decide
/// over labels, and a name that is unknown gives none.
pub(in crate::store) fn salvage(text: &[u8], classes: &[String]) -> (Vec<Row>, usize) {
    let mut rows: Vec<Row> = vec![];
    let mut lost = 0;
    for record in csv::Reader::from_reader(text).records() {
        let row = record.map_err(|e| e.to_string()).and_then(|r| {
            let labels = names(&r).filter_map(|name| classes.iter().position(|c| c == name)).collect();
            in_order(parse(&r, labels)?, &rows)
        });
        match row {
            Ok(row) => rows.push(row),
            Err(_) => lost += 1,
        }
    }
    (rows, lost)
}

/// All class names in a file, sorted: what the manifest knew, where that is lost.
pub(in crate::store) fn all_names(text: &[u8]) -> Vec<String> {
    let records: Vec<csv::StringRecord> = csv::Reader::from_reader(text).records().flatten().collect();
    let all: BTreeSet<&str> = records.iter().flat_map(names).filter(|name| !name.is_empty()).collect();
    all.into_iter().map(String::from).collect()
}

fn in_order(row: Row, before: &[Row]) -> Result<Row, String> {
    match before.last() {
        Some(last) if last.row >= row.row => Err(format!("row {} is out of order", row.row)),
        _ => Ok(row),
    }
}

fn names(record: &csv::StringRecord) -> impl Iterator<Item = &str> {
    field(record, 2).split('|')
}

fn parse(record: &csv::StringRecord, labels: Vec<usize>) -> Result<Row, String> {
    let field = |i| field(record, i);
    Ok(Row {
        row: field(0).parse().map_err(|_| format!("row `{}` is not a number", field(0)))?,
        path: field(1).into(),
        labels,
        split: match field(4) {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("`{text}` is not a split"))?),
        },
        digest: match field(5) {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("`{text}` is not a digest"))?),
        },
        status: match field(6) {
            "ok" => Status::Ok,
            "failed" => Status::Failed,
            "deleted" => Status::Deleted,
            other => return Err(format!("`{other}` is not a status")),
        },
        group: Some(field(7)).filter(|g| !g.is_empty()).map(str::to_string),
    })
}

fn parse_labels(record: &csv::StringRecord) -> Result<Vec<usize>, String> {
    match field(record, 3) {
        "" => Ok(vec![]),
        text => text.split('|').map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("label `{text}` is not a number")),
    }
}

fn field(record: &csv::StringRecord, i: usize) -> &str {
    record.get(i).unwrap_or_default()
}

fn class_names(labels: &[usize], classes: &[String]) -> String {
    labels.iter().map(|&l| classes[l].as_str()).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (Vec<Row>, Vec<String>) {
        let row = |row, path: &str, labels: &[usize], split, status| Row {
            row,
            path: path.into(),
            labels: labels.into(),
            split,
            digest: (row != 9).then_some(Digest([0xab; 32])),
            status,
            group: None,
        };
        let rows = vec![
            row(0, "train/cats/a, \"b\".png", &[0], Some(Split::Train), Status::Ok),
            row(3, "c\nd.png", &[0, 1], None, Status::Deleted),
            row(9, "é.png", &[], Some(Split::Test), Status::Failed),
        ];
        (rows, vec!["cats".into(), "dogs".into()])
    }

    #[test]
    fn comes_back_as_written() {
        let (rows, classes) = rows();
        let text = encode(&rows, &classes).unwrap();
        assert_eq!(decode(Path::new(ROWS), &text, &classes).unwrap(), rows);
        assert_eq!(salvage(&text, &classes), (rows, 0));
        assert_eq!(all_names(&text), classes);
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("row,path,class,label,split,sha256,status\n"), "{text}");
        assert!(text.contains(",cats|dogs,0|1,,"), "{text}");
    }

    #[test]
    fn groups_are_a_last_column_where_there_are_any() {
        let (mut rows, classes) = rows();
        rows[1].group = Some("patient 7, left".into());
        let text = encode(&rows, &classes).unwrap();
        assert_eq!(decode(Path::new(ROWS), &text, &classes).unwrap(), rows);
        assert_eq!(salvage(&text, &classes), (rows, 0));
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("row,path,class,label,split,sha256,status,group\n"), "{text}");
        assert!(text.contains(",deleted,\"patient 7, left\"\n") && text.ends_with(",failed,\n"), "{text}");
    }

    #[test]
    fn damage_names_file_and_line() {
        let classes = ["cats".to_string()];
        let cases = [
            ("x,y\n", "does not begin"),
            ("row,path,class,label,split,sha256,status\n1,a,cats,0,train,,ok\n1,b,cats,0,train,,ok\n", "line 3: row 1 is out of order"),
            ("row,path,class,label,split,sha256,status\n1,a,cats,1,train,,ok\n", "line 2: class `cats`"),
            ("row,path,class,label,split,sha256,status\n1,a,cats,0,training,,ok\n", "not a split"),
            ("row,path,class,label,split,sha256,status\n1,a,cats,0,train,,maybe\n", "not a status"),
            ("row,path,class,label,split,sha256,status\n1,a,cats\n", "line 2"),
        ];
        for (text, says) in cases {
            let error = decode(Path::new(ROWS), text.as_bytes(), &classes).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("rows.csv"), "{error}");
        }
    }

    #[test]
    fn of_a_damaged_file_the_lines_that_can_be_read_are_kept() {
        let text = "rwo,path,class,label,split,sha256,status\n0,a,cats,0,train,,ok\n1,b,ca\x07ts,7,val,,ok\n1,b,dogs,1,val,,ok\n2,c,cats\n3,d,cats,0,trian,,ok\n";
        let classes = ["cats".to_string(), "dogs".into()];
        let (rows, lost) = salvage(text.as_bytes(), &classes);
        assert_eq!(rows.iter().map(|r| (r.row, r.labels.clone())).collect::<Vec<_>>(), [(0, vec![0]), (1, vec![])]);
        assert_eq!(lost, 3, "one out of order, one cut short, one without a split");
    }
}
