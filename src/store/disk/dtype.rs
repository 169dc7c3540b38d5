//! The types that features are stored in, and the checked way from and to f32.

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, nearest};

/// Type of stored features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit IEEE.
    #[default]
    F32,
    /// 16-bit IEEE: finite up to 65504.
    F16,
    /// The upper half of an f32.
    BF16,
}

/// A value that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unstorable {
    /// Its place in the slice.
    pub at: usize,
    /// The value.
    pub value: f32,
}

impl Dtype {
    /// Its name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
        }
    }

    /// Bytes of one value.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
        }
    }

    /// Appends values, little-endian and rounded to nearest even.
    ///
    /// # Errors
    /// The first value that is NaN or infinite, or becomes infinite in this type. Nothing is
    /// appended then.
    pub(crate) fn encode(self, values: &[f32], out: &mut Vec<u8>) -> Result<(), Unstorable> {
        let fits = |v: f32| match self {
            Dtype::F32 => v.is_finite(),
            Dtype::F16 => f16::from_f32(v).is_finite(),
            Dtype::BF16 => bf16::from_f32(v).is_finite(),
        };
        if let Some(at) = values.iter().position(|&v| !fits(v)) {
            return Err(Unstorable { at, value: values[at] });
        }
        match self {
            Dtype::F32 => out.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Dtype::F16 => out.extend(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes())),
            Dtype::BF16 => out.extend(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes())),
        }
        Ok(())
    }

    /// Reads little-endian values as f32. Both slices hold the same number of values.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        debug_assert_eq!(bytes.len(), out.len() * self.size());
        match self {
            Dtype::F32 => {
                out.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(o, b)| *o = f32::from_le_bytes(*b));
            }
            Dtype::F16 => {
                out.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(o, b)| *o = f16::from_le_bytes(*b).to_f32());
            }
            Dtype::BF16 => {
                out.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(o, b)| *o = bf16::from_le_bytes(*b).to_f32());
            }
        }
    }

    pub(in crate::store) const fn safetensors(self) -> safetensors::Dtype {
        match self {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::BF16 => safetensors::Dtype::BF16,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(s: &str) -> Result<Dtype> {
        let all = [Dtype::F32, Dtype::F16, Dtype::BF16];
        all.into_iter().find(|d| d.name() == s).ok_or_else(|| {
            let near = nearest(s, all.map(Dtype::name));
            Error::setting(
                format!("`{s}` is not a storage type"),
                near.map_or("use f32, f16 or bf16".into(), |n| format!("did you mean `{n}`?")),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let values = [0.0, -1.5, 0.333_251_95, 65504.0, 1e-8];
        for (dtype, relative) in [(Dtype::F32, 0.0), (Dtype::F16, 1.0 / 2048.0), (Dtype::BF16, 1.0 / 256.0)] {
            let mut bytes = vec![];
            dtype.encode(&values, &mut bytes).unwrap();
            assert_eq!(bytes.len(), values.len() * dtype.size());
            let mut back = [0.0; 5];
            dtype.decode(&bytes, &mut back);
            for (want, got) in values.iter().zip(back) {
                assert!((want - got).abs() <= want.abs() * relative + 6e-8, "{dtype}: {want} became {got}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_written() {
        let refused = [
            (Dtype::F16, 65520.0),
            (Dtype::F16, f32::NAN),
            (Dtype::F32, f32::INFINITY),
            (Dtype::BF16, f32::MAX),
            (Dtype::F16, f32::NEG_INFINITY),
        ];
        for (dtype, value) in refused {
            let mut out = vec![];
            let error = dtype.encode(&[1.0, value], &mut out).unwrap_err();
            assert_eq!(error.at, 1);
            assert!(out.is_empty());
        }
        assert!(Dtype::F16.encode(&[65519.0], &mut vec![]).is_ok(), "rounds down to 65504");
    }

    #[test]
    fn names_parse() {
        assert_eq!("bf16".parse::<Dtype>().unwrap(), Dtype::BF16);
        let hint = "fp16".parse::<Dtype>().unwrap_err().to_string();
        assert!(hint.contains("f16"), "{hint}");
    }
}
