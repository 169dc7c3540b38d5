//! The data of a plan: steps, the layers that they compute, and the values between them.

use std::sync::Arc;

use crate::graph::{Act, Pool, Shape};

/// Index of a value (one activation tensor) of a plan; the input is value 0.
pub(crate) type ValueId = usize;

/// A planned network: steps in order of computation.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Steps; each reads values that were computed before it. Step `i` makes value `i + 1`.
    pub steps: Vec<Step>,
    /// Shape of every value for one image: `[C, H, W]`, `[D]`, or tokens `[T, D]`.
    pub shapes: Vec<Shape>,
    /// The taps' values, in the order asked for; several taps may share one, and a tap may be the
    /// input itself.
    pub taps: Vec<ValueId>,
    /// Whether maps of the network stay f32 on a CPU in any case: `Graph::is_delicate`.
    pub is_delicate: bool,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub struct Step {
    /// Module path of the node it began with (`layer1.0.conv1`), for messages and profiles.
    pub name: String,
    /// Its computation.
    pub layer: Layer,
    /// Values it reads; a residual comes last.
    pub inputs: Vec<ValueId>,
    /// The value it makes; each value is made by one step.
    pub output: ValueId,
}

/// Geometry of a planned convolution: padding explicit, channel counts as in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, columns left and right.
    pub padding: [usize; 4],
    /// Number of groups; `input` for a depthwise convolution.
    pub groups: usize,
}

impl ConvShape {
    /// Whether each channel is convolved by itself.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input && self.groups == self.output
    }
}

/// The computation of a step.
///
/// Maps are `[C, H, W]`. Every `bias`, `scale` and `shift` holds one value a channel.
#[derive(Debug, Clone)]
#[allow(clippy::enum_variant_names, reason = "layer normalisation is called so")]
pub enum Layer {
    /// `act(conv(inputs[0]) + bias (+ inputs[1]))`.
    Conv {
        /// Its geometry.
        conv: ConvShape,
        /// `[output, input / groups, kh, kw]`.
        weight: Arc<[f32]>,
        /// One a output channel; zeros where the network has none.
        bias: Arc<[f32]>,
        /// Whether `inputs[1]`, of the output's shape, is added before the activation.
        residual: bool,
        /// Last of all.
        act: Option<Act>,
    },
    /// `act(weight · inputs[0] + bias (+ inputs[1]))` on a vector, or on each token.
    Linear {
        /// Input features.
        input: usize,
        /// Output features.
        output: usize,
        /// `[output, input]`.
        weight: Arc<[f32]>,
        /// `[output]`.
        bias: Arc<[f32]>,
        /// Whether `inputs[1]` is added before the activation.
        residual: bool,
        /// Last of all.
        act: Option<Act>,
    },
    /// `act(inputs[0] · scale + shift)`: a batch norm that no convolution could take in.
    Affine {
        /// Scale of each channel.
        scale: Arc<[f32]>,
        /// Shift of each channel.
        shift: Arc<[f32]>,
        /// Last of all.
        act: Option<Act>,
    },
    /// `act(inputs[0] + inputs[1])`.
    Add {
        /// Last of all.
        act: Option<Act>,
    },
    /// A map times a gate `[C, 1, 1]`.
    Mul,
    /// Activation alone.
    Act(Act),
    /// Norm over the channels of each pixel (of the vector, of each token).
    LayerNorm {
        /// Scale of each channel.
        weight: Arc<[f32]>,
        /// Shift of each channel.
        bias: Arc<[f32]>,
        /// Added to the variance.
        eps: f64,
    },
    /// Maximum over windows; its padding is [`crate::graph::Padding::Explicit`], and the output's
    /// shape tells what `ceil` came to.
    MaxPool(Pool),
    /// Mean over windows; padding as for `MaxPool`. A window is cut off at the padding's outer
    /// edge, and where `count_padding` is false at the map's own edge, before its cells are
    /// counted.
    AvgPool(Pool),
    /// Mean over the whole map: `[C, H, W]` to `[C, 1, 1]`.
    GlobalAvgPool,
    /// PyTorch's adaptive average pooling to the output's size: cell `i` of `n` averages rows
    /// `⌊i·H/n⌋ .. ⌈(i+1)·H/n⌉`.
    AdaptiveAvgPool([usize; 2]),
    /// Join along channels.
    Concat,
    /// Channels `start .. start + len`.
    Slice {
        /// First channel.
        start: usize,
        /// Number of channels.
        len: usize,
    },
    /// Channel shuffle: channel `g · C/groups + i` goes to `i · groups + g`.
    Shuffle {
        /// Groups.
        groups: usize,
    },
    /// The same numbers as a vector in C, H, W order; nothing to do where the layout in memory is
    /// that already.
    Flatten,
    /// A map of patches `[C, H, W]` made tokens `[1 + H · W, C]`: the class token ahead, to each
    /// patch the embedding of its position added.
    Tokens {
        /// The class token with its position, `[C]`.
        class: Arc<[f32]>,
        /// The positions of this very grid, `[H · W, C]`.
        positions: Arc<[f32]>,
    },
    /// Self-attention of tokens `[T, 3 · D]`: [`crate::graph::Op::Attention`].
    Attention {
        /// Heads.
        heads: usize,
    },
    /// The first token.
    ClassToken,
    /// All tokens but the first as a map: [`crate::graph::Op::PatchMap`].
    PatchMap,
}

impl Layer {
    /// Whether it belongs to a transformer.
    pub fn is_of_tokens(&self) -> bool {
        matches!(self, Layer::Tokens { .. } | Layer::Attention { .. } | Layer::ClassToken | Layer::PatchMap)
    }
}

impl Plan {
    /// Shape of the input, `[C, H, W]`.
    pub fn input_shape(&self) -> &Shape {
        &self.shapes[0]
    }

    /// Shapes of the taps, in the order asked for.
    pub fn tap_shapes(&self) -> Vec<Shape> {
        self.taps.iter().map(|&v| self.shapes[v].clone()).collect()
    }

    /// For each value the index of the last step that reads it, `None` for a value that no step
    /// reads. Taps are read after all steps.
    pub fn last_reads(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.shapes.len()];
        for (i, step) in self.steps.iter().enumerate() {
            step.inputs.iter().for_each(|&v| last[v] = Some(i));
        }
        last
    }
}
