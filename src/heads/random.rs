//! Everything random about a trial, as functions of (seed, epoch, row, unit): both trainers draw the same numbers, in any order.

use super::settings::params::HeadSpec;
use crate::rng::Philox;

/// Stream of initial weights.
const INIT: u64 = 0x4845_4144_0001;
/// Stream of dropout masks.
const DROPOUT: u64 = 0x4845_4144_0002;
/// Stream of the order of rows.
const ORDER: u64 = 0x4845_4144_0003;
/// Stream of the share of train that serves as val, of folds and of few-shot subsets.
pub(crate) const HOLD_OUT: u64 = 0x4845_4144_0004;

/// Stream of views and shifts of features.
pub(crate) const AUGMENT: u64 = 0x4845_4144_0005;
/// Stream of the rows that are mixed into others, and of their shares.
pub(crate) const MIXUP: u64 = 0x4845_4144_0006;

/// Units that share sixteen counters: the block in which a mask is drawn.
pub(crate) const MASK_BLOCK: usize = 128;

/// `outputs · inputs` numbers in `[-1, 1)` for the weights of a layer, `[outputs, inputs]`; row `outputs` would be the bias.
pub fn initial(seed: u64, layer: usize, unit: usize, inputs: usize) -> impl Iterator<Item = f32> {
    let philox = Philox::new(seed, INIT);
    (0..inputs.div_ceil(4))
        .flat_map(move |block| philox.uniform([layer as u32, unit as u32, block as u32, 0]))
        .take(inputs)
        .map(|u| 2.0 * u - 1.0)
}

/// The dropout mask of a layer's input: which units of a row survive an epoch.
///
/// A unit is dropped where its 16 random bits lie below `round(rate · 2¹⁶)`. Counters are laid out so that sixteen of them side by side give
/// eight masks of sixteen neighbouring units: a vector kernel needs no shuffling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    philox: Philox,
    layer: u32,
    threshold: u32,
    /// What survives is multiplied by this: 1 / (1 − rate).
    pub scale: f32,
}

impl Dropout {
    /// The mask of `layer`'s input at a rate in `[0, 1)`.
    pub fn new(seed: u64, layer: usize, rate: f32) -> Dropout {
        let threshold = ((f64::from(rate) * 65536.0).round() as u32).min(0xffff);
        let scale = (1.0 / (1.0 - f64::from(rate))) as f32;
        Dropout { philox: Philox::new(seed, DROPOUT), layer: layer as u32, threshold, scale }
    }

    /// The masks of each layer's input.
    pub fn of(spec: &HeadSpec) -> Vec<Dropout> {
        let seed = spec.params().seed;
        spec.dropouts().iter().enumerate().map(|(layer, &rate)| Dropout::new(seed, layer, rate)).collect()
    }

    /// Whether nothing is ever dropped.
    pub fn is_none(&self) -> bool {
        self.threshold == 0
    }

    /// The factor of one unit: 0 or [`Dropout::scale`].
    pub fn factor(&self, epoch: usize, row: usize, unit: usize) -> f32 {
        let within = unit % MASK_BLOCK;
        let counter = (unit / MASK_BLOCK * 16 + within % 16) as u32;
        let words = self.philox.block([counter, row as u32, epoch as u32, self.layer]);
        let half = within / 16;
        let bits = words[half / 2] >> (16 * (half % 2)) & 0xffff;
        if bits < self.threshold { 0.0 } else { self.scale }
    }

    /// Below this, of 2¹⁶, the random bits of a unit drop it.
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

    /// The factors of a whole block of units. Plain loops over sixteen counters, that a compiler makes vector code of where the caller lets it.
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

    /// The random bits of a row's units as numbers; they depend on the rate in nothing.
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

/// The order of rows in an epoch.
///
/// Where the rows take more than a window's worth of memory, blocks of neighbouring rows (shards) are shuffled, gathered into windows and
/// the rows shuffled within each: the same order whatever the machine's memory, and never more than a window in use.
pub fn order(seed: u64, epoch: usize, rows: &[usize], block_rows: usize, window_rows: usize) -> Vec<usize> {
    let philox = Philox::new(seed, ORDER);
    let mut order = rows.to_vec();
    if rows.len() <= window_rows {
        philox.draws([epoch as u32, 0]).shuffle(&mut order);
        return order;
    }
    let blocks = blocks(seed, epoch, rows, block_rows);
    order.clear();
    let mut start = 0;
    for (window, block) in blocks.iter().enumerate() {
        order.extend_from_slice(block);
        let is_last = window + 1 == blocks.len();
        if is_last || order.len() - start + blocks[window + 1].len() > window_rows {
            philox.draws([epoch as u32, window as u32 + 1]).shuffle(&mut order[start..]);
            start = order.len();
        }
    }
    order
}

/// The blocks of neighbouring rows in the order in which [`order`] goes through them where it takes more than one window.
pub fn blocks(seed: u64, epoch: usize, rows: &[usize], block_rows: usize) -> Vec<&[usize]> {
    let mut blocks: Vec<&[usize]> = rows.chunk_by(|a, b| a / block_rows == b / block_rows).collect();
    Philox::new(seed, ORDER).draws([epoch as u32, 0]).shuffle(&mut blocks);
    blocks
}

/// Rows of `dim` features that are shuffled together: 256 MiB of f32.
pub const fn window_rows(dim: usize) -> usize {
    let rows = (256 << 20) / 4 / if dim == 0 { 1 } else { dim };
    if rows == 0 { 1 } else { rows }
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

    #[test]
    fn a_large_table_is_shuffled_window_by_window_and_loses_no_row() {
        let rows: Vec<usize> = (0..1000).filter(|r| r % 3 != 0).collect();
        let order = order(5, 2, &rows, 100, 250);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
        assert_ne!(order, rows);
        let mut blocks: Vec<usize> = order.iter().take(150).map(|r| r / 100).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert!(blocks.len() <= 3, "the first window reads {blocks:?}");
        assert_ne!(order, super::order(5, 3, &rows, 100, 250));
        assert_eq!(order, super::order(5, 2, &rows, 100, 250));
    }
}
