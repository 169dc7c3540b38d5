//! Counter-based random numbers: each is a pure function of a key and a counter, so it does not
//! depend on earlier draws, on which thread, or after which interruption.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011).

/// One block of the generator: 128 random bits for a counter under a key.
pub(crate) const fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < 10 {
        let a = 0xD251_1F53_u64 * c0 as u64;
        let b = 0xCD9E_8D57_u64 * c2 as u64;
        (c0, c1, c2, c3) = ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
        round += 1;
    }
    [c0, c1, c2, c3]
}

/// The upper 24 bits as a number in `[0, 1)`: exact in f32.
pub(crate) const fn unit_f32(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Sixteen blocks at a time, in plain loops that a compiler makes vector code of: word `w` of
/// counter `first + lane` is at `[w][lane]`.
///
/// Words live in 64-bit lanes whose upper halves may hold anything: products read the lower halves
/// alone, and nothing needs to be shuffled.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the compiler vectorises one index over four arrays")]
fn philox_lanes(first: u32, rest: [u32; 3], key: [u32; 2]) -> [[u32; 16]; 4] {
    const LOW: u64 = u32::MAX as u64;
    let mut c = [[0; 16], [u64::from(rest[0]); 16], [u64::from(rest[1]); 16], [u64::from(rest[2]); 16]];
    for (lane, counter) in c[0].iter_mut().enumerate() {
        *counter = u64::from(first.wrapping_add(lane as u32));
    }
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        for lane in 0..16 {
            let a = 0xD251_1F53 * (c[0][lane] & LOW);
            let b = 0xCD9E_8D57 * (c[2][lane] & LOW);
            c[0][lane] = (b >> 32) ^ c[1][lane] ^ u64::from(k0);
            c[2][lane] = (a >> 32) ^ c[3][lane] ^ u64::from(k1);
            c[1][lane] = b;
            c[3][lane] = a;
        }
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    let mut words = [[0; 16]; 4];
    for (words, lanes) in words.iter_mut().zip(&c) {
        for lane in 0..16 {
            words[lane] = lanes[lane] as u32;
        }
    }
    words
}

/// A keyed generator: `block` and `uniform` are functions of the counter alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The generator of a seed for one purpose: different streams (initial weights, dropout, order,
    /// …) of a seed are independent.
    pub const fn new(seed: u64, stream: u64) -> Philox {
        let [k0, k1, ..] = philox4x32([stream as u32, (stream >> 32) as u32, 0, 0], [seed as u32, (seed >> 32) as u32]);
        Philox { key: [k0, k1] }
    }

    /// The key, for kernels that compute many blocks at a time.
    #[cfg(target_arch = "x86_64")]
    pub(crate) const fn key(&self) -> [u32; 2] {
        self.key
    }

    /// Four random words for a counter, say `[epoch, row, unit / 4, 0]`.
    pub const fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        philox4x32(counter, self.key)
    }

    /// The blocks of sixteen counters `[first, rest…]`, `[first + 1, rest…]`, …, word by word.
    #[inline(always)]
    pub fn sixteen_blocks(&self, first: u32, rest: [u32; 3]) -> [[u32; 16]; 4] {
        philox_lanes(first, rest, self.key)
    }

    /// Four numbers in `[0, 1)` for a counter.
    pub const fn uniform(&self, counter: [u32; 4]) -> [f32; 4] {
        let [a, b, c, d] = self.block(counter);
        [unit_f32(a), unit_f32(b), unit_f32(c), unit_f32(d)]
    }

    /// A sequence of numbers for one place, say `[epoch, 0]`: the counters `[place[0], place[1], 0,
    /// 0]`, `[place[0], place[1], 1, 0]`, … in turn.
    pub const fn draws(&self, place: [u32; 2]) -> Draws {
        Draws { philox: *self, place, next: 0, block: [0; 4] }
    }
}

/// A sequence of random numbers; see [`Philox::draws`].
#[derive(Debug, Clone)]
pub struct Draws {
    philox: Philox,
    place: [u32; 2],
    /// Words handed out so far.
    next: u64,
    block: [u32; 4],
}

impl Draws {
    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.next.is_multiple_of(4) {
            let block = self.next / 4;
            self.block = self.philox.block([self.place[0], self.place[1], block as u32, (block >> 32) as u32]);
        }
        let word = self.block[(self.next % 4) as usize];
        self.next += 1;
        word
    }

    /// The next number in `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        unit_f32(self.bits())
    }

    /// The next number in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// A whole number in `0..n` without bias (Lemire's multiplication with rejection).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "no number is below 0");
        let unfair = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.bits()) * u64::from(n);
            if product as u32 >= unfair {
                return (product >> 32) as u32;
            }
        }
    }

    /// Puts a slice (of fewer than 2³² items) into random order: Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers_of_random123() {
        let known = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, want) in known {
            assert_eq!(philox4x32(counter, key), want);
        }
    }

    #[test]
    fn sixteen_blocks_are_those_of_their_counters() {
        let philox = Philox::new(5, 6);
        let words = philox.sixteen_blocks(u32::MAX - 3, [7, 8, 9]);
        for lane in 0..16 {
            let block = philox.block([(u32::MAX - 3).wrapping_add(lane as u32), 7, 8, 9]);
            assert_eq!(words.map(|w| w[lane]), block);
        }
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval() {
        assert_eq!(unit_f32(0), 0.0);
        assert!(unit_f32(u32::MAX) < 1.0);
        let mut draws = Philox::new(7, 0).draws([0, 0]);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|_| f64::from(draws.uniform())).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.002, "{variance}");
    }

    #[test]
    fn seeds_streams_and_places_differ_and_repeat() {
        let first = |seed, stream, place| Philox::new(seed, stream).draws(place).bits();
        let all = [first(1, 0, [0, 0]), first(2, 0, [0, 0]), first(1, 1, [0, 0]), first(1, 0, [1, 0]), first(1, 0, [0, 1])];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(first(1, 0, [0, 0]), all[0]);
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_every_order_is_about_as_frequent() {
        let mut seen = std::collections::BTreeMap::new();
        for trial in 0..6000 {
            let mut items = [0, 1, 2];
            Philox::new(3, 0).draws([trial, 0]).shuffle(&mut items);
            *seen.entry(items).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }
}
