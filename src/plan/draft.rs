//! From nodes to steps: one pass in order, in which a node either opens a step or joins the one
//! that made its input.

use super::layer::{ConvShape, Layer, Plan, Step, ValueId};
use crate::Result;
use crate::graph::{Act, Graph, Node, NodeId, Op, Padding, Pool, Shape, Tokens, channels, resolve_padding};
use crate::weights::{TensorSource, read_shaped};

/// `x · scale + shift` by channel, in f64 until the very end.
struct ChannelMap {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl ChannelMap {
    /// `then` after `self`.
    fn followed_by(&mut self, then: &ChannelMap) {
        for (i, (s, t)) in then.scale.iter().zip(&then.shift).enumerate() {
            self.scale[i] *= s;
            self.shift[i] = self.shift[i] * s + t;
        }
    }
}

/// Weights on their way to a convolution or a linear layer: outputs × inputs per group × window.
struct Product {
    /// `None` for a linear layer on a vector.
    conv: Option<ConvShape>,
    weight: Vec<f32>,
    outputs: usize,
    inputs_per_group: usize,
    groups: usize,
    /// Applied to each output channel: bias, batch norm, layer scale.
    after: ChannelMap,
    /// Applied to each input channel, where no padding lies between.
    before: Option<ChannelMap>,
}

enum Core {
    Product(Product),
    Map(ChannelMap),
    Add,
    /// A layer that absorbs no other node.
    Plain(Layer),
}

struct Draft {
    name: String,
    core: Core,
    residual: bool,
    act: Option<Act>,
    inputs: Vec<NodeId>,
    /// The last node that joined: its value is the step's.
    end: NodeId,
}

impl Draft {
    fn open(&self) -> bool {
        self.act.is_none() && !self.residual
    }
}

struct Drafts<'a> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    weights: &'a dyn TensorSource,
    /// Number of nodes and taps that read each node's value.
    readers: Vec<usize>,
    /// The node whose value a node's is, other than itself only for ops that change nothing.
    same_as: Vec<NodeId>,
    /// Draft that makes each node's value.
    by_node: Vec<Option<usize>>,
    drafts: Vec<Draft>,
    is_delicate: bool,
}

impl Plan {
    /// Plans `graph` for one input shape and a list of taps, reading only the tensors that these
    /// need.
    ///
    /// # Errors
    /// An unknown tap, an input shape that does not fit, a missing or misshapen tensor.
    pub fn new(graph: &Graph, weights: &dyn TensorSource, taps: &[String], input: [usize; 3]) -> Result<Plan> {
        let is_delicate = graph.is_delicate();
        let graph = graph.prune(taps)?;
        let shapes = graph.shapes(input)?;
        plan(&graph, &shapes, weights, is_delicate)
    }
}

/// Plans a pruned graph.
fn plan(graph: &Graph, shapes: &[Shape], weights: &dyn TensorSource, is_delicate: bool) -> Result<Plan> {
    let count = graph.nodes().len();
    let mut readers = vec![0; count];
    graph.nodes().iter().flat_map(|n| &n.inputs).chain(graph.taps().iter().map(|(_, id)| id)).for_each(|&id| readers[id] += 1);
    let mut all =
        Drafts { graph, shapes, weights, readers, same_as: (0..count).collect(), by_node: vec![None; count], drafts: vec![], is_delicate };
    for id in 0..count {
        all.take(id)?;
    }
    Ok(all.finish())
}

