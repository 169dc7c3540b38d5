//! Writing any weights file as safetensors.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, json};

use super::source::TensorSource;
use crate::{Error, Result, files};

/// Size of the file that [`convert`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    /// Number of tensors.
    pub tensors: usize,
    /// Number of values in them.
    pub values: usize,
    /// Bytes of the new file.
    pub bytes: u64,
}

/// Writes all tensors of `source` as 32-bit floats into one safetensors file, sorted by name: the
/// same tensors give the same bytes.
///
/// One tensor at a time is in memory. The file appears whole or not at all.
///
/// # Errors
/// A tensor that cannot be read, a folder that cannot be written, a full disk.
pub fn convert(source: &dyn TensorSource, to: impl AsRef<Path>) -> Result<Converted> {
    let to = to.as_ref();
    let entries = source.entries();
    if entries.is_empty() {
        return Err(Error::weights(source.origin(), "holds no tensors", "is it the right file?"));
    }
    let mut header = Map::new();
    let mut end = 0;
    for entry in &entries {
        let start = end;
        end += entry.shape.iter().product::<usize>() * size_of::<f32>();
        header.insert(entry.name.clone(), json!({"dtype": "F32", "shape": entry.shape, "data_offsets": [start, end]}));
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    // The data start at a multiple of 8, so that readers can map them as numbers.
    header.resize(header.len().next_multiple_of(8), b' ');
    let to = &files::output(to)?;
    files::write(to, |file| {
        let mut file = BufWriter::new(file);
        let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(Error::io("write", to));
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        for entry in &entries {
            let tensor = source.read(&entry.name)?;
            tensor.data.chunks(1 << 14).try_for_each(|values| put(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()))?;
        }
        file.flush().map_err(Error::io("write", to))
    })?;
    Ok(Converted { tensors: entries.len(), values: end / size_of::<f32>(), bytes: (8 + header.len() + end) as u64 })
}
