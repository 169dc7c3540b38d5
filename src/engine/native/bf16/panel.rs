//! A copy in bf16 of the input under the windows of some output rows, as if the convolution had no
//! stride.
//!
//! Pixels a stride apart lie side by side: the pixels that a cell of the window meets are those of
//! one phase (of row and column, modulo the stride), and each phase has a plane of its own,
//! `[block of 32 channels][phase][row][column]`. Cells of a phase are a few pixels apart, and rows
//! of output may be walked as one.

use crate::engine::native::memory::Map;
use crate::plan::ConvShape;
use crate::simd::{Isa, LANES, Simd, Vectorized, dispatch};

/// Channels of a line.
pub(super) const DEEP: usize = 2 * LANES;

/// Geometry of a panel; distances in lines.
pub(super) struct Panel {
    /// From row to row of a plane: as many columns as lie under the windows of a row in any phase.
    pub pitch: usize,
    /// Rows of a plane.
    rows: usize,
    /// Columns of output.
    width: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
}

impl Panel {
    /// A panel for `rows` rows of output of `width` columns.
    pub(super) fn new(conv: &ConvShape, width: usize, rows: usize) -> Panel {
        let behind = [0, 1].map(|axis| (conv.kernel[axis] - 1) / conv.stride[axis]);
        Panel { pitch: width + behind[1], rows: rows + behind[0], width, kernel: conv.kernel, stride: conv.stride }
    }

    /// Phases of rows and of columns that cells have.
    fn phases(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.kernel[axis].min(self.stride[axis]))
    }

    /// Lines of a block of channels.
    pub(super) fn block(&self) -> usize {
        self.phases()[0] * self.phases()[1] * self.rows * self.pitch
    }

    /// From an output pixel to the input under it at a cell of the window.
    pub(super) fn cell(&self, y: usize, x: usize) -> usize {
        let [sy, sx] = self.stride;
        let phase = y % sy * self.phases()[1] + x % sx;
        (phase * self.rows + y / sy) * self.pitch + x / sx
    }

    /// Copies the input under the windows of `rows` output rows, the first of which begins at
    /// `window` of the map.
    pub(super) fn fill(&self, isa: Isa, map: &Map, from: *const f32, window: usize, rows: usize, panel: &mut [f32]) {
        let ([sy, sx], [kh, kw]) = (self.stride, self.kernel);
        let there = |channel: usize| channel < map.channels;
        for (block, panel) in panel.chunks_exact_mut(self.block() * LANES).enumerate().take(map.channels.div_ceil(DEEP)) {
            let word =
                |k: usize| [(0, 0xFFFF), (LANES, 0xFFFF_0000)].map(|(half, bits)| if there(block * DEEP + half + k) { bits } else { 0 });
            let wanted = std::array::from_fn(|k| word(k)[0] | word(k)[1]);
            // An absent block is read from the place of the one before, and masked away.
            let halves = match map.packed {
                true => [block; 2],
                false => [2 * block, (2 * block + 1).min(map.blocks() - 1)],
            };
            for (py, px) in (0..self.phases()[0]).flat_map(|y| (0..self.phases()[1]).map(move |x| (y, x))) {
                let columns = self.width + (kw - 1 - px) / sx;
                for y in 0..rows + (kh - 1 - py) / sy {
                    let at = window + (y * sy + py) * map.row + px * LANES;
                    assert!(at + ((columns - 1) * sx + 1) * LANES <= map.block, "windows lie inside the map");
                    let from = halves.map(|block| from.wrapping_add(block * map.block + at));
                    let to = panel[(self.cell(py, px) + y * self.pitch) * LANES..][..columns * LANES].as_mut_ptr();
                    dispatch(isa, Fill { from, packed: map.packed, step: sx * LANES, to, lines: columns, wanted });
                }
            }
        }
    }
}

/// Copies lines, or rounds those of two blocks of a map in f32.
struct Fill {
    from: [*const f32; 2],
    packed: bool,
    /// Floats from line to line of the sources.
    step: usize,
    to: *mut f32,
    lines: usize,
    /// Mask of the halves of a line's words that are channels.
    wanted: [u32; LANES],
}

impl Vectorized for Fill {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Fill { from: [low, high], packed, step, to, lines, wanted } = self;
        // SAFETY: `Panel::fill` asserts that the sources' last line lies inside the map, and slices
        // the target to `lines` lines.
        unsafe {
            if packed {
                (0..lines).for_each(|i| s.store(to.add(i * LANES), s.load(low.add(i * step))));
                return;
            }
            for i in 0..lines {
                s.pack(to.add(i * LANES), [s.load(low.add(i * step)), s.load(high.add(i * step))]);
            }
            if wanted != [u32::MAX; LANES] {
                for i in 0..lines {
                    let words = to.add(i * LANES).cast::<[u32; LANES]>();
                    let line = words.read();
                    words.write(std::array::from_fn(|k| line[k] & wanted[k]));
                }
            }
        }
    }
}