impl Drafts<'_> {
    fn take(&mut self, id: NodeId) -> Result<()> {
        let node = &self.graph.nodes()[id];
        let inputs: Vec<NodeId> = node.inputs.iter().map(|&i| self.same_as[i]).collect();
        if self.changes_nothing(node, id) {
            self.same_as[id] = inputs[0];
            // The value now has this node's readers in place of this node.
            self.readers[inputs[0]] += self.readers[id] - 1;
            return Ok(());
        }
        let joined = match &node.op {
            Op::Input { .. } => return Ok(()),
            Op::BatchNorm { .. } | Op::LayerScale { .. } | Op::Affine { .. } => {
                let map = channel_map(node, self.weights)?;
                match self.sole_reader_of(inputs[0]) {
                    Some(d) if self.drafts[d].takes_channel_map(&map) => d,
                    _ => self.open(node, Core::Map(map), inputs),
                }
            }
            Op::Act(act) => match self.sole_reader_of(inputs[0]) {
                Some(d) if self.drafts[d].takes_act(*act) => d,
                _ => self.open(node, Core::Plain(Layer::Act(*act)), inputs),
            },
            Op::Add => self.add(node, inputs),
            Op::Conv(_) | Op::Linear { .. } => self.product(node, id, inputs)?,
            _ => {
                let layer = self.plain_layer(node, id)?;
                self.open(node, Core::Plain(layer), inputs)
            }
        };
        self.drafts[joined].end = id;
        self.by_node[id] = Some(joined);
        Ok(())
    }

    fn changes_nothing(&self, node: &Node, id: NodeId) -> bool {
        let same_shape = node.inputs.first().is_some_and(|&i| self.shapes[i] == self.shapes[id]);
        match &node.op {
            Op::AdaptiveAvgPool(_) | Op::Flatten | Op::Slice { .. } => same_shape,
            Op::Concat => node.inputs.len() == 1,
            Op::Shuffle { groups } => *groups == 1,
            _ => false,
        }
    }

    fn open(&mut self, node: &Node, core: Core, inputs: Vec<NodeId>) -> usize {
        self.drafts.push(Draft { name: node.name.clone(), core, residual: false, act: None, inputs, end: 0 });
        self.drafts.len() - 1
    }

    /// The draft that makes `node`'s value, if the current node alone reads it.
    fn sole_reader_of(&self, node: NodeId) -> Option<usize> {
        self.by_node[node].filter(|_| self.readers[node] == 1)
    }

    /// The sum joins the later of two products: the other one is complete by then. Steps are
    /// ordered by their last node in the end.
    fn add(&mut self, node: &Node, inputs: Vec<NodeId>) -> usize {
        let mut order = [(inputs[0], inputs[1]), (inputs[1], inputs[0])];
        order.sort_by_key(|&(product, _)| std::cmp::Reverse(product));
        for (product, other) in order {
            if let Some(d) = self.sole_reader_of(product)
                && matches!(self.drafts[d].core, Core::Product(_))
                && self.drafts[d].open()
            {
                self.drafts[d].residual = true;
                self.drafts[d].inputs.push(other);
                return d;
            }
        }
        self.open(node, Core::Add, inputs)
    }

    fn product(&mut self, node: &Node, id: NodeId, mut inputs: Vec<NodeId>) -> Result<usize> {
        let mut product = self.read_product(node, id)?;
        let unpadded = product.conv.is_none_or(|c| c.padding == [0; 4]);
        if let Some(d) = self.sole_reader_of(inputs[0]).filter(|&d| unpadded && self.drafts[d].open())
            && let Core::Map(map) = &mut self.drafts[d].core
        {
            product.before = Some(ChannelMap { scale: std::mem::take(&mut map.scale), shift: std::mem::take(&mut map.shift) });
            inputs.clone_from(&self.drafts[d].inputs);
            let draft = &mut self.drafts[d];
            (draft.core, draft.inputs) = (Core::Product(product), inputs);
            return Ok(d);
        }
        Ok(self.open(node, Core::Product(product), inputs))
    }

    fn read_product(&self, node: &Node, id: NodeId) -> Result<Product> {
        let mut params = node.parameters().into_iter();
        let mut next = || params.next().map(|p| read_shaped(self.weights, &p.name, &p.shape)).transpose();
        let weight = next()?.map(|t| t.data).unwrap_or_default();
        let bias = next()?.map(|t| t.data);
        let map = &self.shapes[node.inputs[0]];
        let conv = match &node.op {
            Op::Conv(c) => {
                let padding = resolve_padding(c.padding, [map[1], map[2]], c.kernel, c.stride);
                Some(ConvShape { input: c.input, output: c.output, kernel: c.kernel, stride: c.stride, padding, groups: c.groups })
            }
            // A linear layer on the channels of each pixel is a 1×1 convolution.
            Op::Linear { input, output, .. } if map.len() == 3 => {
                Some(ConvShape { input: *input, output: *output, kernel: [1, 1], stride: [1, 1], padding: [0; 4], groups: 1 })
            }
            _ => None,
        };
        let outputs = channels(&self.shapes[id]);
        let groups = conv.map_or(1, |c| c.groups);
        let shift = bias.map_or(vec![0.0; outputs], |b| b.into_iter().map(f64::from).collect());
        let after = ChannelMap { scale: vec![1.0; outputs], shift };
        Ok(Product { conv, weight, outputs, inputs_per_group: channels(map) / groups, groups, after, before: None })
    }

    fn plain_layer(&self, node: &Node, id: NodeId) -> Result<Layer> {
        let pool = |pool: &Pool| {
            let map = &self.shapes[node.inputs[0]];
            let padding = resolve_padding(pool.padding, [map[1], map[2]], pool.kernel, pool.stride);
            Pool { padding: Padding::Explicit(padding), ..pool.clone() }
        };
        Ok(match &node.op {
            Op::LayerNorm { eps, .. } => {
                let params = node.parameters();
                let read = |i: usize| read_shaped(self.weights, &params[i].name, &params[i].shape);
                Layer::LayerNorm { weight: read(0)?.data.into(), bias: read(1)?.data.into(), eps: *eps }
            }
            Op::Mul => Layer::Mul,
            Op::Concat => Layer::Concat,
            Op::Slice { start, len } => Layer::Slice { start: *start, len: *len },
            Op::Shuffle { groups } => Layer::Shuffle { groups: *groups },
            Op::MaxPool(p) => Layer::MaxPool(pool(p)),
            Op::AvgPool(p) => Layer::AvgPool(pool(p)),
            Op::AdaptiveAvgPool([1, 1]) => Layer::GlobalAvgPool,
            Op::AdaptiveAvgPool(to) => Layer::AdaptiveAvgPool(*to),
            Op::Flatten => Layer::Flatten,
            Op::Tokens(tokens) => self.tokens(node, tokens, id)?,
            Op::Attention { heads } => Layer::Attention { heads: *heads },
            Op::ClassToken => Layer::ClassToken,
            Op::PatchMap => Layer::PatchMap,
            Op::Input { .. }
            | Op::Conv(_)
            | Op::Linear { .. }
            | Op::BatchNorm { .. }
            | Op::LayerScale { .. }
            | Op::Affine { .. }
            | Op::Act(_)
            | Op::Add => unreachable!("node {id} `{}` is not a plain layer", node.name),
        })
    }

    /// The class token and the positions of this grid, interpolated in f64.
    fn tokens(&self, node: &Node, tokens: &Tokens, id: NodeId) -> Result<Layer> {
        let params = node.parameters();
        let read = |i: usize| -> Result<Vec<f32>> { Ok(read_shaped(self.weights, &params[i].name, &params[i].shape)?.data) };
        let (class, positions) = (read(0)?, read(1)?);
        let (first, patches) = positions.split_at(tokens.channels);
        let class = class.iter().zip(first).map(|(c, p)| c + p).collect();
        let map = &self.shapes[self.graph.nodes()[id].inputs[0]];
        let positions = match tokens.interpolation(map[1], map[2]) {
            None => patches.into(),
            Some(matrices) => resample(patches, tokens, &matrices),
        };
        Ok(Layer::Tokens { class, positions })
    }

    fn finish(mut self) -> Plan {
        self.drafts.sort_by_key(|d| d.end);
        let mut value: Vec<ValueId> = vec![0; self.graph.nodes().len()];
        let mut shapes = vec![self.shapes[0].clone()];
        let mut steps = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            let output = shapes.len();
            shapes.push(self.shapes[draft.end].clone());
            value[draft.end] = output;
            let inputs = draft.inputs.iter().map(|&i| value[i]).collect();
            steps.push(Step { name: draft.name, layer: layer(draft.core, draft.residual, draft.act), inputs, output });
        }
        let taps = self.graph.taps().iter().map(|&(_, id)| value[self.same_as[id]]).collect();
        Plan { steps, shapes, taps, is_delicate: self.is_delicate }
    }
}

