//! Options of the native engine.

use crate::simd::Isa;
use crate::{Error, Result};

/// Options of a [`NativeEngine`](super::NativeEngine).
#[derive(Debug, Clone, Copy)]
pub struct NativeOptions {
    /// Instruction set.
    pub isa: Isa,
    /// Whether maps and weights are bf16 where that is faster (sums are f32), with sixteen bits
    /// where bf16 would lose too much.
    pub bf16: bool,
}

impl NativeOptions {
    /// With the instruction set in use: the fastest of this CPU, or the one that `HEADSTART_ISA`
    /// names. Its name goes into the cache key, as the class of CPU features.
    pub fn best(bf16: bool) -> NativeOptions {
        NativeOptions { isa: Isa::best(), bf16 }
    }

    /// Checks that the instruction set computes in this dtype.
    ///
    /// # Errors
    /// bf16 without AMX.
    pub fn check(self) -> Result<()> {
        if self.bf16 && self.isa.amx().is_none() {
            let problem = format!("the native engine computes bf16 in AMX tiles, which {} lacks", self.isa.name());
            return Err(Error::setting(problem, "leave out option `dtype=bf16`: f32 is as fast on vectors; or use option `engine=candle`"));
        }
        Ok(())
    }
}

impl Default for NativeOptions {
    fn default() -> Self {
        NativeOptions::best(false)
    }
}
