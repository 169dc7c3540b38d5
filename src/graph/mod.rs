//! A backbone as data: a graph of ops that carries torchvision's parameter names, batch norm
//! unfolded.
//!
//! Shapes are those of one image: `[C, H, W]` for maps, `[D]` for vectors, `[T, D]` for the tokens
//! of a transformer; the batch dimension is implied. Operations by channel work on the first extent
//! of maps and vectors, and on the last one of tokens.

mod canonical;
mod positions;
mod shape;
mod split;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result, nearest, steps};

pub(crate) use positions::bicubic;
pub(crate) use shape::{channels, resolve_padding};
pub(crate) use split::ClassifierLayer;

/// Shape of one image's value at a node: `[C, H, W]`, `[D]` or `[T, D]`.
pub(crate) type Shape = Vec<usize>;

/// Index of a node in its graph; inputs always come before their users.
pub(crate) type NodeId = usize;

/// Pointwise activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x · σ(x), also called swish
    Silu,
    /// x · relu6(x + 3) / 6
    HardSwish,
    /// relu6(x + 3) / 6
    HardSigmoid,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// x · Φ(x), the exact (erf) form
    Gelu,
    /// x · σ(1.702 x), CLIP's approximation of it
    QuickGelu,
}

/// Padding of a window op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// Rows above, rows below, columns left, columns right.
    Explicit([usize; 4]),
    /// TensorFlow's SAME: output = ceil(input / stride), the odd row or column below and right.
    Same,
}

impl Padding {
    /// The same padding on all four sides.
    pub const fn all(p: usize) -> Padding {
        Padding::Explicit([p; 4])
    }
}

/// A 2-D convolution; weight `{name}.weight` is `[out, in / groups, kh, kw]`, bias `{name}.bias` is
/// `[out]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Padding (zeros).
    pub padding: Padding,
    /// Number of groups; `input` for a depthwise convolution.
    pub groups: usize,
    /// Whether there is a bias parameter.
    pub bias: bool,
}

/// A pooling window. Padding never counts as a maximum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Padding.
    pub padding: Padding,
    /// Output size rounded up instead of down (PyTorch's `ceil_mode`).
    pub ceil: bool,
    /// For averages: whether padding counts in the divisor (PyTorch's `count_include_pad`).
    pub count_padding: bool,
}

/// Patches made tokens: the class token ahead, to each the embedding of its position added; `[C, H,
/// W]` → `[1 + H · W, C]`.
///
/// Parameters as DINOv2 and timm name them: `cls_token`, `[1, 1, C]`, and `pos_embed`, `[1, 1 +
/// grid², C]`, the class token's first. On another grid than the weights' own, positions are
/// interpolated by [`bicubic`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// Width of a token.
    pub channels: usize,
    /// Side of a patch in pixels: sides of the image must be multiples of it.
    pub patch: usize,
    /// Rows and columns of the grid that the positions were trained on.
    pub grid: usize,
    /// Added to the rows and columns wanted where the scale of interpolation is computed: 0.1 in
    /// DINOv2, else 0.
    pub offset: f64,
}

impl Tokens {
    /// `[to, grid]` matrix that interpolates one axis of the positions' grid; `None` where nothing
    /// changes.
    pub fn interpolation(&self, rows: usize, columns: usize) -> Option<[Vec<f64>; 2]> {
        let axis = |to: usize| bicubic(self.grid, to, self.grid as f64 / (to as f64 + self.offset));
        ([rows, columns] != [self.grid; 2]).then(|| [axis(rows), axis(columns)])
    }
}

