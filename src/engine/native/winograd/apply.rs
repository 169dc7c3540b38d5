//! Winograd's transforms of maps: windows to points, points to outputs.

use std::marker::PhantomData;
use std::ops::Range;

use super::tiling::Winograd;
use super::transform::{MOST, Tile};
use crate::engine::native::epilogue::Activate;
use crate::engine::native::memory::Unit;
use crate::simd::{LANES, Simd, Vectorized};

/// The first `n` of [`MOST`] vectors, from the addresses that `at` gives.
///
/// # Safety
/// `at` gives pointers to sixteen values.
#[inline(always)]
unsafe fn line_of<S: Simd>(s: S, n: usize, at: impl Fn(usize) -> *const f32) -> [S::V; MOST] {
    // SAFETY: the caller promises sixteen values at each pointer that `at` gives.
    std::array::from_fn(|i| if i < n { unsafe { s.load(at(i)) } } else { s.splat(0.0) })
}

/// All channels of some tiles, from the map to points.
pub(super) struct InputTransform<'a, T, F> {
    /// The convolution.
    pub kernel: &'a Winograd,
    /// Its size of tiles.
    pub tile: PhantomData<T>,
    /// Memory of its maps.
    pub unit: &'a Unit<'a>,
    /// The tiles.
    pub tiles: Range<usize>,
    /// Target of the transforms.
    pub to: &'a mut [f32],
    /// Floats from point to point.
    pub point: usize,
    /// Floats from block to block.
    pub block: usize,
    /// Floats from tile to tile: none where each is used up before the next one is made.
    pub distance: usize,
    /// Called with each tile after its transform.
    pub then: F,
}

impl<T: Tile, F: FnMut(usize, &[f32])> Vectorized for InputTransform<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (w, map) = (self.kernel, self.kernel.input.map);
        let n = T::IN;
        let (point, blocks) = (self.point, map.blocks());
        assert!(self.to.len() >= (n * n - 1) * point + (blocks - 1) * self.block + (self.tiles.len() - 1) * self.distance + LANES);
        let mut edge = [[0.0f32; LANES]; 64];
        let mut half = [[0.0f32; LANES]; 64];
        // Rows and columns that memory holds, halo included, counted from the window's first pixel
        // of the map.
        let held = [map.halo[0] + map.height + map.halo[1], map.halo[2] + map.width + map.halo[3]];
        for (t, index) in self.tiles.clone().enumerate() {
            let (image, y, x) = w.tile(index);
            let (y, x) = (y + map.halo[0] - w.padding[0], x + map.halo[2] - w.padding[2]);
            let inside = [(held[0] - y).min(n), (held[1] - x).min(n)];
            if inside != [n, n] {
                edge.fill([0.0; LANES]);
            }
            // SAFETY: the steps that write to the input are complete; this step's tasks write to
            // other values.
            let input = unsafe { self.unit.read(&w.input, image) };
            for block in 0..blocks {
                let corner = block * map.block + map.origin - map.halo[0] * map.row - map.halo[2] * LANES + y * map.row + x * LANES;
                let (from, row) = if inside == [n, n] {
                    (input[corner..].as_ptr(), map.row)
                } else {
                    for (y, x) in (0..inside[0]).flat_map(|y| (0..inside[1]).map(move |x| (y, x))) {
                        edge[y * n + x].copy_from_slice(&input[corner + y * map.row + x * LANES..][..LANES]);
                    }
                    (edge.as_ptr().cast::<f32>(), n * LANES)
                };
                // SAFETY: n × n lines lie inside the map (or `edge`); all lines written lie inside
                // `to`, as asserted.
                unsafe {
                    for y in 0..n {
                        let line = from.add(y * row);
                        let d = line_of(s, n, |x| line.add(x * LANES));
                        let made = T::input(s, &d);
                        (0..n).for_each(|x| s.store(half[y * n + x].as_mut_ptr(), made[x]));
                    }
                    let to = self.to.as_mut_ptr().add(block * self.block + t * self.distance);
                    for x in 0..n {
                        let made = T::input(s, &line_of(s, n, |y| half[y * n + x].as_ptr()));
                        (0..n).for_each(|y| s.store(to.add((y * n + x) * point), made[y]));
                    }
                }
            }
            (self.then)(t, self.to);
        }
    }
}

/// Some output blocks of some tiles, from points to the map, with bias, residual and activation.
pub(super) struct OutputTransform<'a, T> {
    /// The convolution.
    pub kernel: &'a Winograd,
    /// Its size of tiles.
    pub tile: PhantomData<T>,
    /// Memory of its maps.
    pub unit: &'a Unit<'a>,
    /// The tiles.
    pub tiles: Range<usize>,
    /// The output blocks.
    pub blocks: Range<usize>,
    /// Products from the first of these tiles and blocks on: `[point][output block][tile][16]`.
    pub from: &'a [f32],
    /// Floats from point to point.
    pub point: usize,
    /// Floats from block to block.
    pub block: usize,
}

impl<T: Tile> Vectorized for OutputTransform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (w, map) = (self.kernel, self.kernel.output.map);
        let (n, m) = (T::IN, T::OUT);
        let point = self.point;
        assert!(self.blocks.end <= map.blocks());
        assert!(self.from.len() >= (n * n - 1) * point + (self.blocks.len() - 1) * self.block + self.tiles.len() * LANES);
        let [low, high] = w.epilogue.bounds.map(|b| s.splat(b));
        let mut half = [[0.0f32; LANES]; 48];
        let mut done = [[0.0f32; LANES]; 36];
        for (t, index) in self.tiles.enumerate() {
            let (image, y0, x0) = w.tile(index);
            let [rows, columns] = [(map.height - y0).min(m), (map.width - x0).min(m)];
            let output = self.unit.at(&w.output, image);
            let residual = w.epilogue.residual.map(|r| (self.unit.at(&r, image).cast_const(), r.map));
            for (b, block) in self.blocks.clone().enumerate() {
                // SAFETY: `from` holds n · n points; the tile's rows and columns lie inside the
                // maps, whose bounds `at` checked, and belong to this task alone.
                unsafe {
                    let from = self.from.as_ptr().add(b * self.block + t * LANES);
                    for y in 0..n {
                        let made = T::output(s, &line_of(s, n, |x| from.add((y * n + x) * point)));
                        (0..m).for_each(|x| s.store(half[y * m + x].as_mut_ptr(), made[x]));
                    }
                    let bias = s.load(w.bias[block].0.as_ptr());
                    for x in 0..m {
                        let made = T::output(s, &line_of(s, n, |y| half[y * m + x].as_ptr()));
                        (0..m).for_each(|y| s.store(done[y * m + x].as_mut_ptr(), s.add(made[y], bias)));
                    }
                    for y in 0..rows {
                        let to = output.add(map.at(block, y0 + y, x0));
                        let added = residual.map(|(from, map)| from.add(map.at(block, y0 + y, x0)));
                        for x in 0..columns {
                            let v = s.load(done[y * m + x].as_ptr());
                            let v = added.map_or(v, |from| s.add(v, s.load(from.add(x * LANES))));
                            s.store(to.add(x * LANES), s.min(high, s.max(low, v)));
                        }
                        if let Some(act) = w.epilogue.act {
                            s.vectorize(Activate { values: to, lines: columns, act });
                        }
                    }
                }
            }
        }
    }
}
