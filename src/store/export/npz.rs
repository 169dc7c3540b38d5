//! `.npz`: a zip of `.npy` files, uncompressed (features hardly shrink), written row by row so that
//! memory does not grow with the cache.
//!
//! Format of `.npy`: NumPy Enhancement Proposal 1, version 1.0.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::chosen::Chosen;
use crate::data::Split;
use crate::store::disk::dtype::Dtype;

type Zip<'a> = ZipWriter<BufWriter<&'a mut File>>;

pub(super) fn write(chosen: &Chosen<'_>, file: &mut File) -> io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(file));
    match arrays(&mut zip, chosen).and_then(|()| zip.flush()) {
        Ok(()) => zip.finish()?.flush(),
        Err(e) => {
            // Dropped, the archive would be finished all the same: written to a disk that has just
            // refused it, with complaints of its own.
            std::mem::forget(zip);
            Err(e)
        }
    }
}

fn arrays(zip: &mut Zip<'_>, chosen: &Chosen<'_>) -> io::Result<()> {
    let rows = || chosen.rows.iter().map(|(_, row)| *row);
    features(zip, chosen)?;
    if chosen.single {
        numbers(zip, "y", chosen.rows.len(), rows().flat_map(|r| r.labels.first().map(|&l| l as i64)))?;
    } else {
        begin(zip, "y", "|u1", &[chosen.rows.len(), chosen.classes.len()])?;
        for row in rows() {
            let flags: Vec<u8> = (0..chosen.classes.len()).map(|class| u8::from(row.labels.contains(&class))).collect();
            zip.write_all(&flags)?;
        }
    }
    numbers(zip, "row", chosen.rows.len(), rows().map(|r| r.row as i64))?;
    texts(zip, "path", &rows().map(|r| r.path.as_str()).collect::<Vec<_>>())?;
    texts(zip, "split", &rows().map(|r| r.split.map_or("", Split::name)).collect::<Vec<_>>())?;
    if chosen.grouped {
        texts(zip, "group", &rows().map(|r| r.group.as_deref().unwrap_or_default()).collect::<Vec<_>>())?;
    }
    texts(zip, "classes", &chosen.classes.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Rows that are read from disk at a time.
const ASKED: usize = 256;

fn features(zip: &mut Zip<'_>, chosen: &Chosen<'_>) -> io::Result<()> {
    let matrix = &chosen.matrix;
    let half = matrix.dtype() == Dtype::F16;
    let shape: Vec<usize> = std::iter::once(chosen.rows.len()).chain(matrix.shape().iter().copied()).collect();
    begin(zip, "X", if half { "<f2" } else { "<f4" }, &shape)?;
    let mut row = vec![0.0; matrix.dim()];
    let positions: Vec<usize> = chosen.rows.iter().map(|&(position, _)| position).collect();
    let parts = positions.chunks(ASKED).inspect(|part| matrix.will_read(part));
    for &position in parts.flatten() {
        matrix.gather(&[position], &mut row);
        // What was f16 is f16 again without loss.
        let bytes: Vec<u8> = if half {
            row.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect()
        } else {
            row.iter().flat_map(|v| v.to_le_bytes()).collect()
        };
        zip.write_all(&bytes)?;
    }
    Ok(())
}

fn numbers(zip: &mut Zip<'_>, name: &str, count: usize, mut values: impl Iterator<Item = i64>) -> io::Result<()> {
    begin(zip, name, "<i8", &[count])?;
    values.try_for_each(|v| zip.write_all(&v.to_le_bytes()))
}

/// An array of strings, each padded with zeros to the longest, four bytes a character.
fn texts(zip: &mut Zip<'_>, name: &str, values: &[&str]) -> io::Result<()> {
    let longest = values.iter().map(|v| v.chars().count()).max().unwrap_or(0).max(1);
    begin(zip, name, &format!("<U{longest}"), &[values.len()])?;
    values.iter().try_for_each(|text| {
        let characters = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(longest);
        zip.write_all(&characters.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
    })
}

/// Starts an array of the archive: what is written next are its values in order.
fn begin(zip: &mut Zip<'_>, name: &str, descr: &str, shape: &[usize]) -> io::Result<()> {
    // Zip's own date is 1980 throughout: the same features give the same file.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    zip.start_file(format!("{name}.npy"), options)?;
    let extents: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    // Data begin at a multiple of 64, after ten bytes, the header and a line end.
    let width = (10 + header.len() + 1).next_multiple_of(64) - 11;
    let header = format!("{header:width$}\n");
    zip.write_all(b"\x93NUMPY\x01\x00")?;
    zip.write_all(&(header.len() as u16).to_le_bytes())?;
    zip.write_all(header.as_bytes())
}