/// One operation. Parameter names hang under the node's name.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The input tensor.
    Input {
        /// Channels of the image: 3.
        channels: usize,
    },
    /// Convolution.
    Conv(Conv),
    /// Batch norm at inference: `weight`, `bias`, `running_mean`, `running_var`, each `[channels]`.
    BatchNorm {
        /// Channels.
        channels: usize,
        /// Added to the variance.
        eps: f64,
    },
    /// Layer norm over the channels of each pixel (or of the vector): `weight`, `bias`.
    LayerNorm {
        /// Channels.
        channels: usize,
        /// Added to the variance.
        eps: f64,
    },
    /// Fixed per-channel affine map `x · scale + shift` (an input transform), or a learned scale
    /// (`layer_scale`).
    Affine {
        /// Scale of each channel.
        scale: Vec<f32>,
        /// Shift of each channel.
        shift: Vec<f32>,
    },
    /// Learned scale of each channel, the parameter being the node's name itself: `[C, 1, 1]`
    /// (ConvNeXt's `layer_scale`), `[C]` where it scales tokens (DINOv2's `ls1.gamma`).
    LayerScale {
        /// Channels.
        channels: usize,
        /// Whether it scales tokens.
        tokens: bool,
    },
    /// Pointwise activation.
    Act(Act),
    /// Sum of two values of the same shape.
    Add,
    /// Product of a map `[C, H, W]` and a gate `[C, 1, 1]` (squeeze-excite).
    Mul,
    /// Concatenation along channels.
    Concat,
    /// Channels `start .. start + len`.
    Slice {
        /// First channel.
        start: usize,
        /// Number of channels.
        len: usize,
    },
    /// ShuffleNet's channel shuffle.
    Shuffle {
        /// Groups.
        groups: usize,
    },
    /// Maximum over windows.
    MaxPool(Pool),
    /// Mean over windows.
    AvgPool(Pool),
    /// PyTorch's adaptive average pooling to a fixed size; `[1, 1]` keeps `[C, 1, 1]`.
    AdaptiveAvgPool([usize; 2]),
    /// `[C, H, W]` → `[C · H · W]`, in that order.
    Flatten,
    /// Fully connected, on a vector, each token or the channels of each pixel: weight `[output,
    /// input]`, bias `[output]`.
    Linear {
        /// Input features.
        input: usize,
        /// Output features.
        output: usize,
        /// Whether there is a bias parameter.
        bias: bool,
    },
    /// A map of patches made tokens.
    Tokens(Tokens),
    /// Self-attention of tokens that hold query, key and value one behind the other, each `heads`
    /// times: softmax(q · kᵀ / √d) · v; `[T, 3 · D]` → `[T, D]`.
    Attention {
        /// Heads.
        heads: usize,
    },
    /// The first token: `[T, D]` → `[D]`.
    ClassToken,
    /// All tokens but the first, where their patches were: `[1 + H · W, D]` and a map `[…, H, W]` →
    /// `[D, H, W]`.
    PatchMap,
}

/// One node of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Module path in torchvision's words (`layer1.0.conv1`); parameters are `{name}.weight`, ….
    pub name: String,
    /// Its operation.
    pub op: Op,
    /// Values it reads.
    pub inputs: Vec<NodeId>,
}

/// A parameter that a graph needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Full name, `layer1.0.conv1.weight`.
    pub name: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
}

/// A network: nodes in order of computation, and the points where features can be taken.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    taps: Vec<(String, NodeId)>,
}

impl Graph {
    /// An empty graph with its input node.
    pub fn new(channels: usize) -> (Graph, NodeId) {
        let mut graph = Graph::default();
        let input = graph.add("input", Op::Input { channels }, &[]);
        (graph, input)
    }

