//! The dtype that a backbone computes in.

use std::fmt;
use std::str::FromStr;

use candle_core::DType;

use crate::{Error, Result};

/// The dtype of maps and weights. Sums are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compute {
    /// 24 bits of significand.
    #[default]
    F32,
    /// 8 bits of significand, the range of f32.
    Bf16,
    /// 11 bits of significand, nothing above 65,504.
    F16,
}

impl Compute {
    /// Its name in settings and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Compute::F32 => "f32",
            Compute::Bf16 => "bf16",
            Compute::F16 => "f16",
        }
    }

    /// The same as candle's type.
    pub const fn dtype(self) -> DType {
        match self {
            Compute::F32 => DType::F32,
            Compute::Bf16 => DType::BF16,
            Compute::F16 => DType::F16,
        }
    }

    /// Checks that features are finite: f16 overflows where a network's values grow too large.
    ///
    /// # Errors
    /// An f16 feature that is infinite or not a number, with the way out.
    pub fn check(self, features: &[Vec<f32>]) -> Result<()> {
        if self != Compute::F16 || features.iter().flatten().all(|v| v.is_finite()) {
            return Ok(());
        }
        Err(Error::setting(
            "a value inside the network is too large for f16, which ends at 65,504",
            "use option `dtype=bf16` or option `dtype=f32`",
        ))
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Compute {
    type Err = Error;

    fn from_str(s: &str) -> Result<Compute> {
        let known = [Compute::F32, Compute::Bf16, Compute::F16].into_iter().find(|c| c.name() == s);
        known.ok_or_else(|| Error::setting(format!("`{s}` is not a dtype"), "use f32, bf16 or f16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_what_f16_cannot_hold_is_refused() {
        for compute in [Compute::F32, Compute::Bf16, Compute::F16] {
            assert_eq!(compute.to_string().parse::<Compute>().unwrap(), compute);
        }
        assert!("f8".parse::<Compute>().is_err());
        let features = [vec![1.0], vec![2.0, f32::INFINITY]];
        assert!(Compute::Bf16.check(&features).is_ok() && Compute::F16.check(&features[..1]).is_ok());
        let error = Compute::F16.check(&features).unwrap_err();
        assert!(error.is_unusable_input() && error.to_string().contains("option `dtype=bf16`"), "{error}");
    }
}
