//! Vectors of sixteen f32 lanes behind ISA tokens that can be made only where the CPU has the instructions.
//!
//! A kernel is generic over [`Simd`], marked `#[inline(always)]`, and entered through [`Simd::vectorize`], which compiles it with the
//! ISA's instructions. Every ISA sees the same sixteen lanes: one AVX-512 register, two of AVX2, four of NEON, or a plain array.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lines;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::sync::OnceLock;

use crate::{Error, Result};

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use lines::{Line, Lines, floats, floats_mut, zeroed_lines};
pub use math::{exp2, polynomial};
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;

/// Lanes of a vector, and channels of a block.
pub const LANES: usize = 16;

/// The bits of an f32 number that a bf16 number keeps.
const UPPER: u32 = 0xFFFF_0000;

/// Half a unit in the last place of a bf16 number, in bits of an f32 number.
const HALF: u32 = 0x8000;

/// Instruction sets that kernels exist for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// No intrinsics: whatever the compiler makes of plain arrays.
    Portable,
    /// Arm's 128-bit vectors.
    Neon,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
    /// AVX-512 with AMX: matrix products in bf16 tiles.
    Amx,
}

impl Isa {
    /// The name that goes into cache keys and reports.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }

    /// The set that vector code is compiled for.
    pub fn vectors(self) -> Isa {
        if self == Isa::Amx { Isa::Avx512 } else { self }
    }

    /// Instruction sets that this CPU has, fastest first; the portable one is always there.
    pub fn available() -> Vec<Isa> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            let wide = Avx512::detect().is_some();
            all.extend((wide && amx::available()).then_some(Isa::Amx));
            all.extend(wide.then_some(Isa::Avx512));
            all.extend(Avx2::detect().map(|_| Isa::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend([Isa::Neon]);
        all.push(Isa::Portable);
        all
    }

    /// The instruction set that `HEADSTART_ISA` names, else the best of this CPU.
    ///
    /// # Errors
    /// One that is not of this CPU, or a mistyped one.
    pub fn chosen() -> Result<Isa> {
        choose(std::env::var("HEADSTART_ISA").ok().as_deref(), &Isa::available())
    }

    /// As [`Isa::chosen`], for where a mistake has been reported already; read once.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::chosen().unwrap_or(Isa::available()[0]))
    }
}

fn choose(asked: Option<&str>, available: &[Isa]) -> Result<Isa> {
    let Some(asked) = asked else { return Ok(available[0]) };
    available.iter().copied().find(|isa| isa.name() == asked).ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
        Error::setting(format!("HEADSTART_ISA={asked} is no instruction set of this CPU"), format!("use one of {}", names.join(", ")))
    })
}

/// Work that is generic over the instruction set.
pub trait Vectorized {
    /// What it returns.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, or the ISA's instructions are not used.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An ISA token: whoever holds one may use its instructions.
///
/// Pointers given to [`load`](Simd::load) and [`store`](Simd::store) need no alignment.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen f32 lanes.
    type V: Copy;

    /// How many of them the registers hold.
    const REGISTERS: usize;

    /// The token, without asking the CPU.
    ///
    /// # Safety
    /// The CPU has the instructions: [`Isa::available`] lists this ISA.
    unsafe fn assume() -> Self;

    /// Runs work compiled with this ISA's instructions.
    fn vectorize<W: Vectorized>(self, work: W) -> W::Output;

