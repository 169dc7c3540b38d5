//! Words in which the families are written down: a thin layer over [`Graph`] that keeps channel
//! counts.

use super::options::BuildOptions;
use crate::graph::{Act, Conv, Graph, NodeId, Op, Padding, Pool, Tokens};

/// A value inside a network under construction.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub id: NodeId,
    /// Channels of a map, or length of a vector.
    pub channels: usize,
}

/// A convolution's window: stride 1, no padding, one group, no bias unless said.
#[derive(Clone, Copy)]
pub(super) struct Window {
    kernel: [usize; 2],
    stride: usize,
    padding: Padding,
    groups: usize,
    bias: bool,
}

impl Window {
    pub(super) const fn square(side: usize) -> Window {
        Window::rect(side, side)
    }

    pub(super) const fn rect(height: usize, width: usize) -> Window {
        Window { kernel: [height, width], stride: 1, padding: Padding::all(0), groups: 1, bias: false }
    }

    pub(super) const fn stride(self, stride: usize) -> Window {
        Window { stride, ..self }
    }

    /// Half the kernel on each side, as PyTorch's networks pad.
    pub(super) const fn centred(self) -> Window {
        let [v, h] = [self.kernel[0] / 2, self.kernel[1] / 2];
        self.pads([v, v, h, h])
    }

    /// Rows above, below, columns left, right.
    pub(super) const fn pads(self, sides: [usize; 4]) -> Window {
        Window { padding: Padding::Explicit(sides), ..self }
    }

    /// TensorFlow's SAME.
    pub(super) const fn same(self) -> Window {
        Window { padding: Padding::Same, ..self }
    }

    pub(super) const fn groups(self, groups: usize) -> Window {
        Window { groups, ..self }
    }

    pub(super) const fn bias(self) -> Window {
        Window { bias: true, ..self }
    }

    pub(super) const fn keeps_size(self) -> bool {
        self.stride == 1
    }

    const fn pool(self, ceil: bool, count_padding: bool) -> Pool {
        Pool { kernel: self.kernel, stride: [self.stride; 2], padding: self.padding, ceil, count_padding }
    }
}

/// Keras's name of the layer of this number among those of its class that were given none.
pub(super) fn numbered(class: &str, number: usize) -> String {
    if number == 0 { class.into() } else { format!("{class}_{number}") }
}

/// A network under construction.
pub(super) struct Net {
    graph: Graph,
    /// Of every norm.
    eps: f64,
}

impl Net {
    /// An empty network whose norms add `eps` to the variance, and its RGB input.
    pub(super) fn new(eps: f64) -> (Net, Value) {
        let (graph, id) = Graph::new(3);
        (Net { graph, eps }, Value { id, channels: 3 })
    }

    pub(super) fn finish(self) -> Graph {
        self.graph
    }

    /// Names a value as a tap.
    pub(super) fn tap(&mut self, name: impl Into<String>, value: Value) {
        self.graph.tap(name, value.id);
    }

    fn node(&mut self, name: impl Into<String>, op: Op, inputs: &[Value], channels: usize) -> Value {
        let inputs: Vec<NodeId> = inputs.iter().map(|v| v.id).collect();
        Value { id: self.graph.add(name, op, &inputs), channels }
    }

    pub(super) fn conv(&mut self, name: impl Into<String>, x: Value, output: usize, window: Window) -> Value {
        let Window { kernel, stride, padding, groups, bias } = window;
        let conv = Conv { input: x.channels, output, kernel, stride: [stride; 2], padding, groups, bias };
        self.node(name, Op::Conv(conv), &[x], output)
    }

    pub(super) fn norm(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.node(name, Op::BatchNorm { channels: x.channels, eps: self.eps }, &[x], x.channels)
    }

    pub(super) fn layer_norm(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.node(name, Op::LayerNorm { channels: x.channels, eps: self.eps }, &[x], x.channels)
    }

