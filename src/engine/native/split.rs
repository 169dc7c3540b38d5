//! Number of parts that an operand of a product in tiles is split into.

/// Number of parts, each of a size that tiles hold: bf16 numbers in
/// [`split_bf16`](super::split_bf16), digits of eight bits in [`split_int8`](super::split_int8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Eight bits: bf16 numbers as they are.
    One,
    /// Sixteen bits: dtype `bf16` where eight would lose too much.
    Two,
    /// 24 bits: f32 arithmetic.
    Three,
}

impl Split {
    /// The number itself.
    pub(super) fn count(self) -> usize {
        match self {
            Split::One => 1,
            Split::Two => 2,
            Split::Three => 3,
        }
    }

    /// Tile products for each pair of tiles.
    pub(super) fn products(self) -> usize {
        match self {
            Split::One => 1,
            Split::Two => 3,
            Split::Three => 6,
        }
    }

    /// The dtype whose precision the parts keep.
    pub(super) fn dtype(self) -> &'static str {
        if self == Split::Three { "f32" } else { "bf16" }
    }

    /// A number as bf16 numbers: the nearest one, or two or three by truncation. Three lose
    /// nothing.
    pub(super) fn parts(self, x: f32) -> [u16; 3] {
        if self == Split::One { [(nearest_bf16(x).to_bits() >> 16) as u16, 0, 0] } else { Split::bf16(x) }
    }

    /// A number as bf16 numbers by truncation.
    fn bf16(x: f32) -> [u16; 3] {
        const HIGH: u32 = 0xFFFF_0000;
        let high = f32::from_bits(x.to_bits() & HIGH);
        let rest = x - high;
        let middle = f32::from_bits(rest.to_bits() & HIGH);
        [high, middle, rest - middle].map(|v| (v.to_bits() >> 16) as u16)
    }
}

/// The nearest bf16 number; ties go away from zero.
pub fn nearest_bf16(x: f32) -> f32 {
    f32::from_bits(x.to_bits().wrapping_add(0x8000) & 0xFFFF_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_are_the_whole_number() {
        for x in [1.0f32, -0.1, 3.3, 1.0e-20, 16_777_215.0, -123_456.79] {
            let parts = Split::bf16(x).map(|bits| f32::from_bits(u32::from(bits) << 16));
            assert_eq!(parts[0] + (parts[1] + parts[2]), x);
        }
    }
}
