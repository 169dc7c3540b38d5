//! Parquet through the Arrow project's own crate, its low-level writer: no Arrow arrays are needed
//! for six columns.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::chosen::Chosen;
use crate::data::Split;
use crate::store::disk::rows::Row;

/// Bytes of features of a row group, which is put together in memory.
const GROUP_BYTES: usize = 64 << 20;

type Group<'a, 'f> = SerializedRowGroupWriter<'a, &'f mut File>;

pub(super) fn write(chosen: &Chosen<'_>, file: &mut File) -> io::Result<()> {
    write_groups(chosen, file).map_err(of_system)
}

/// The system's own error where there is one: its kind says the way out.
fn of_system(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => source.downcast::<io::Error>().map_or_else(io::Error::other, |source| *source),
        other => io::Error::other(other),
    }
}

fn write_groups(chosen: &Chosen<'_>, file: &mut File) -> Result<(), ParquetError> {
    let labels = if chosen.single {
        "required int32 label;"
    } else {
        "required group labels (LIST) { repeated group list { required int32 element; } }"
    };
    let group = if chosen.grouped { "optional binary group (STRING);" } else { "" };
    let schema = parse_message_type(&format!(
        "message features {{
            required int64 row; required binary path (STRING); required binary class (STRING); {labels} required binary split (STRING);
            {group}
            required group features (LIST) {{ repeated group list {{ required float element; }} }}
        }}"
    ))?;
    let floats = ColumnPath::from(vec!["features".to_string(), "list".into(), "element".into()]);
    let properties =
        WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).set_column_dictionary_enabled(floats, false).build();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    let dim = chosen.matrix.dim();
    for rows in chosen.rows.chunks((GROUP_BYTES / (dim * size_of::<f32>()).max(1)).clamp(1, 1 << 16)) {
        let mut group = writer.next_row_group()?;
        write_group(chosen, rows, &mut group)?;
        group.close()?;
    }
    writer.close().map(drop)
}

fn write_group(chosen: &Chosen<'_>, rows: &[(usize, &Row)], group: &mut Group<'_, '_>) -> Result<(), ParquetError> {
    let text = |s: &str| ByteArray::from(s.as_bytes().to_vec());
    let of = |f: &dyn Fn(&Row) -> ByteArray| rows.iter().map(|(_, row)| f(row)).collect::<Vec<_>>();
    let class = |row: &Row| text(&row.labels.iter().map(|&l| chosen.classes[l].as_str()).collect::<Vec<_>>().join("|"));
    flat::<Int64Type>(group, &rows.iter().map(|(_, row)| row.row as i64).collect::<Vec<_>>())?;
    flat::<ByteArrayType>(group, &of(&|row| text(&row.path)))?;
    flat::<ByteArrayType>(group, &of(&class))?;
    let labels: Vec<i32> = rows.iter().flat_map(|(_, row)| row.labels.iter().map(|&l| l as i32)).collect();
    if chosen.single {
        flat::<Int32Type>(group, &labels)?;
    } else {
        lists::<Int32Type>(group, &labels, rows.iter().map(|(_, row)| row.labels.len()))?;
    }
    flat::<ByteArrayType>(group, &of(&|row| text(row.split.map_or("", Split::name))))?;
    if chosen.grouped {
        let groups: Vec<ByteArray> = rows.iter().filter_map(|(_, row)| row.group.as_deref().map(text)).collect();
        let is_there: Vec<i16> = rows.iter().map(|(_, row)| i16::from(row.group.is_some())).collect();
        column::<ByteArrayType>(group, &groups, Some(&is_there), None)?;
    }
    let positions: Vec<usize> = rows.iter().map(|(at, _)| *at).collect();
    let (features, _) = chosen.matrix.rows(&positions).into_raw_vec_and_offset();
    lists::<FloatType>(group, &features, rows.iter().map(|_| chosen.matrix.dim()))
}

/// A column of one value a row.
fn flat<T: DataType>(group: &mut Group<'_, '_>, values: &[T::T]) -> Result<(), ParquetError> {
    column::<T>(group, values, None, None)
}

/// A column of lists: their values joined, and the length of each.
fn lists<T: DataType>(group: &mut Group<'_, '_>, values: &[T::T], lengths: impl Iterator<Item = usize>) -> Result<(), ParquetError> {
    // Definition 1 is a value and 0 an empty list; repetition 0 begins a list and 1 goes on with
    // it.
    let mut levels = (vec![], vec![]);
    for length in lengths {
        levels.0.extend(std::iter::repeat_n(1, length).chain((length == 0).then_some(0)));
        levels.1.extend((0..length.max(1)).map(|i| i16::from(i > 0)));
    }
    column::<T>(group, values, Some(&levels.0), Some(&levels.1))
}

fn column<T: DataType>(
    group: &mut Group<'_, '_>,
    values: &[T::T],
    definition: Option<&[i16]>,
    repetition: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Err(ParquetError::General("the schema has fewer columns".into())) };
    column.typed::<T>().write_batch(values, definition, repetition)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_its_kind() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(of_system(full.into()).kind(), io::ErrorKind::StorageFull);
    }
}
