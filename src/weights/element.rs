//! Element types of weight files, their conversion to f32, and strided tensors laid out anew.

use half::{bf16, f16};

/// Type of the elements of a stored tensor, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    /// Bytes of one element.
    pub(super) const fn size(self) -> usize {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 | Element::I16 => 2,
            Element::I8 | Element::U8 | Element::Bool => 1,
        }
    }

    /// Converts whole elements to f32.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        /// `[u8; N]` chunks through `$from_le_bytes`, then to f32.
        macro_rules! each {
            ($type:ty, $to:expr) => {
                bytes.as_chunks::<{ size_of::<$type>() }>().0.iter().map(|b| $to(<$type>::from_le_bytes(*b))).collect()
            };
        }
        match self {
            Element::F64 => each!(f64, |v| v as f32),
            Element::F32 => each!(f32, |v| v),
            Element::F16 => each!(f16, f16::to_f32),
            Element::Bf16 => each!(bf16, bf16::to_f32),
            Element::I64 => each!(i64, |v| v as f32),
            Element::I32 => each!(i32, |v| v as f32),
            Element::I16 => each!(i16, f32::from),
            Element::I8 => each!(i8, f32::from),
            Element::U8 => each!(u8, f32::from),
            Element::Bool => each!(u8, |v| f32::from(v != 0)),
        }
    }
}

/// Where a tensor's elements lie in its storage, counted in elements: PyTorch's offset, size and
/// stride.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// Most elements of a tensor that repeats those of its storage (stride 0): a damaged shape must not
/// be able to ask for all memory.
const MOST_REPEATED: usize = 1 << 24;

impl Layout {
    /// Elements in order, nothing between them.
    pub(super) fn contiguous(shape: Vec<usize>) -> Layout {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Layout { offset: 0, shape, strides }
    }

    /// Whether all elements lie inside a storage of `length` elements; names the fault where they
    /// do not.
    pub(super) fn check(&self, length: usize) -> Result<(), String> {
        let outside = || format!("shape {:?} with strides {:?} lies outside its storage of {length} elements", self.shape, self.strides);
        if self.shape.len() != self.strides.len() {
            return Err(outside());
        }
        let elements = self.shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent)).ok_or_else(outside)?;
        let end = self.span().and_then(|span| span.checked_add(self.offset)).ok_or_else(outside)?;
        if end > length || elements > length.max(MOST_REPEATED) {
            return Err(outside());
        }
        Ok(())
    }

    /// Elements from the first one to the last, both included; `None` where that overflows.
    pub(super) fn span(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().zip(&self.strides).try_fold(1_usize, |span, (&n, &stride)| span.checked_add((n - 1).checked_mul(stride)?))
    }

    /// Copies the tensor out of its span (storage elements from `offset` on) into row-major order.
    pub(super) fn gather(&self, span: Vec<f32>) -> Vec<f32> {
        if self.shape.contains(&0) {
            return span;
        }
        // Axes of one element do not matter, whatever their stride.
        let axes = self.shape.iter().copied().zip(self.strides.iter().copied());
        let (shape, strides): (Vec<usize>, Vec<usize>) = axes.filter(|&(extent, _)| extent > 1).unzip();
        if strides == Layout::contiguous(shape.clone()).strides {
            return span;
        }
        let Some((&inner, outer)) = shape.split_last() else { return span };
        let step = strides[outer.len()];
        let mut data = Vec::with_capacity(shape.iter().product());
        let mut index = vec![0; outer.len()];
        loop {
            let start: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
            data.extend((0..inner).map(|i| span[start + i * step]));
            // Counts up like an odometer, the last axis fastest.
            let Some(axis) = (0..outer.len()).rev().find(|&a| index[a] + 1 < outer[a]) else { return data };
            index[axis] += 1;
            index[axis + 1..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_converts() {
        let three = |e: Element, bytes: &[u8]| assert_eq!(e.decode(bytes), [3.0], "{e:?}");
        three(Element::F64, &3f64.to_le_bytes());
        three(Element::F32, &3f32.to_le_bytes());
        three(Element::F16, &f16::from_f32(3.0).to_le_bytes());
        three(Element::Bf16, &bf16::from_f32(3.0).to_le_bytes());
        three(Element::I64, &3i64.to_le_bytes());
        three(Element::I32, &3i32.to_le_bytes());
        three(Element::I16, &3i16.to_le_bytes());
        three(Element::I8, &[3]);
        three(Element::U8, &[3]);
        assert_eq!(Element::I8.decode(&[0xFF]), [-1.0]);
        assert_eq!(Element::Bool.decode(&[0, 1, 2]), [0.0, 1.0, 1.0]);
        assert_eq!(Element::F64.decode(&1e300f64.to_le_bytes()), [f32::INFINITY]);
    }

    #[test]
    fn strides_are_honoured() {
        let storage: Vec<f32> = (0..24).map(|i| i as f32).collect();
        // A 2×3×4 tensor read with its axes turned round: element (k, j, i) of the view is (i, j,
        // k) of the storage.
        let view = Layout { offset: 0, shape: vec![4, 3, 2], strides: vec![1, 4, 12] };
        let data = view.gather(storage.clone());
        for k in 0..4 {
            for j in 0..3 {
                assert_eq!(data[k * 6 + j * 2..][..2], [(j * 4 + k) as f32, (12 + j * 4 + k) as f32]);
            }
        }
        let every_second = Layout { offset: 0, shape: vec![3], strides: vec![2] };
        assert_eq!(every_second.span(), Some(5));
        assert_eq!(every_second.gather(storage[..5].to_vec()), [0.0, 2.0, 4.0]);
        let repeated = Layout { offset: 0, shape: vec![2, 2], strides: vec![0, 1] };
        assert_eq!(repeated.gather(storage[..2].to_vec()), [0.0, 1.0, 0.0, 1.0]);
        let scalar = Layout::contiguous(vec![]);
        assert_eq!(scalar.span(), Some(1));
        assert_eq!(scalar.gather(vec![7.0]), [7.0]);
        assert_eq!(Layout::contiguous(vec![2, 0]).span(), Some(0));
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let layout = |offset, shape: &[usize], strides: &[usize]| Layout { offset, shape: shape.to_vec(), strides: strides.to_vec() };
        assert!(layout(0, &[2, 3], &[3, 1]).check(6).is_ok());
        assert!(layout(1, &[2, 3], &[3, 1]).check(6).is_err(), "one past the end");
        assert!(layout(0, &[2, 3], &[3]).check(6).is_err(), "a stride is missing");
        assert!(layout(usize::MAX, &[2], &[1]).check(6).is_err());
        assert!(layout(0, &[usize::MAX, 3], &[1, 1]).check(6).is_err());
        assert!(layout(0, &[usize::MAX], &[2]).check(6).is_err());
        assert!(layout(0, &[1 << 30], &[0]).check(6).is_err(), "asks for more memory than the file accounts for");
        assert!(layout(0, &[0, 3], &[3, 1]).check(0).is_ok());
    }
}
