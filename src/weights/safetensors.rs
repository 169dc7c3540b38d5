//! safetensors: a JSON header, then the tensors one behind the other.

use ::safetensors::{Dtype, SafeTensors};

use super::element::{Element, Layout};
use super::file::{Place, Problem, Stored, Tensors};

/// Finds the tensors of a safetensors file.
pub(super) fn index(bytes: &[u8]) -> Result<Tensors, Problem> {
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(Problem::damaged)?;
    // The header is preceded by its length, 8 bytes.
    let start = header + 8;
    metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let element = element(info.dtype).ok_or_else(|| {
                let problem = format!("tensor `{name}` is stored as {:?}", info.dtype);
                Problem::new(
                    problem,
                    "only plain integers and 16-, 32- and 64-bit floats are read: convert it with the library that made it",
                )
            })?;
            let layout = Layout::contiguous(info.shape.clone());
            let storage = start + info.data_offsets.0..start + info.data_offsets.1;
            Ok((name, Stored { shape: info.shape.clone(), place: Place::Strided { element, storage, layout } }))
        })
        .collect()
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
