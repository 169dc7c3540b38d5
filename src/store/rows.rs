//! `rows.csv`: one line an image. Labels, splits, groups and paths live here alone.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::data::{Digest, Split};
use crate::{Error, Result, files};

pub(super) const ROWS: &str = "rows.csv";
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
    /// Its split.
    pub split: Split,
    /// Digest of the file; `None` where it could not be read.
    pub digest: Option<Digest>,
    /// Whether it counts.
    pub status: Status,
    /// What it belongs to (a patient, a burst, a video), where that is known: rows of a group are not parted.
    pub group: Option<String>,
}

/// Writes `rows.csv`, whole or not at all. `class` repeats the labels as names, several as `a|b`.
pub(super) fn write(folder: &Path, rows: &[Row], classes: &[String]) -> Result<()> {
    let path = folder.join(ROWS);
    let mut csv = csv::Writer::from_writer(Vec::with_capacity(rows.len() * 128));
    let columns = if rows.iter().any(|r| r.group.is_some()) { HEADER.len() } else { WITHOUT_GROUPS };
    let mut record =
        |fields: [&str; 8]| csv.write_record(&fields[..columns]).map_err(|e| Error::cache(&path, e, "this is a mistake in headstart"));
    record(HEADER)?;
    for row in rows {
        let labels: Vec<String> = row.labels.iter().map(usize::to_string).collect();
        record([
            &row.row.to_string(),
            &row.path,
            &class_names(&row.labels, classes),
            &labels.join("|"),
            row.split.name(),
            &row.digest.map(|d| d.to_string()).unwrap_or_default(),
            row.status.name(),
            row.group.as_deref().unwrap_or_default(),
        ])?;
    }
    let bytes = csv.into_inner().map_err(|e| Error::cache(&path, e, "this is a mistake in headstart"))?;
    files::replace(&path, &bytes)
}

/// Reads `rows.csv`; rows come sorted by number.
///
/// # Errors
/// A missing or damaged file, or labels that are not those of `classes`.
pub(super) fn read(folder: &Path, classes: &[String]) -> Result<Vec<Row>> {
    read_with(folder, |record| {
        let labels = parse_labels(record)?;
        if labels.iter().any(|&l| l >= classes.len()) || class_names(&labels, classes) != field(record, 2) {
            let (class, label) = (field(record, 2), field(record, 3));
            return Err(format!("class `{class}` is not label {label} of the manifest: is another process writing?"));
        }
        Ok(labels)
    })
}

/// As [`read`], for a writer that starts after a kill: where file and manifest differ in their classes, names decide, and a name that
/// is unknown gives no label.
pub(super) fn read_by_name(folder: &Path, classes: &[String]) -> Result<Vec<Row>> {
    read_with(folder, |record| {
        let names = field(record, 2).split('|');
        Ok(names.filter_map(|name| classes.iter().position(|c| c == name)).collect())
    })
}

fn read_with(folder: &Path, labels: impl Fn(&csv::StringRecord) -> Result<Vec<usize>, String>) -> Result<Vec<Row>> {
    let path = folder.join(ROWS);
    let hint = "put back a copy, or delete this cache's folder and run `headstart features` again";
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::cache(&path, "is missing", hint)),
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    let mut csv = csv::Reader::from_reader(bytes.as_slice());
    let header_fits = csv.headers().is_ok_and(|h| h == &HEADER[..WITHOUT_GROUPS] || h == HEADER.as_slice());
    if !header_fits {
        return Err(Error::cache(&path, format!("does not begin with `{}`", HEADER[..WITHOUT_GROUPS].join(",")), hint));
    }
    let mut rows: Vec<Row> = vec![];
    let mut records = csv.records();
    loop {
        let line = records.reader().position().line();
        let Some(record) = records.next() else { break };
        let damaged = |problem: String| Error::cache(&path, format!("line {line}: {problem}"), hint);
        let row = record.map_err(|e| e.to_string()).and_then(|r| parse(&r, labels(&r)?)).map_err(damaged)?;
        if rows.last().is_some_and(|last| last.row >= row.row) {
            return Err(damaged(format!("row {} is out of order", row.row)));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn parse(record: &csv::StringRecord, labels: Vec<usize>) -> Result<Row, String> {
    let field = |i| field(record, i);
    Ok(Row {
        row: field(0).parse().map_err(|_| format!("row `{}` is no number", field(0)))?,
        path: field(1).into(),
        labels,
        split: field(4).parse().map_err(|_| format!("`{}` is not a split", field(4)))?,
        digest: match field(5) {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("`{text}` is no digest"))?),
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
        text => text.split('|').map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("label `{text}` is no number")),
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
            row(0, "train/cats/a, \"b\".png", &[0], Split::Train, Status::Ok),
            row(3, "c\nd.png", &[0, 1], Split::Val, Status::Deleted),
            row(9, "é.png", &[], Split::Test, Status::Failed),
        ];
        (rows, vec!["cats".into(), "dogs".into()])
    }

    #[test]
    fn comes_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let (rows, classes) = rows();
        write(folder.path(), &rows, &classes).unwrap();
        assert_eq!(read(folder.path(), &classes).unwrap(), rows);
        let text = fs::read_to_string(folder.path().join(ROWS)).unwrap();
        assert!(text.starts_with("row,path,class,label,split,sha256,status\n"), "{text}");
        assert!(text.contains(",cats|dogs,0|1,val,"), "{text}");
    }

    #[test]
    fn groups_are_a_last_column_where_there_are_any() {
        let folder = tempfile::tempdir().unwrap();
        let (mut rows, classes) = rows();
        rows[1].group = Some("patient 7, left".into());
        write(folder.path(), &rows, &classes).unwrap();
        assert_eq!(read(folder.path(), &classes).unwrap(), rows);
        let text = fs::read_to_string(folder.path().join(ROWS)).unwrap();
        assert!(text.starts_with("row,path,class,label,split,sha256,status,group\n"), "{text}");
        assert!(text.contains(",deleted,\"patient 7, left\"\n") && text.ends_with(",failed,\n"), "{text}");
    }

    #[test]
    fn damage_names_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
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
            fs::write(folder.path().join(ROWS), text).unwrap();
            let error = read(folder.path(), &classes).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("rows.csv"), "{error}");
        }
    }
}