    /// The same value in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// Sixteen consecutive values.
    ///
    /// # Safety
    /// `from` is valid for reading sixteen values.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// Writes sixteen consecutive values.
    ///
    /// # Safety
    /// `to` is valid for writing sixteen values.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// Asks for the line at an address, which may be any: a hint that what lies there will be read soon. Does nothing where the ISA has none.
    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}
    /// The same address, of which the compiler no longer knows how it came about: what is read near it is read at an offset from it alone. With an
    /// index beside, CPUs split a product with an operand in memory into two instructions.
    #[inline(always)]
    fn anchored(self, at: *const f32) -> *const f32 {
        at
    }
    /// Which lanes are not 0: a bit each, the first one lowest.
    fn others(self, x: Self::V) -> u16;
    /// The 32 bf16 numbers in a line's words: those in the lower halves, and those in the upper ones.
    ///
    /// # Safety
    /// As [`load`](Simd::load).
    #[inline(always)]
    unsafe fn unpack(self, from: *const f32) -> [Self::V; 2] {
        // SAFETY: the caller's promise; arrays of sixteen values.
        unsafe {
            let words = from.cast::<[u32; LANES]>().read_unaligned();
            let [low, high] = [words.map(|w| f32::from_bits(w << 16)), words.map(|w| f32::from_bits(w & UPPER))];
            [self.load(low.as_ptr()), self.load(high.as_ptr())]
        }
    }
    /// Writes two vectors as the lower and upper halves of a line's words: to the nearest bf16 number, ties away from zero.
    ///
    /// # Safety
    /// As [`store`](Simd::store).
    #[inline(always)]
    unsafe fn pack(self, to: *mut f32, v: [Self::V; 2]) {
        // SAFETY: the caller's promise; arrays of sixteen values.
        unsafe {
            let [mut low, mut high] = [[0.0f32; LANES]; 2];
            self.store(low.as_mut_ptr(), v[0]);
            self.store(high.as_mut_ptr(), v[1]);
            let rounded = |x: f32| x.to_bits().wrapping_add(HALF);
            to.cast::<[u32; LANES]>().write_unaligned(std::array::from_fn(|i| rounded(low[i]) >> 16 | rounded(high[i]) & UPPER));
        }
    }
    /// a + b
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a − b
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// a · b
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a / b
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// √x of numbers that are not negative.
    fn sqrt(self, x: Self::V) -> Self::V;
    /// a / (2√x + above) to two units in the last place, where x, the divisor and its reciprocal are normal numbers: faster than roots and quotients
    /// where the ISA estimates them.
    #[inline(always)]
    fn over_roots(self, a: Self::V, x: Self::V, above: Self::V) -> Self::V {
        self.div(a, self.fma(self.splat(2.0), self.sqrt(x), above))
    }
    /// a / b to about a unit in the last place, where b and 1 / b are normal numbers: faster than [`div`](Simd::div) where the ISA estimates.
    fn quotient(self, a: Self::V, b: Self::V) -> Self::V;
    /// 1 / x to about a unit in the last place, where x and 1 / x are normal numbers.
    #[inline(always)]
    fn reciprocal(self, x: Self::V) -> Self::V {
        self.div(self.splat(1.0), x)
    }
    /// a · b + c, rounded once where the ISA can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `x` where it is not a number.
    fn max(self, bound: Self::V, x: Self::V) -> Self::V;
    /// The smaller; `x` where it is not a number.
    fn min(self, bound: Self::V, x: Self::V) -> Self::V;
    /// 2ⁿ for the integer nearest to each lane, which must lie in −126..=127; also that integer.
    fn exp2_nearest(self, x: Self::V) -> (Self::V, Self::V);
}

