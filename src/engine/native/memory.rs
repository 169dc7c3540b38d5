//! Layout of values in memory: channel-blocked maps with a zero halo, in one arena whose size is
//! known before the run.
//!
//! A map is stored as blocks of sixteen channels, each block row by row, each pixel one 64-byte
//! line: `[C/16][H][W][16]`. Around it lies a halo of zeros for padded windows, so that kernels
//! need no masks; the columns right of one row serve as those left of the next. Lanes behind the
//! last channel hold numbers that no kernel uses. An image that a dense convolution reads stays
//! planar (`[C][H][W]`). A line of a map in bf16 holds 32 channels; distances are those of a map of
//! half as many.

use std::marker::PhantomData;

use crate::graph::Shape;
use crate::simd::LANES;

/// Shape of a value as a map: a vector is a map of one pixel.
pub(crate) fn as_map(shape: &Shape) -> [usize; 3] {
    match shape[..] {
        [c, h, w] => [c, h, w],
        _ => [shape.iter().product(), 1, 1],
    }
}

/// Layout of one image's map. Distances are in floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Map {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Words of a pixel in a block, and the distance from pixel to pixel: [`LANES`], or 1 where the
    /// map is planar.
    pub lane: usize,
    /// Distance from row to row.
    pub row: usize,
    /// Distance from block to block.
    pub block: usize,
    /// First pixel of a block.
    pub origin: usize,
    /// Halo: rows above and below, columns left and right.
    pub halo: [usize; 4],
    /// Whether each word of a line holds two channels of a block of 32 as bf16 numbers: one of the
    /// first sixteen, and the one sixteen behind it.
    pub packed: bool,
}

impl Map {
    /// A blocked map with a halo.
    pub(super) fn blocked(shape: [usize; 3], halo: [usize; 4]) -> Map {
        Map::new(shape, halo, LANES)
    }

    /// A planar map with a halo.
    pub(super) fn planar(shape: [usize; 3], halo: [usize; 4]) -> Map {
        Map::new(shape, halo, 1)
    }

    /// A blocked map of bf16 numbers with a halo.
    pub(super) fn packed(shape: [usize; 3], halo: [usize; 4]) -> Map {
        Map { packed: true, ..Map::new(shape, halo, LANES) }
    }

    fn new([channels, height, width]: [usize; 3], halo: [usize; 4], lane: usize) -> Map {
        let [top, bottom, left, right] = halo;
        let side = left.max(right);
        let row = (width + side) * lane;
        // The last row is followed by its own right halo.
        let mut block = ((top + height + bottom) * row + side * lane).next_multiple_of(LANES);
        // Blocks a multiple of 1 KiB apart would meet in the same few cache sets.
        if height * width > 1 && block.is_multiple_of(256) {
            block += LANES;
        }
        Map { channels, height, width, lane, row, block, origin: top * row + left * lane, halo, packed: false }
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.channels.div_ceil(if self.packed { 2 * LANES } else { self.lane })
    }

    /// Floats of one image.
    pub(super) fn floats(&self) -> usize {
        self.blocks() * self.block
    }

    /// Offset of a pixel of a block.
    pub(super) fn at(&self, block: usize, y: usize, x: usize) -> usize {
        block * self.block + self.origin + y * self.row + x * self.lane
    }

    /// Whether a block's pixels lie side by side without a gap.
    pub(super) fn is_flat(&self) -> bool {
        self.row == self.width * self.lane || self.height == 1
    }

    /// Mask of a block's lanes that are channels: empty for a block behind the last.
    pub(super) fn wanted_lanes(&self, block: usize) -> u16 {
        match self.channels.saturating_sub(block * LANES) {
            0 => 0,
            n => u16::MAX >> (LANES - n.min(LANES)),
        }
    }

    /// Number of pixels.
    pub(super) fn pixels(&self) -> usize {
        self.height * self.width
    }
}

/// The memory that a value lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// A worker's own: the images of its unit.
    Local,
    /// That of all workers: all images of the batch.
    Shared,
    /// That of one task: the map between the two halves of a pair.
    Scratch,
}

/// A value's place: one map for each image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand {
    /// Layout of each image.
    pub map: Map,
    /// Its memory.
    pub space: Space,
    /// Offset of the first image.
    pub offset: usize,
    /// Distance from image to image.
    pub image: usize,
}

impl Operand {
    /// Some channels from a whole block on.
    pub(super) fn part(&self, block: usize, channels: usize) -> Operand {
        assert!(block * self.map.lane + channels <= self.map.channels);
        Operand { map: Map { channels, ..self.map }, offset: self.offset + block * self.map.block, ..*self }
    }
}

/// Memory while some images are computed; tasks of one step share it and write disjoint parts of
/// it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit<'a> {
    local: (*mut f32, usize),
    shared: (*mut f32, usize),
    scratch: (*mut f32, usize),
    /// The first of the unit's images in local memory.
    local_first: usize,
    /// Images of the unit.
    pub images: usize,
    /// The first of them in the batch.
    pub first: usize,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `Unit` is a mutable borrow of its memory handed to tasks that write disjoint parts and
// read what earlier steps wrote.
unsafe impl Send for Unit<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for Unit<'_> {}

/// The memory of all workers, lent to several units at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedMemory<'a>(*mut f32, usize, PhantomData<&'a mut [f32]>);

// SAFETY: the memory is reached through units alone, whose tasks write disjoint parts.
unsafe impl Sync for SharedMemory<'_> {}

impl<'a> SharedMemory<'a> {
    /// Lends memory to units of different images.
    pub(super) fn new(memory: &'a mut [f32]) -> Self {
        SharedMemory(memory.as_mut_ptr(), memory.len(), PhantomData)
    }
}

