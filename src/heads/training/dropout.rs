//! Dropout as a function of (seed, epoch, row, unit): both trainers drop the same units, in any
//! order.

use crate::heads::settings::spec::HeadSpec;
use crate::heads::streams::DROPOUT;
use crate::rng::Philox;

/// Units that share sixteen counters: the block in which a mask is drawn.
pub(crate) const MASK_BLOCK: usize = 128;

/// The dropout mask of a layer's input: which units of a row survive an epoch.
///
/// A unit is dropped where its 16 random bits lie below `round(rate · 2¹⁶)`. Counters are laid out
/// so that sixteen of them side by side give eight masks of sixteen neighbouring units: a vector
/// kernel needs no shuffling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout {
    philox: Philox,
    layer: u32,
    threshold: u32,
    /// Factor of units that survive: 1 / (1 − rate).
    pub scale: f32,
}

impl Dropout {
    /// The mask of `layer`'s input at a rate in `[0, 1)`.
    pub(crate) fn new(seed: u64, layer: usize, rate: f32) -> Dropout {
        let threshold = ((f64::from(rate) * 65536.0).round() as u32).min(0xffff);
        let scale = (1.0 / (1.0 - f64::from(rate))) as f32;
        Dropout { philox: Philox::new(seed, DROPOUT), layer: layer as u32, threshold, scale }
    }

    /// The masks of each layer's input.
    pub(crate) fn of(spec: &HeadSpec) -> Vec<Dropout> {
        let seed = spec.params().seed;
        spec.dropouts().iter().enumerate().map(|(layer, &rate)| Dropout::new(seed, layer, rate)).collect()
    }

    /// Whether nothing is ever dropped.
    pub(crate) fn is_none(&self) -> bool {
        self.threshold == 0
    }

    /// The factor of one unit: 0 or [`Dropout::scale`].
    #[cfg(test)]
    pub(crate) fn factor(&self, epoch: usize, row: usize, unit: usize) -> f32 {
        let within = unit % MASK_BLOCK;
        let counter = (unit / MASK_BLOCK * 16 + within % 16) as u32;
        let words = self.philox.block([counter, row as u32, epoch as u32, self.layer]);
        let half = within / 16;
        let bits = words[half / 2] >> (16 * (half % 2)) & 0xffff;
        if bits < self.threshold { 0.0 } else { self.scale }
    }

    /// A unit is dropped if its 16 random bits lie below this number.
    pub(crate) fn threshold(&self) -> u32 {
        self.threshold
    }

    /// Key of the generator.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn key(&self) -> [u32; 2] {
        self.philox.key()
    }

    /// The first of the sixteen counters of a block of units.
    pub(crate) fn place(&self, epoch: usize, row: usize, block: usize) -> [u32; 4] {
        [(block * 16) as u32, row as u32, epoch as u32, self.layer]
    }

    /// The factors of a whole block of units, as plain loops over sixteen counters that a compiler
    /// vectorises inside a caller that enables it.
    #[inline(always)]
    pub(crate) fn block(&self, epoch: usize, row: usize, block: usize) -> [f32; MASK_BLOCK] {
        let [first, rest @ ..] = self.place(epoch, row, block);
        let words = self.philox.sixteen_blocks(first, rest);
        let mut factors = [0.0; MASK_BLOCK];
        for (word, factors) in words.iter().zip(factors.as_chunks_mut::<32>().0) {
            for lane in 0..16 {
                factors[lane] = if word[lane] & 0xffff < self.threshold { 0.0 } else { self.scale };
                factors[lane + 16] = if word[lane] >> 16 < self.threshold { 0.0 } else { self.scale };
            }
        }
        factors
    }

    /// The random bits of a row's units as numbers. They do not depend on the rate.
    pub(crate) fn bits(&self, epoch: usize, row: usize, units: &mut [f32]) {
        for (block, units) in units.chunks_mut(MASK_BLOCK).enumerate() {
            let [first, rest @ ..] = self.place(epoch, row, block);
            let words = self.philox.sixteen_blocks(first, rest);
            for (half, units) in units.chunks_mut(16).enumerate() {
                units.iter_mut().zip(&words[half / 2]).for_each(|(unit, word)| *unit = (word >> (16 * (half % 2)) & 0xffff) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_right_share_and_the_mean() {
        for rate in [0.1, 0.2, 0.5, 0.9] {
            let mask = Dropout::new(1, 0, rate);
            let (rows, units) = (200, 500);
            let factors: Vec<f32> = (0..rows).flat_map(|r| (0..units).map(move |u| mask.factor(3, r, u))).collect();
            let dropped = factors.iter().filter(|&&f| f == 0.0).count() as f64 / factors.len() as f64;
            let mean = factors.iter().map(|&f| f64::from(f)).sum::<f64>() / factors.len() as f64;
            // 5 standard deviations of a binomial share over 10⁵ draws
            let slack = 5.0 * (f64::from(rate) * (1.0 - f64::from(rate)) / factors.len() as f64).sqrt();
            assert!((dropped - f64::from(rate)).abs() < slack, "{rate}: {dropped}");
            assert!((mean - 1.0).abs() < slack / (1.0 - f64::from(rate)), "{rate}: {mean}");
        }
    }

    #[test]
    fn blocks_and_bits_are_those_of_their_units() {
        let mask = Dropout::new(9, 1, 0.3);
        let mut bits = vec![0.0; 300];
        Dropout::new(9, 1, 0.0).bits(2, 7, &mut bits);
        let blocks: Vec<f32> = (0..3).flat_map(|block| mask.block(2, 7, block)).collect();
        for (unit, bits) in bits.into_iter().enumerate() {
            let factor = mask.factor(2, 7, unit);
            assert_eq!((blocks[unit], bits < mask.threshold() as f32), (factor, factor == 0.0), "{unit}");
        }
    }

    #[test]
    fn dropout_of_neighbouring_units_rows_epochs_and_layers_is_uncorrelated() {
        let factor = |epoch, row, unit, layer| f64::from(Dropout::new(1, layer, 0.5).factor(epoch, row, unit)) - 1.0;
        let n = 20_000;
        let neighbours: [fn(usize) -> [usize; 4]; 6] =
            [|u| [0, 0, u + 1, 0], |u| [0, 0, u + 16, 0], |u| [0, 0, u + 128, 0], |u| [1, 0, u, 0], |u| [0, 1, u, 0], |u| [0, 0, u, 1]];
        for neighbour in neighbours {
            let correlation =
                (0..n).map(|u| factor(0, 0, u, 0) * factor(neighbour(u)[0], neighbour(u)[1], neighbour(u)[2], neighbour(u)[3]));
            let mean = correlation.sum::<f64>() / n as f64;
            assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "{mean}");
        }
    }
}