    pub(super) fn layer_scale(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.node(name, Op::LayerScale { channels: x.channels, tokens: false }, &[x], x.channels)
    }

    pub(super) fn act(&mut self, name: impl Into<String>, x: Value, act: Act) -> Value {
        self.node(name, Op::Act(act), &[x], x.channels)
    }

    pub(super) fn relu(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.act(name, x, Act::Relu)
    }

    pub(super) fn add(&mut self, name: impl Into<String>, a: Value, b: Value) -> Value {
        self.node(name, Op::Add, &[a, b], a.channels)
    }

    pub(super) fn concat(&mut self, name: impl Into<String>, parts: &[Value]) -> Value {
        self.node(name, Op::Concat, parts, parts.iter().map(|p| p.channels).sum())
    }

    pub(super) fn slice(&mut self, name: impl Into<String>, x: Value, start: usize, len: usize) -> Value {
        self.node(name, Op::Slice { start, len }, &[x], len)
    }

    pub(super) fn shuffle(&mut self, name: impl Into<String>, x: Value, groups: usize) -> Value {
        self.node(name, Op::Shuffle { groups }, &[x], x.channels)
    }

    pub(super) fn max_pool(&mut self, name: impl Into<String>, x: Value, window: Window, ceil: bool) -> Value {
        self.node(name, Op::MaxPool(window.pool(ceil, true)), &[x], x.channels)
    }

    /// Means over windows; torchvision's networks count the padding, Keras's do not.
    pub(super) fn avg_pool(&mut self, name: impl Into<String>, x: Value, window: Window, count_padding: bool) -> Value {
        self.node(name, Op::AvgPool(window.pool(false, count_padding)), &[x], x.channels)
    }

    /// The mean over all of a map, `[C, 1, 1]`.
    pub(super) fn global_pool(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.node(name, Op::AdaptiveAvgPool([1, 1]), &[x], x.channels)
    }

    /// The map as a vector of known length: `cells` is height times width.
    pub(super) fn flatten(&mut self, name: impl Into<String>, x: Value, cells: usize) -> Value {
        self.node(name, Op::Flatten, &[x], x.channels * cells)
    }

    pub(super) fn linear(&mut self, name: impl Into<String>, x: Value, output: usize) -> Value {
        self.node(name, Op::Linear { input: x.channels, output, bias: true }, &[x], output)
    }

    /// A linear layer without a bias.
    pub(super) fn project(&mut self, name: impl Into<String>, x: Value, output: usize) -> Value {
        self.node(name, Op::Linear { input: x.channels, output, bias: false }, &[x], output)
    }

    /// A map of patches made tokens.
    pub(super) fn tokens(&mut self, name: impl Into<String>, x: Value, tokens: Tokens) -> Value {
        self.node(name, Op::Tokens(tokens), &[x], x.channels)
    }

    /// Attention of tokens that hold query, key and value.
    pub(super) fn attention(&mut self, name: impl Into<String>, x: Value, heads: usize) -> Value {
        self.node(name, Op::Attention { heads }, &[x], x.channels / 3)
    }

    /// A learned scale of each channel of tokens.
    pub(super) fn token_scale(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.node(name, Op::LayerScale { channels: x.channels, tokens: true }, &[x], x.channels)
    }

    /// The first token.
    pub(super) fn class_token(&mut self, name: impl Into<String>, x: Value) -> Value {
        self.node(name, Op::ClassToken, &[x], x.channels)
    }

    /// The tokens of patches where these were on `map`.
    pub(super) fn patch_map(&mut self, name: impl Into<String>, x: Value, map: Value) -> Value {
        self.node(name, Op::PatchMap, &[x, map], x.channels)
    }

    /// torchvision's `Conv2dNormActivation`: modules 0, 1 and 2 under `name`, which is tapped.
    pub(super) fn unit(&mut self, name: &str, x: Value, channels: usize, window: Window, act: Option<Act>) -> Value {
        let x = self.conv(format!("{name}.0"), x, channels, window);
        let mut x = self.norm(format!("{name}.1"), x);
        if let Some(act) = act {
            x = self.act(format!("{name}.2"), x, act);
        }
        self.tap(name, x);
        x
    }