    /// Appends a node and returns its id.
    ///
    /// # Panics
    /// If an input does not come before it: a mistake in a backbone's file, not in anybody's data.
    pub fn add(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> NodeId {
        let id = self.nodes.len();
        assert!(inputs.iter().all(|&i| i < id), "a node reads only earlier nodes");
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec() });
        id
    }

    /// Names a value as a tap. The last naming of a name wins.
    pub fn tap(&mut self, name: impl Into<String>, node: NodeId) {
        let name = name.into();
        self.taps.retain(|(n, _)| *n != name);
        self.taps.push((name, node));
    }

    /// All nodes, inputs before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Taps in the order in which they were named.
    pub fn taps(&self) -> &[(String, NodeId)] {
        &self.taps
    }

    /// The node behind a tap; any other node's module path is one too.
    ///
    /// # Errors
    /// An unknown tap: names the nearest one that exists.
    pub fn find_tap(&self, name: &str) -> Result<NodeId> {
        let tap = self.taps.iter().find(|(n, _)| n == name).map(|(_, id)| *id);
        tap.or_else(|| self.nodes.iter().position(|node| node.name == name)).ok_or_else(|| {
            let known = self.taps.iter().map(|(n, _)| n.as_str());
            let list = format!("{} names all taps", steps::DESCRIPTION_OF_BACKBONE);
            let hint = nearest(name, known).map_or(list.clone(), |near| format!("did you mean `{near}`? {list}"));
            Error::setting(format!("no tap `{name}` in this backbone"), hint)
        })
    }

    /// Lower-case hex SHA-256 of [`Graph::canonical`]: two graphs of the same digest compute the
    /// same.
    pub fn digest(&self) -> String {
        Sha256::digest(self.canonical()).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Whether it is a transformer: the native engine computes convolutional networks only.
    pub fn has_tokens(&self) -> bool {
        self.any(|op| matches!(op, Op::Tokens(_) | Op::Attention { .. } | Op::ClassToken | Op::PatchMap))
    }

    /// Whether maps in bf16 lose too much on a CPU: where there are depthwise convolutions
    /// (MobileNet V2's features would be 4e-2 off, EfficientNet-B0's 0.4; such networks gain least
    /// by faster products), and where maps are joined (heads on SqueezeNet's trained features
    /// classified 2 photos of 600 differently). A property of the whole network: the choice of taps
    /// changes no number.
    pub fn is_delicate(&self) -> bool {
        self.any(is_depthwise) || self.any(|op| matches!(op, Op::Concat))
    }

    /// Whether they lose too much on any device: where depthwise convolutions magnify rounding and
    /// no layer norms even it out, as ConvNeXt's do.
    pub fn magnifies_rounding(&self) -> bool {
        self.any(is_depthwise) && !self.any(|op| matches!(op, Op::LayerNorm { .. }))
    }

    fn any(&self, is: impl Fn(&Op) -> bool) -> bool {
        self.nodes.iter().any(|node| is(&node.op))
    }

    /// Parameters in the order of the nodes.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.nodes.iter().flat_map(Node::parameters).collect()
    }
}

fn is_depthwise(op: &Op) -> bool {
    matches!(op, Op::Conv(conv) if conv.groups > 1 && conv.groups == conv.input)
}

impl Node {
    /// Parameters of this node.
    pub fn parameters(&self) -> Vec<Parameter> {
        let under = |field: &str, shape: &[usize]| Parameter { name: format!("{}.{field}", self.name), shape: shape.to_vec() };
        match &self.op {
            Op::Conv(c) => {
                let mut all = vec![under("weight", &[c.output, c.input / c.groups, c.kernel[0], c.kernel[1]])];
                all.extend(c.bias.then(|| under("bias", &[c.output])));
                all
            }
            Op::BatchNorm { channels, .. } => {
                ["weight", "bias", "running_mean", "running_var"].iter().map(|f| under(f, &[*channels])).collect()
            }
            Op::LayerNorm { channels, .. } => vec![under("weight", &[*channels]), under("bias", &[*channels])],
            Op::LayerScale { channels, tokens } => {
                let shape = if *tokens { vec![*channels] } else { vec![*channels, 1, 1] };
                vec![Parameter { name: self.name.clone(), shape }]
            }
            Op::Linear { input, output, bias } => {
                let mut all = vec![under("weight", &[*output, *input])];
                all.extend(bias.then(|| under("bias", &[*output])));
                all
            }
            Op::Tokens(t) => {
                let tokens = |name: &str, count: usize| Parameter { name: name.into(), shape: vec![1, count, t.channels] };
                vec![tokens("cls_token", 1), tokens("pos_embed", 1 + t.grid * t.grid)]
            }
            _ => vec![],
        }
    }
}