impl<'a> Unit<'a> {
    /// Lends memory to the tasks of steps that compute `images` images of a batch from its `first`
    /// on. Units at work at the same time have local memory and images of their own.
    pub(super) fn new(local: &'a mut [f32], shared: SharedMemory<'a>, first: usize, images: usize) -> Self {
        Unit {
            local: (local.as_mut_ptr(), local.len()),
            shared: (shared.0, shared.1),
            scratch: (std::ptr::null_mut(), 0),
            local_first: 0,
            images,
            first,
            memory: PhantomData,
        }
    }

    /// One of the images, with scratch memory for values of its own.
    pub(super) fn only<'b>(&'b self, image: usize, scratch: &'b mut [f32]) -> Unit<'b> {
        assert!(image < self.images, "an image of this unit");
        let scratch = (scratch.as_mut_ptr(), scratch.len());
        Unit { scratch, local_first: self.local_first + image, images: 1, first: self.first + image, ..*self }
    }

    /// One image's map, from its first block on.
    pub(super) fn at(&self, operand: &Operand, image: usize) -> *mut f32 {
        assert!(image < self.images, "an image of this unit");
        let ((base, len), index) = match operand.space {
            Space::Local => (self.local, self.local_first + image),
            Space::Shared => (self.shared, self.first + image),
            Space::Scratch => (self.scratch, image),
        };
        let start = operand.offset + index * operand.image;
        assert!(start + operand.map.floats() <= len, "a value lies inside the arena");
        base.wrapping_add(start)
    }

    /// One image's map to read.
    ///
    /// # Safety
    /// No task at work writes to it.
    pub(super) unsafe fn read(&self, operand: &Operand, image: usize) -> &'a [f32] {
        // SAFETY: `at` checks the bounds; the caller promises that no task writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.at(operand, image), operand.map.floats()) }
    }

    /// One block of one image's map to write.
    ///
    /// # Safety
    /// No other task at work reads or writes this block.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn write(&self, operand: &Operand, image: usize, block: usize) -> &'a mut [f32] {
        assert!(block < operand.map.blocks());
        // SAFETY: `at` checks the bounds; the caller promises that no other task uses the block
        // meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.at(operand, image).add(block * operand.map.block), operand.map.block) }
    }
}

/// Memory that the tasks of a step share from stage to stage: those of one stage write disjoint
/// parts and read what earlier ones wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a>(*mut f32, usize, PhantomData<&'a mut [f32]>);

// SAFETY: a `Common` is a mutable borrow of its memory handed to tasks that write disjoint parts.
unsafe impl Send for Common<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for Common<'_> {}

impl<'a> Common<'a> {
    /// Lends memory to the tasks of a step.
    pub(super) fn new(memory: &'a mut [f32]) -> Self {
        Common(memory.as_mut_ptr(), memory.len(), PhantomData)
    }

    /// The address of `len` floats from `first` on.
    pub(super) fn at(&self, first: usize, len: usize) -> *mut f32 {
        assert!(first + len <= self.1, "a part lies inside the memory");
        self.0.wrapping_add(first)
    }

    /// The `len` floats from `first` on, for reading.
    ///
    /// # Safety
    /// No task at work writes to them.
    pub(super) unsafe fn read(&self, first: usize, len: usize) -> &'a [f32] {
        // SAFETY: `at` checks the bounds; the caller promises that no task writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.at(first, len), len) }
    }

    /// The `len` floats from `first` on, for writing.
    ///
    /// # Safety
    /// No other task at work reads or writes them.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn write(&self, first: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: `at` checks the bounds; the caller promises that no other task uses the part
        // meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.at(first, len), len) }
    }
}

/// Sets a map's halo to zero.
pub(super) fn zero_halo(unit: &Unit<'_>, operand: &Operand) {
    let map = operand.map;
    if map.halo == [0; 4] {
        return;
    }
    let bottom = map.origin + map.height * map.row - map.halo[2] * map.lane;
    for (image, block) in (0..unit.images).flat_map(|i| (0..map.blocks()).map(move |b| (i, b))) {
        // SAFETY: halos are set before a step's tasks begin, by one thread.
        let plane = unsafe { unit.write(operand, image, block) };
        plane[..map.origin].fill(0.0);
        plane[bottom..].fill(0.0);
        for y in 0..map.height {
            let end = map.origin + y * map.row + map.width * map.lane;
            plane[end..end + map.row - map.width * map.lane].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halos_are_zero_and_pixels_untouched() {
        for halo in [[0; 4], [1; 4], [0, 1, 0, 1], [2, 3, 1, 2], [3, 0, 2, 0]] {
            for lane in [1, LANES] {
                let map = Map::new([20, 5, 4], halo, lane);
                let operand = Operand { map, space: Space::Local, offset: 32, image: map.floats() + 16 };
                let mut memory = vec![1.0; 32 + 2 * operand.image];
                zero_halo(&Unit::new(&mut memory, SharedMemory::new(&mut []), 0, 2), &operand);
                for (i, b) in [(0, 0), (1, map.blocks() - 1)] {
                    let at = |y: isize, x: isize| {
                        let from = operand.offset + i * operand.image + b * map.block + map.origin;
                        memory[(from as isize + y * map.row as isize + x * map.lane as isize) as usize]
                    };
                    let [t, d, l, r] = halo.map(|h| h as isize);
                    for (y, x) in (-t..5 + d).flat_map(|y| (-l..4 + r).map(move |x| (y, x))) {
                        let inside = (0..5).contains(&y) && (0..4).contains(&x);
                        assert_eq!(at(y, x), if inside { 1.0 } else { 0.0 }, "{halo:?} {lane} {y} {x}");
                    }
                }
            }
        }
    }
}
