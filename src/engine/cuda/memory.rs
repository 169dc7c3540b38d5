//! The memory plan of a program: constants one behind the other; maps and scratch in an arena, each
//! at a place that is free while it lives.

use super::program::{Element, Place, Space};
use crate::plan::arrange;

/// Every block begins at a multiple of this: what the libraries' widest loads want, and the
/// allocator gives.
const ALIGNMENT: usize = 256;

/// The memory of a program while it is made.
pub(super) struct Memory {
    /// Weights.
    pub constants: Vec<u8>,
    /// The current step, counted from 1; 0 is the input's arrival.
    pub step: usize,
    /// Bytes of each storage.
    sizes: Vec<usize>,
    /// First and last step of each.
    lives: Vec<Option<[usize; 2]>>,
}

impl Memory {
    pub(super) fn new() -> Memory {
        Memory { constants: vec![], step: 0, sizes: vec![], lives: vec![] }
    }

    /// Reserves `bytes` bytes from one step to another; returns the storage's number.
    pub(super) fn storage(&mut self, bytes: usize, life: [usize; 2]) -> usize {
        self.sizes.push(bytes.next_multiple_of(ALIGNMENT));
        self.lives.push(Some(life));
        self.sizes.len() - 1
    }

    /// Keeps a storage until a step.
    pub(super) fn live_on(&mut self, storage: usize, until: usize) {
        if let Some(life) = &mut self.lives[storage] {
            life[1] = life[1].max(until);
        }
    }

    /// Reserves `bytes` bytes during the current step.
    pub(super) fn scratch(&mut self, bytes: usize) -> Place {
        Place { space: Space::Arena, at: self.storage(bytes, [self.step; 2]) }
    }

    /// Parameters of our own kernels.
    pub(super) fn floats(&mut self, values: &[f32]) -> Place {
        self.elements(Element::F32, values)
    }

    /// Weights of the libraries.
    pub(super) fn elements(&mut self, element: Element, values: &[f32]) -> Place {
        let at = self.constants.len().next_multiple_of(ALIGNMENT);
        self.constants.resize(at, 0);
        self.constants.extend(element.encode(values));
        Place { space: Space::Constants, at }
    }

    /// The offset of each storage, and the arena's size.
    pub(super) fn arrange(&self) -> (Vec<usize>, usize) {
        let mut offsets = vec![0; self.sizes.len()];
        let size = arrange((0..self.sizes.len()).collect(), &self.lives, |s| self.sizes[s], &mut offsets);
        (offsets, size)
    }
}
