//! The program of a GPU: a list of calls over a few blocks of memory, known entirely beforehand.

use half::{bf16, f16};

use crate::engine::Compute;

/// The type of the numbers of maps and weights. Sums are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// f32 throughout, TF32 off.
    F32,
    /// bf16 in memory.
    Bf16,
    /// f16 in memory.
    F16,
}

impl From<Compute> for Element {
    fn from(compute: Compute) -> Element {
        match compute {
            Compute::F32 => Element::F32,
            Compute::Bf16 => Element::Bf16,
            Compute::F16 => Element::F16,
        }
    }
}

impl Element {
    /// The macro that selects it in `kernels.cu`.
    pub(super) const fn define(self) -> Option<&'static str> {
        match self {
            Element::F32 => None,
            Element::Bf16 => Some("BF16"),
            Element::F16 => Some("F16"),
        }
    }

    /// Bytes of one.
    pub(super) const fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 | Element::F16 => 2,
        }
    }

    /// Values as they lie in memory.
    pub(super) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Element::F32 => bytemuck::cast_slice(values).to_vec(),
            Element::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_ne_bytes()).collect(),
            Element::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_ne_bytes()).collect(),
        }
    }
}

/// A block of the device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// Maps, each for as long as it is needed.
    Arena,
    /// Weights.
    Constants,
    /// The batch as it came: bytes, or f32.
    Input,
    /// The map from bytes to numbers: scale and shift of each channel, then 1 where blue comes
    /// first.
    Normalise,
    /// The taps' values, f32.
    Features,
}

/// A place in the device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The block.
    pub space: Space,
    /// Bytes from its start.
    pub at: usize,
}

/// The numbers that every kernel takes; their meaning is documented beside each kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Numbers {
    /// Threads that have something to do.
    pub count: u32,
    /// Extents and the like.
    pub n: [i32; 19],
    /// A fraction.
    pub f: f32,
}

/// One of the compiled variants of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    /// The numbers of the maps that it reads and writes.
    pub element: Element,
    /// Whether a thread makes eight channels, or one.
    pub wide: bool,
}

/// A kernel of our own, `kernels.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kernel {
    /// Its name there.
    pub name: &'static str,
    /// The variant.
    pub variant: Variant,
    /// Output.
    pub y: Place,
    /// Input.
    pub x: Place,
    /// A second input.
    pub z: Option<Place>,
    /// f32 parameters.
    pub p: Option<Place>,
    /// More of them.
    pub q: Option<Place>,
    /// Extents.
    pub numbers: Numbers,
}

/// `y = x · weightᵀ`: `[rows, input]` by `[output, input]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Product {
    /// Numbers of x, weight and y.
    pub element: Element,
    /// Rows of x and y: pixels of all images.
    pub rows: usize,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Input.
    pub x: Place,
    /// Weights.
    pub weight: Place,
    /// Output.
    pub y: Place,
}

/// A convolution of maps `[image][row][column][channel]` with weights
/// `[output][row][column][input / groups]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Convolution {
    /// Numbers of x, weight and y.
    pub element: Element,
    /// Number of images.
    pub images: usize,
    /// Channels, rows and columns in.
    pub from: [usize; 3],
    /// Channels, rows and columns out.
    pub to: [usize; 3],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, columns of zeros on either side.
    pub padding: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// Input.
    pub x: Place,
    /// Weights.
    pub weight: Place,
    /// Output.
    pub y: Place,
}

/// The end of a sum of products: bias, residual, activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finish {
    /// Bias of each output channel, in the output's numbers.
    pub bias: Place,
    /// A map like the output, to be added.
    pub residual: Option<Place>,
    /// Whether the libraries can do it on the way, and then whether negative sums become zero.
    pub relu: Option<bool>,
    /// The same done afterwards.
    pub kernel: Kernel,
}

/// One step for the GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Call {
    /// A kernel of our own.
    Kernel(Kernel),
    /// cuBLAS.
    Product(Product, Finish),
    /// cuDNN.
    Convolution(Convolution, Finish),
}

/// A tap's place among the features: `images · length` values from `at` bytes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    /// Bytes from the features' start.
    pub at: usize,
    /// Values of one image.
    pub length: usize,
}

/// A plan compiled for a number of images.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Images of every batch.
    pub images: usize,
    /// Numbers of maps and weights, but for values that stay f32.
    pub element: Element,
    /// Channels, rows and columns of an image.
    pub input: [usize; 3],
    /// From bytes to the first map.
    pub pixels: Kernel,
    /// From floats, channel by channel, to the first map.
    pub planes: Kernel,
    /// All steps after that.
    pub calls: Vec<Call>,
    /// Weights as they lie on the device.
    pub constants: Vec<u8>,
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes of the features.
    pub features: usize,
    /// Taps in the order asked for.
    pub taps: Vec<Tap>,
}

impl Kernel {
    /// All places that it names.
    fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        [Some(&mut self.y), Some(&mut self.x), self.z.as_mut(), self.p.as_mut(), self.q.as_mut()].into_iter().flatten()
    }
}

impl Finish {
    fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        [Some(&mut self.bias), self.residual.as_mut()].into_iter().flatten().chain(self.kernel.places_mut())
    }
}

impl Call {
    /// Turns each place of the arena from the number of a storage into that storage's offset.
    pub(super) fn assign_offsets(&mut self, offsets: &[usize]) {
        let assign = |place: &mut Place| {
            if place.space == Space::Arena {
                place.at = offsets[place.at];
            }
        };
        match self {
            Call::Kernel(kernel) => kernel.places_mut().for_each(assign),
            Call::Product(p, finish) => [&mut p.x, &mut p.y].into_iter().chain(finish.places_mut()).for_each(assign),
            Call::Convolution(c, finish) => [&mut c.x, &mut c.y].into_iter().chain(finish.places_mut()).for_each(assign),
        }
    }
}
