use super::vector::UPPER;
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

struct NonzeroLanes([f32; LANES]);

impl Vectorized for NonzeroLanes {
    type Output = u16;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> u16 {
        // SAFETY: sixteen values.
        s.nonzero_lanes(unsafe { s.load(self.0.as_ptr()) })
    }
}

#[test]
fn what_is_not_zero_has_a_bit() {
    for isa in Isa::available() {
        for bits in [0u16, 1, 0x8000, 0x1234, 0xFFFF] {
            let values = [1.0, -1e-30, f32::NAN, f32::INFINITY];
            let x = std::array::from_fn(|i| if bits >> i & 1 == 1 { values[i % 4] } else { [0.0, -0.0][i % 2] });
            assert_eq!(dispatch(isa, NonzeroLanes(x)), bits, "{isa:?}");
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
