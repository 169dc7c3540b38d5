//! Sixteen f32 lanes, whatever the registers: the operations that kernels are written in.

/// Lanes of a vector, and channels of a block.
pub(crate) const LANES: usize = 16;

/// Rows of an AMX tile, each of 64 bytes.
pub(crate) const TILE_ROWS: usize = 16;

/// The bits of an f32 number that a bf16 number keeps.
pub(super) const UPPER: u32 = 0xFFFF_0000;

/// Half a unit in the last place of a bf16 number, in bits of an f32 number.
pub(super) const HALF: u32 = 0x8000;

/// Work that is generic over the instruction set.
pub(crate) trait Vectorized {
    /// Type of its result.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, or the ISA's instructions are not
    /// used.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A token of an instruction set and the operations that it allows.
///
/// Pointers given to [`load`](Simd::load) and [`store`](Simd::store) need no alignment.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen f32 lanes.
    type V: Copy;

    /// Number of vectors that the registers hold.
    const REGISTERS: usize;

    /// The token once more, for function pointers that have no room for one.
    ///
    /// # Safety
    /// A token of this type has been made in this process: the CPU has the instructions.
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
    /// Prefetches the line at an address, valid or not. Does nothing where the instruction set has
    /// no such hint.
    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}
    /// The same address, its origin hidden from the compiler, so that loads near it use an offset
    /// from it alone. With an index register beside, CPUs split a product with an operand in memory
    /// into two instructions.
    #[inline(always)]
    fn anchored(self, at: *const f32) -> *const f32 {
        at
    }
    /// Mask of the lanes that are not 0, the first lane in the lowest bit.
    fn nonzero_lanes(self, x: Self::V) -> u16;
    /// The 32 bf16 numbers in a line's words: those in the lower halves, and those in the upper
    /// ones.
    ///
    /// # Safety
    /// As [`load`](Simd::load).
    #[inline(always)]
    unsafe fn unpack(self, from: *const f32) -> [Self::V; 2] {
        // SAFETY: the caller promises sixteen words at the pointer; the arrays hold sixteen values
        // each.
        unsafe {
            let words = from.cast::<[u32; LANES]>().read_unaligned();
            let [low, high] = [words.map(|w| f32::from_bits(w << 16)), words.map(|w| f32::from_bits(w & UPPER))];
            [self.load(low.as_ptr()), self.load(high.as_ptr())]
        }
    }
    /// Writes two vectors as the lower and upper halves of a line's words: to the nearest bf16
    /// number, ties away from zero.
    ///
    /// # Safety
    /// As [`store`](Simd::store).
    #[inline(always)]
    unsafe fn pack(self, to: *mut f32, v: [Self::V; 2]) {
        // SAFETY: the caller promises sixteen words at the pointer; the arrays hold sixteen values
        // each.
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
    /// a / (2√x + above) to two units in the last place, where x, the divisor and its reciprocal
    /// are normal numbers: faster than roots and quotients where the ISA estimates them.
    #[inline(always)]
    fn over_roots(self, a: Self::V, x: Self::V, above: Self::V) -> Self::V {
        self.div(a, self.fma(self.splat(2.0), self.sqrt(x), above))
    }
    /// a / b to about a unit in the last place, where b and 1 / b are normal numbers: faster than
    /// [`div`](Simd::div) where the ISA estimates.
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