impl Draft {
    fn takes_channel_map(&mut self, map: &ChannelMap) -> bool {
        let open = self.open();
        match &mut self.core {
            Core::Product(Product { after, .. }) | Core::Map(after) if open => after.followed_by(map),
            _ => return false,
        }
        true
    }

    fn takes_act(&mut self, act: Act) -> bool {
        let takes = self.act.is_none() && !matches!(self.core, Core::Plain(_));
        if takes {
            self.act = Some(act);
        }
        takes
    }
}

/// A node's per-channel map.
fn channel_map(node: &Node, weights: &dyn TensorSource) -> Result<ChannelMap> {
    let read = |i: usize| -> Result<Vec<f64>> {
        let p = &node.parameters()[i];
        Ok(read_shaped(weights, &p.name, &p.shape)?.data.into_iter().map(f64::from).collect())
    };
    Ok(match &node.op {
        Op::BatchNorm { eps, .. } => {
            let (weight, bias, mean, var) = (read(0)?, read(1)?, read(2)?, read(3)?);
            let scale: Vec<f64> = weight.iter().zip(&var).map(|(w, v)| w / (v + eps).sqrt()).collect();
            let shift = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
            ChannelMap { scale, shift }
        }
        Op::LayerScale { channels, .. } => ChannelMap { scale: read(0)?, shift: vec![0.0; *channels] },
        Op::Affine { scale, shift } => {
            let wide = |v: &[f32]| v.iter().copied().map(f64::from).collect();
            ChannelMap { scale: wide(scale), shift: wide(shift) }
        }
        other => unreachable!("{other:?} is not a per-channel map"),
    })
}