/// Runs work with the best instructions that `isa` allows.
pub fn dispatch<W: Vectorized>(isa: Isa, work: W) -> W::Output {
    debug_assert!(Isa::available().contains(&isa), "{isa:?} is not of this CPU");
    match isa {
        // SAFETY: an `Isa` comes from `Isa::available` (checked by the engine when it is made).
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => unsafe { Avx512::assume() }.vectorize(work),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { Avx2::assume() }.vectorize(work),
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => unsafe { Neon::assume() }.vectorize(work),
        _ => Portable.vectorize(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Roots([f32; LANES]);

    impl Vectorized for Roots {
        type Output = [[f32; LANES]; 4];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut out = [[0.0; LANES]; 4];
            // SAFETY: all arrays hold sixteen values.
            unsafe {
                let v = s.load(self.0.as_ptr());
                s.store(out[0].as_mut_ptr(), s.sqrt(v));
                s.store(out[3].as_mut_ptr(), s.over_roots(s.splat(-1.7), v, s.splat(2e-8)));
                s.store(out[1].as_mut_ptr(), s.quotient(s.splat(1.7), s.add(v, s.splat(1e-8))));
                s.store(out[2].as_mut_ptr(), s.reciprocal(s.add(v, s.splat(1e-8))));
            }
            out
        }
    }

    #[test]
    fn roots_and_quotients_are_exact_to_a_unit_in_the_last_place() {
        let ulps = |a: f32, b: f32| (a.to_bits() as i32 - b.to_bits() as i32).abs();
        for isa in Isa::available() {
            assert_eq!(dispatch(isa, Roots([0.0; LANES]))[0], [0.0; LANES], "{isa:?}");
            for power in -120..120 {
                let x: [f32; LANES] = std::array::from_fn(|i| (1.0 + i as f32 / 16.3) * (power as f32 / 2.0).exp2());
                let [root, quotient, reciprocal, over_roots] = dispatch(isa, Roots(x));
                for i in 0..LANES {
                    assert!(ulps(root[i], x[i].sqrt()) <= 1, "{isa:?}: √{} is not {}", x[i], root[i]);
                    let want = 1.7 / (x[i] + 1e-8);
                    assert!(ulps(quotient[i], want) <= 1, "{isa:?}: {want} is not {}", quotient[i]);
                    let want = 1.0 / (x[i] + 1e-8);
                    assert!(ulps(reciprocal[i], want) <= 1, "{isa:?}: {want} is not {}", reciprocal[i]);
                    let want = (-1.7 / (2.0 * f64::from(x[i]).sqrt() + 2e-8)) as f32;
                    assert!(ulps(over_roots[i], want) <= 2, "{isa:?}: {want} is not {}", over_roots[i]);
                }
            }
        }
    }

    struct Packed([[f32; LANES]; 2]);

    impl Vectorized for Packed {
        type Output = [[f32; LANES]; 2];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut line = [0.0; LANES];
            let mut out = [[0.0; LANES]; 2];
            // SAFETY: all arrays hold sixteen values.
            unsafe {
                s.pack(line.as_mut_ptr(), self.0.map(|v| s.load(v.as_ptr())));
                let v = s.unpack(line.as_ptr());
                (0..2).for_each(|i| s.store(out[i].as_mut_ptr(), v[i]));
            }
            out
        }
    }

    #[test]
    fn bf16_numbers_are_the_nearest() {
        for isa in Isa::available() {
            let x: [[f32; LANES]; 2] =
                std::array::from_fn(|h| std::array::from_fn(|i| (i as f32 - 7.3) * 1.7f32.powi(i as i32 + 9 * h as i32)));
            let got = dispatch(isa, Packed(x));
            for (got, x) in got.iter().flatten().zip(x.iter().flatten()) {
                assert_eq!(got.to_bits() & !UPPER, 0, "{isa:?}: {got} has more than eight bits");
                assert!((got - x).abs() <= x.abs() / 256.0, "{isa:?}: {got} is not {x}");
            }
            let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1.0, -2.5, 1.0 + 1.0 / 256.0, -1.0 - 1.0 / 256.0];
            let got = dispatch(isa, Packed([std::array::from_fn(|i| special[i % 8]), [f32::NAN; LANES]]));
            let want = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1.0, -2.5, 1.0 + 1.0 / 128.0, -1.0 - 1.0 / 128.0];
            assert!((0..LANES).all(|i| got[0][i].to_bits() == want[i % 8].to_bits() && got[1][i].is_nan()), "{isa:?}: {got:?}");
        }
    }

    struct Others([f32; LANES]);

    impl Vectorized for Others {
        type Output = u16;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> u16 {
            // SAFETY: sixteen values.
            s.others(unsafe { s.load(self.0.as_ptr()) })
        }
    }

    #[test]
    fn what_is_not_zero_has_a_bit() {
        for isa in Isa::available() {
            for bits in [0u16, 1, 0x8000, 0x1234, 0xFFFF] {
                let values = [1.0, -1e-30, f32::NAN, f32::INFINITY];
                let x = std::array::from_fn(|i| if bits >> i & 1 == 1 { values[i % 4] } else { [0.0, -0.0][i % 2] });
                assert_eq!(dispatch(isa, Others(x)), bits, "{isa:?}");
            }
        }
    }

    struct Check;

    impl Vectorized for Check {
        type Output = [[f32; LANES]; 6];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let x: [f32; LANES] = std::array::from_fn(|i| i as f32 - 7.5);
            let mut out = [[0.0; LANES]; 6];
            // SAFETY: all arrays hold sixteen values.
            unsafe {
                let v = s.load(x.as_ptr());
                s.store(out[0].as_mut_ptr(), s.fma(v, v, s.splat(1.0)));
                s.store(out[1].as_mut_ptr(), s.max(s.splat(0.0), s.min(s.splat(3.0), v)));
                s.store(out[2].as_mut_ptr(), s.exp2_nearest(v).0);
                s.store(out[3].as_mut_ptr(), s.div(s.sub(v, s.splat(2.0)), s.mul(v, v)));
                s.store(out[4].as_mut_ptr(), s.max(s.splat(0.0), s.splat(f32::NAN)));
                s.store(out[5].as_mut_ptr(), s.exp2_nearest(v).1);
            }
            out
        }
    }

    #[test]
    fn a_mistyped_instruction_set_is_an_error() {
        let two = [Isa::Avx2, Isa::Portable];
        assert_eq!(choose(None, &two).unwrap(), Isa::Avx2);
        assert_eq!(choose(Some("portable"), &two).unwrap(), Isa::Portable);
        assert!(choose(Some("avx512"), &two).unwrap_err().to_string().contains("avx2, portable"));
    }

    #[test]
    fn every_instruction_set_computes_the_same_lanes() {
        for isa in Isa::available() {
            let out = dispatch(isa, Check);
            let [fma, clamped, power, quotient, nan, integer] = out;
            for (i, value) in fma.into_iter().enumerate() {
                let x = i as f32 - 7.5;
                let n = x.round_ties_even();
                assert_eq!(value, x * x + 1.0, "{isa:?}");
                assert_eq!(clamped[i], x.clamp(0.0, 3.0), "{isa:?}");
                assert_eq!((power[i], integer[i]), (n.exp2(), n), "{isa:?}");
                assert_eq!(quotient[i], (x - 2.0) / (x * x), "{isa:?}");
                assert!(nan[i].is_nan(), "{isa:?} loses NaN");
            }
        }
    }
}
