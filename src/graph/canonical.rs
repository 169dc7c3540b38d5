//! The text of a graph that cache keys cover: everything that decides its values, in a form that no
//! compiler or library chooses.
//!
//! The first line is `headstart graph 1`. Every node is a line of its own, in order, ended by `\n`:
//! operation, module path as a JSON string, `[inputs]` as node numbers, then its fields as
//! `name=value`, all apart by one space. Numbers are decimal, lists `a,b`; a floating-point number
//! is its IEEE 754 bits in hexadecimal (16 digits for 64 bits, 8 for 32); truth is `yes` or `no`.
//! Taps are not in it: they change no value.

use std::fmt::Display;

use super::{Act, Conv, Graph, Node, Op, Padding, Pool, Tokens};

const FIRST_LINE: &str = "headstart graph 1\n";

impl Graph {
    /// The text that [`Graph::digest`] digests.
    pub fn canonical(&self) -> String {
        let mut text = String::from(FIRST_LINE);
        self.nodes.iter().for_each(|node| line(node, &mut text));
        text
    }
}

fn line(node: &Node, text: &mut String) {
    let Node { name, op, inputs } = node;
    let (word, fields) = words(op);
    text.push_str(&format!("{word} {} [{}]", serde_json::Value::from(name.as_str()), list(inputs)));
    fields.iter().for_each(|(field, value)| text.push_str(&format!(" {field}={value}")));
    text.push('\n');
}

type Fields = Vec<(&'static str, String)>;

/// An operation's word and fields. No pattern has `..`: a field that is added has to be decided on
/// here.
fn words(op: &Op) -> (&'static str, Fields) {
    match op {
        Op::Input { channels } => ("input", vec![("channels", channels.to_string())]),
        Op::Conv(conv) => ("conv", convolution(conv)),
        Op::BatchNorm { channels, eps } => ("batch_norm", vec![("channels", channels.to_string()), ("eps", double(*eps))]),
        Op::LayerNorm { channels, eps } => ("layer_norm", vec![("channels", channels.to_string()), ("eps", double(*eps))]),
        Op::Affine { scale, shift } => ("affine", vec![("scale", singles(scale)), ("shift", singles(shift))]),
        Op::LayerScale { channels, tokens } => ("layer_scale", vec![("channels", channels.to_string()), ("tokens", truth(*tokens))]),
        Op::Act(act) => (activation(*act), vec![]),
        Op::Add => ("add", vec![]),
        Op::Mul => ("mul", vec![]),
        Op::Concat => ("concat", vec![]),
        Op::Slice { start, len } => ("slice", vec![("start", start.to_string()), ("len", len.to_string())]),
        Op::Shuffle { groups } => ("shuffle", vec![("groups", groups.to_string())]),
        Op::MaxPool(pool) => ("max_pool", pooling(pool)),
        Op::AvgPool(pool) => ("avg_pool", pooling(pool)),
        Op::AdaptiveAvgPool(size) => ("adaptive_avg_pool", vec![("size", list(size))]),
        Op::Flatten => ("flatten", vec![]),
        Op::Linear { input, output, bias } => {
            ("linear", vec![("input", input.to_string()), ("output", output.to_string()), ("bias", truth(*bias))])
        }
        Op::Tokens(tokens) => ("tokens", patches(tokens)),
        Op::Attention { heads } => ("attention", vec![("heads", heads.to_string())]),
        Op::ClassToken => ("class_token", vec![]),
        Op::PatchMap => ("patch_map", vec![]),
    }
}

const fn activation(act: Act) -> &'static str {
    match act {
        Act::Relu => "relu",
        Act::Relu6 => "relu6",
        Act::Silu => "silu",
        Act::HardSwish => "hard_swish",
        Act::HardSigmoid => "hard_sigmoid",
        Act::Sigmoid => "sigmoid",
        Act::Gelu => "gelu",
        Act::QuickGelu => "quick_gelu",
    }
}

fn convolution(conv: &Conv) -> Fields {
    let Conv { input, output, kernel, stride, padding, groups, bias } = conv;
    vec![
        ("input", input.to_string()),
        ("output", output.to_string()),
        ("kernel", list(kernel)),
        ("stride", list(stride)),
        ("padding", pads(*padding)),
        ("groups", groups.to_string()),
        ("bias", truth(*bias)),
    ]
}

