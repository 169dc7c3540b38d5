//! Demo images out of a table of pixels: MNIST digits as a folder of labelled PNG files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use image::GrayImage;

use crate::files::Scratch;
use crate::{Error, Result};

const SIDE: usize = 28;

/// Writes the digits of a gzipped CSV (784 pixels and the label a line, no header) as
/// `DIR/<digit>/NNNN.png`, and returns how many there are.
///
/// The folder appears whole or not at all; one that is there already stays as it is.
///
/// # Errors
/// A damaged table, a folder with something in it, a full disk.
pub(super) fn mnist(csv_gz: &Path, dir: &Path) -> Result<usize> {
    if fs::read_dir(dir).is_ok_and(|mut there| there.next().is_some()) {
        return Err(Error::data(dir, "is not empty", "name a folder that is not there yet"));
    }
    let table = BufReader::new(GzDecoder::new(File::open(csv_gz).map_err(Error::io("open", csv_gz))?));
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = Scratch::new(parent)?;
    let whole = scratch.path().join("digits");
    let mut written = 0;
    for (i, line) in table.lines().enumerate() {
        let line = line.map_err(Error::io("read", csv_gz))?;
        let (image, label) = digit(&line).ok_or_else(|| {
            Error::data(csv_gz, format!("line {} is not 784 pixels and a digit", i + 1), "delete the file and fetch it again")
        })?;
        let folder = whole.join(label.to_string());
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(format!("{i:04}.png"));
        image.save(&path).map_err(|e| Error::Image { path: path.display().to_string(), reason: format!("cannot be written: {e}") })?;
        written += 1;
    }
    fs::rename(&whole, dir).map_err(Error::io("create", dir))?;
    Ok(written)
}

fn digit(line: &str) -> Option<(GrayImage, u8)> {
    let values: Vec<u8> = line.split(',').map(|v| v.trim().parse::<f32>().ok().map(|v| v as u8)).collect::<Option<_>>()?;
    let (label, pixels) = values.split_last().filter(|(l, p)| **l < 10 && p.len() == SIDE * SIDE)?;
    Some((GrayImage::from_raw(SIDE as u32, SIDE as u32, pixels.to_vec())?, *label))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn table(path: &Path, lines: &[String]) {
        let mut gz = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
        lines.iter().for_each(|l| writeln!(gz, "{l}").unwrap());
        gz.finish().unwrap();
    }

    #[test]
    fn a_table_becomes_a_folder_a_class() {
        let dir = tempfile::tempdir().unwrap();
        let csv = dir.path().join("t.csv.gz");
        let line = |v: u8, label: u8| format!("{}{label}", format!("{v},").repeat(784));
        table(&csv, &[line(0, 3), line(255, 7), line(9, 3)]);
        let out = dir.path().join("demo/mnist");
        assert_eq!(mnist(&csv, &out).unwrap(), 3);
        let seven = image::open(out.join("7/0001.png")).unwrap().into_luma8();
        assert_eq!((seven.dimensions(), seven.get_pixel(5, 5).0), ((28, 28), [255]));
        assert!(out.join("3/0000.png").is_file() && out.join("3/0002.png").is_file());
    }

    #[test]
    fn a_damaged_table_names_its_line_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let csv = dir.path().join("t.csv.gz");
        table(&csv, &["1,2,3".into()]);
        let out = dir.path().join("mnist");
        let error = mnist(&csv, &out).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert!(!out.exists());
    }

    #[test]
    fn a_folder_with_something_in_it_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), b"1").unwrap();
        let error = mnist(Path::new("t.csv.gz"), dir.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
    }
}
