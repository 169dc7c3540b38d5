//! The instruction sets of this CPU, and the choice among them.

use std::sync::OnceLock;

use super::{Amx, Avx2, Avx512, Neon, Portable, Simd, Vectorized};
use crate::{Error, Result};

/// An instruction set that kernels exist for and that this CPU has: its token says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// No intrinsics: what the compiler makes of plain arrays.
    Portable,
    /// Arm's 128-bit vectors.
    Neon(Neon),
    /// AVX2 with FMA.
    Avx2(Avx2),
    /// AVX-512 F, BW, DQ, VL.
    Avx512(Avx512),
    /// AVX-512 with AMX: matrix products in tiles of bf16 and int8.
    Amx(Amx),
}

impl Isa {
    /// The name that goes into cache keys and reports.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Neon(_) => "neon",
            Isa::Avx2(_) => "avx2",
            Isa::Avx512(_) => "avx512",
            Isa::Amx(_) => "amx",
        }
    }

    /// The instruction set that vector code is compiled for.
    pub fn vectors(self) -> Isa {
        self.avx512().map_or(self, Isa::Avx512)
    }

    /// The token for AVX-512, where this instruction set includes it.
    pub fn avx512(self) -> Option<Avx512> {
        match self {
            Isa::Avx512(avx512) => Some(avx512),
            Isa::Amx(amx) => Some(amx.vectors()),
            _ => None,
        }
    }

    /// The token for AMX, where this instruction set includes it.
    pub fn amx(self) -> Option<Amx> {
        match self {
            Isa::Amx(amx) => Some(amx),
            _ => None,
        }
    }

    /// The instruction sets of this CPU, fastest first; the portable one comes last and is always
    /// there.
    pub fn available() -> Vec<Isa> {
        let fastest = Amx::detect().map(Isa::Amx).into_iter().chain(Avx512::detect().map(Isa::Avx512));
        let narrow = Avx2::detect().map(Isa::Avx2).into_iter().chain(Neon::detect().map(Isa::Neon));
        fastest.chain(narrow).chain([Isa::Portable]).collect()
    }

    /// The instruction set that `HEADSTART_ISA` names, else the fastest of this CPU.
    ///
    /// # Errors
    /// A name that is unknown, or of an instruction set that this CPU lacks.
    pub fn chosen() -> Result<Isa> {
        choose(std::env::var("HEADSTART_ISA").ok().as_deref(), &Isa::available())
    }

    /// As [`Isa::chosen`], read once, for callers to which a mistake has been reported already.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::chosen().unwrap_or(Isa::available()[0]))
    }
}

fn choose(asked: Option<&str>, available: &[Isa]) -> Result<Isa> {
    let Some(asked) = asked else { return Ok(available[0]) };
    available.iter().copied().find(|isa| isa.name() == asked).ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
        let problem = format!("HEADSTART_ISA={asked} does not name an instruction set of this CPU");
        Error::setting(problem, format!("use one of {}", names.join(", ")))
    })
}

/// Runs work with the vectors of an instruction set.
pub(crate) fn dispatch<W: Vectorized>(isa: Isa, work: W) -> W::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx(amx) => amx.vectors().vectorize(work),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => avx512.vectorize(work),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(avx2) => avx2.vectorize(work),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(neon) => neon.vectorize(work),
        // The tokens of other architectures have no value.
        _ => Portable.vectorize(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_instruction_set_is_an_error() {
        let available = Isa::available();
        assert_eq!(choose(None, &available).unwrap(), available[0]);
        assert_eq!(choose(Some("portable"), &available).unwrap(), Isa::Portable);
        assert!(choose(Some("sse9"), &available).unwrap_err().to_string().contains("portable"));
    }

    #[test]
    fn an_instruction_set_above_those_of_the_cpu_is_refused() {
        let error = choose(Some("avx512"), &[Isa::Portable]).unwrap_err();
        assert!(error.is_unusable_input() && error.to_string().contains("use one of portable"), "{error}");
    }

    #[test]
    fn the_fastest_comes_first_and_includes_those_below() {
        let available = Isa::available();
        assert!(available.is_sorted_by(|a, b| a > b), "{available:?}");
        for isa in available.iter().filter(|isa| isa.amx().is_some()) {
            assert!(available.contains(&isa.vectors()) && isa.avx512().is_some(), "{available:?}");
        }
    }
}