fn pooling(pool: &Pool) -> Fields {
    let Pool { kernel, stride, padding, ceil, count_padding } = pool;
    vec![
        ("kernel", list(kernel)),
        ("stride", list(stride)),
        ("padding", pads(*padding)),
        ("ceil", truth(*ceil)),
        ("count_padding", truth(*count_padding)),
    ]
}

fn patches(tokens: &Tokens) -> Fields {
    let Tokens { channels, patch, grid, offset } = tokens;
    vec![("channels", channels.to_string()), ("patch", patch.to_string()), ("grid", grid.to_string()), ("offset", double(*offset))]
}

/// `same`, or rows above and below, columns left and right.
fn pads(padding: Padding) -> String {
    match padding {
        Padding::Explicit(sides) => list(&sides),
        Padding::Same => "same".into(),
    }
}

fn truth(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}

fn double(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

fn singles(values: &[f32]) -> String {
    let bits: Vec<String> = values.iter().map(|value| format!("{:08x}", value.to_bits())).collect();
    bits.join(",")
}

fn list(values: &[impl Display]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One node of every kind of operation and every field, in no sensible network.
    fn every_kind() -> Graph {
        let (mut graph, x) = Graph::new(3);
        let conv =
            Conv { input: 3, output: 8, kernel: [3, 5], stride: [2, 1], padding: Padding::Explicit([1, 2, 3, 4]), groups: 1, bias: true };
        let pool = Pool { kernel: [2, 3], stride: [2, 2], padding: Padding::Same, ceil: true, count_padding: false };
        let ops = [
            Op::Conv(conv),
            Op::BatchNorm { channels: 8, eps: 1e-5 },
            Op::LayerNorm { channels: 8, eps: 1e-6 },
            Op::Affine { scale: vec![0.5, 1.0], shift: vec![-0.0, 2.0] },
            Op::LayerScale { channels: 8, tokens: false },
            Op::Act(Act::HardSwish),
            Op::Add,
            Op::Mul,
            Op::Concat,
            Op::Slice { start: 4, len: 2 },
            Op::Shuffle { groups: 2 },
            Op::MaxPool(pool.clone()),
            Op::AvgPool(pool),
            Op::AdaptiveAvgPool([1, 7]),
            Op::Flatten,
            Op::Linear { input: 8, output: 10, bias: false },
            Op::Tokens(Tokens { channels: 8, patch: 14, grid: 37, offset: 0.1 }),
            Op::Attention { heads: 6 },
            Op::ClassToken,
            Op::PatchMap,
        ];
        for (n, op) in ops.into_iter().enumerate() {
            graph.add(format!("node.{n}"), op, &[x, n]);
        }
        graph
    }

    #[test]
    fn every_kind_of_node_is_a_line_with_all_its_fields() {
        let expected = r#"headstart graph 1
input "input" [] channels=3
conv "node.0" [0,0] input=3 output=8 kernel=3,5 stride=2,1 padding=1,2,3,4 groups=1 bias=yes
batch_norm "node.1" [0,1] channels=8 eps=3ee4f8b588e368f1
layer_norm "node.2" [0,2] channels=8 eps=3eb0c6f7a0b5ed8d
affine "node.3" [0,3] scale=3f000000,3f800000 shift=80000000,40000000
layer_scale "node.4" [0,4] channels=8 tokens=no
hard_swish "node.5" [0,5]
add "node.6" [0,6]
mul "node.7" [0,7]
concat "node.8" [0,8]
slice "node.9" [0,9] start=4 len=2
shuffle "node.10" [0,10] groups=2
max_pool "node.11" [0,11] kernel=2,3 stride=2,2 padding=same ceil=yes count_padding=no
avg_pool "node.12" [0,12] kernel=2,3 stride=2,2 padding=same ceil=yes count_padding=no
adaptive_avg_pool "node.13" [0,13] size=1,7
flatten "node.14" [0,14]
linear "node.15" [0,15] input=8 output=10 bias=no
tokens "node.16" [0,16] channels=8 patch=14 grid=37 offset=3fb999999999999a
attention "node.17" [0,17] heads=6
class_token "node.18" [0,18]
patch_map "node.19" [0,19]
"#;
        assert_eq!(every_kind().canonical(), expected);
    }

    #[test]
    fn names_cannot_pass_for_other_nodes() {
        let text = |name: &str| {
            let (mut graph, x) = Graph::new(3);
            graph.add(name, Op::Flatten, &[x]);
            graph.canonical()
        };
        assert!(text("a\"\nadd \"b").ends_with("flatten \"a\\\"\\nadd \\\"b\" [0]\n"));
    }
}