/// A grid of vectors `[grid, grid, C]` by a matrix for its rows and one for its columns.
fn resample(grid: &[f32], tokens: &Tokens, [rows, columns]: &[Vec<f64>; 2]) -> std::sync::Arc<[f32]> {
    let (side, width) = (tokens.grid, tokens.channels);
    let mut result = Vec::with_capacity(rows.len() / side * (columns.len() / side) * width);
    let mut cell = vec![0f64; width];
    for (row, column) in rows.chunks_exact(side).flat_map(|r| columns.chunks_exact(side).map(move |c| (r, c))) {
        cell.fill(0.0);
        for (place, vector) in grid.chunks_exact(width).enumerate() {
            let weight = row[place / side] * column[place % side];
            if weight != 0.0 {
                cell.iter_mut().zip(vector).for_each(|(sum, &v)| *sum += weight * f64::from(v));
            }
        }
        result.extend(cell.iter().map(|&v| v as f32));
    }
    result.into()
}

fn layer(core: Core, residual: bool, act: Option<Act>) -> Layer {
    match core {
        Core::Product(product) => product.layer(residual, act),
        Core::Map(map) => Layer::Affine { scale: narrow(&map.scale), shift: narrow(&map.shift), act },
        Core::Add => Layer::Add { act },
        Core::Plain(layer) => layer,
    }
}

impl Product {
    fn layer(mut self, residual: bool, act: Option<Act>) -> Layer {
        let row = self.weight.len() / self.outputs.max(1);
        let window = row / self.inputs_per_group.max(1);
        for (o, weights) in self.weight.chunks_exact_mut(row.max(1)).enumerate() {
            let mut from_shift = 0.0;
            for (i, cell) in weights.chunks_exact_mut(window.max(1)).enumerate() {
                let channel = o / (self.outputs / self.groups) * self.inputs_per_group + i;
                let (scale, shift) = self.before.as_ref().map_or((1.0, 0.0), |b| (b.scale[channel], b.shift[channel]));
                for w in cell {
                    from_shift += f64::from(*w) * shift;
                    *w = (f64::from(*w) * scale * self.after.scale[o]) as f32;
                }
            }
            self.after.shift[o] += from_shift * self.after.scale[o];
        }
        let (weight, bias) = (self.weight.into(), narrow(&self.after.shift));
        match self.conv {
            Some(conv) => Layer::Conv { conv, weight, bias, residual, act },
            None => Layer::Linear { input: self.inputs_per_group, output: self.outputs, weight, bias, residual, act },
        }
    }
}

fn narrow(values: &[f64]) -> std::sync::Arc<[f32]> {
    values.iter().map(|&v| v as f32).collect()
}