    /// torchvision's `BasicConv2d`: `conv`, `bn` and a ReLU under `name`, which is tapped.
    pub(super) fn basic(&mut self, name: &str, x: Value, channels: usize, window: Window) -> Value {
        let x = self.conv(format!("{name}.conv"), x, channels, window);
        let x = self.norm(format!("{name}.bn"), x);
        let x = self.relu(format!("{name}.relu"), x);
        self.tap(name, x);
        x
    }

    /// torchvision's `SqueezeExcitation`: channels weighed by gates computed from the mean of the
    /// whole map.
    pub(super) fn squeeze_excite(&mut self, name: &str, x: Value, narrow: usize, act: Act, gate: Act) -> Value {
        let y = self.global_pool(format!("{name}.avgpool"), x);
        let y = self.conv(format!("{name}.fc1"), y, narrow, Window::square(1).bias());
        let y = self.act(format!("{name}.activation"), y, act);
        let y = self.conv(format!("{name}.fc2"), y, x.channels, Window::square(1).bias());
        let y = self.act(format!("{name}.scale_activation"), y, gate);
        let x = self.node(format!("{name}.mul"), Op::Mul, &[x, y], x.channels);
        self.tap(name, x);
        x
    }

    /// Where the weights were made for inputs in −1 .. 1 but are fed torchvision's: one range to
    /// the other.
    pub(super) fn input_transform(&mut self, x: Value, options: &BuildOptions) -> Value {
        if !options.input_transform {
            return x;
        }
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let scale = std.map(|s: f64| (s / 0.5) as f32).to_vec();
        let shift = mean.map(|m: f64| ((m - 0.5) / 0.5) as f32).to_vec();
        self.node("transform_input", Op::Affine { scale, shift }, &[x], x.channels)
    }

    /// Taps of a last map: `map`, `flat`, and its global average as a vector, `gap` and `avgpool`,
    /// which is returned.
    pub(super) fn last_map(&mut self, map: Value) -> Value {
        let gap = self.whole_and_mean(map, "gap");
        self.tap("avgpool", gap);
        gap
    }

    /// Taps of a map: `map`, `flat`, and under the name given its global average as a vector, which
    /// is returned.
    pub(super) fn whole_and_mean(&mut self, map: Value, mean: &str) -> Value {
        self.tap("map", map);
        let flat = self.node("flat", Op::Flatten, &[map], map.channels);
        self.tap("flat", flat);
        let pooled = self.global_pool("global_pool", map);
        let vector = self.flatten(mean, pooled, 1);
        self.tap(mean, vector);
        vector
    }

    /// The classifier of AlexNet and VGG: the last map pooled to a fixed size (`avgpool`), two
    /// hidden layers (`fc6`, `fc7`: behind their ReLUs, returned), each given by the names of its
    /// linear layer and its activation.
    pub(super) fn two_hidden_layers(
        &mut self,
        map: Value,
        to: [usize; 2],
        hidden: [(&str, &str); 2],
        last: &str,
        classes: usize,
    ) -> [Value; 2] {
        let pooled = self.node("avgpool_map", Op::AdaptiveAvgPool(to), &[map], map.channels);
        let mut x = self.flatten("avgpool", pooled, to[0] * to[1]);
        self.tap("avgpool", x);
        let features = [("fc6", hidden[0]), ("fc7", hidden[1])].map(|(tap, (linear, relu))| {
            x = self.linear(linear, x, 4096);
            x = self.relu(relu, x);
            self.tap(tap, x);
            x
        });
        self.logits(last, x, classes);
        features
    }

    /// The last linear layer, tapped as `logits`.
    pub(super) fn logits(&mut self, name: impl Into<String>, x: Value, classes: usize) {
        let logits = self.linear(name, x, classes);
        self.tap("logits", logits);
    }
}
