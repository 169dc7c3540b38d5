//! The highest rate of multiply-adds on this machine, with which a profile's rates are compared.

use std::hint::black_box;
use std::time::Instant;

use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

const ROUNDS: usize = 2_000_000;

/// Independent sums: enough to hide the latency of a multiply-add, few enough for the registers of
/// every instruction set.
const SUMS: usize = 12;

struct MultiplyAdds;

impl Vectorized for MultiplyAdds {
    /// Multiply-adds done, to sixteen lanes each.
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> usize {
        let used = SUMS.min(S::REGISTERS - 2);
        let (a, b) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
        let mut sums = [s.splat(black_box(0.5)); SUMS];
        for _ in 0..ROUNDS {
            sums[..used].iter_mut().for_each(|sum| *sum = s.fma(a, *sum, b));
        }
        let mut out = [0.0; LANES];
        for sum in sums {
            // SAFETY: `out` holds sixteen values.
            unsafe { s.store(out.as_mut_ptr(), sum) };
            black_box(&out);
        }
        ROUNDS * used
    }
}

/// 10⁹ f32 operations a second that all threads reach together on registers alone: what no direct
/// convolution passes.
pub(crate) fn peak_gflops(isa: Isa) -> f64 {
    let start = Instant::now();
    let done: usize = rayon::broadcast(|_| dispatch(isa, MultiplyAdds)).iter().sum();
    (2 * LANES * done) as f64 / start.elapsed().as_secs_f64() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_has_a_peak() {
        for isa in Isa::available() {
            // An emulator is slow, but not this slow.
            assert!(peak_gflops(isa) > 1e-4, "{isa:?}");
        }
    }
}
