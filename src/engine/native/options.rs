//! How a native engine is built.

use crate::simd::Isa;
use crate::{Error, Result};

/// How to build a [`NativeEngine`](super::NativeEngine).
#[derive(Debug, Clone, Copy)]
pub struct NativeOptions {
    /// Instruction set.
    pub isa: Isa,
    /// Maps and weights in bf16 where that is faster, sums in f32; numbers of sixteen bits where bf16 would lose too much.
    pub bf16: bool,
}

impl NativeOptions {
    /// The instruction set in use: the best of this CPU, or the one that `HEADSTART_ISA` names. Its name goes into the cache key: the class of
    /// CPU features.
    pub fn computing(bf16: bool) -> NativeOptions {
        NativeOptions { isa: Isa::best(), bf16 }
    }

    /// Whether this instruction set can compute in this type.
    ///
    /// # Errors
    /// bf16 without AMX.
    pub fn check(self) -> Result<()> {
        if self.bf16 && self.isa.amx().is_none() {
            let problem = format!("the native engine computes bf16 in AMX tiles, which {} has not", self.isa.name());
            return Err(Error::setting(problem, "leave out --dtype bf16: f32 is as fast on vectors; or use --engine candle"));
        }
        Ok(())
    }
}

impl Default for NativeOptions {
    fn default() -> Self {
        NativeOptions::computing(false)
    }
}
