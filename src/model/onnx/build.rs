//! Putting an ONNX graph together: nodes and initialisers with names of their own.

use std::collections::HashSet;

use super::proto::{Attribute, Dimension, FLOAT, Graph, INT64, Node, Shape, Tensor, TensorType, Type, ValueInfo};

/// An attribute of a node.
pub(super) enum Attr {
    /// A whole number.
    Int(&'static str, i64),
    /// Whole numbers.
    Ints(&'static str, Vec<i64>),
    /// A number.
    Float(&'static str, f32),
}

impl From<Attr> for Attribute {
    fn from(attr: Attr) -> Attribute {
        let named = |name: &str, kind| Attribute { name: Some(name.into()), kind: Some(kind), ..Attribute::default() };
        match attr {
            Attr::Float(name, f) => Attribute { f: Some(f), ..named(name, 1) },
            Attr::Int(name, i) => Attribute { i: Some(i), ..named(name, 2) },
            Attr::Ints(name, ints) => Attribute { ints, ..named(name, 7) },
        }
    }
}

/// A graph in the making.
#[derive(Default)]
pub(super) struct Builder {
    graph: Graph,
    names: HashSet<String>,
}

impl Builder {
    /// A name that nothing else has: the one wished for, or that with a number behind it.
    fn fresh(&mut self, wish: &str) -> String {
        let mut name = wish.to_owned();
        let mut n = 1;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{wish}.{n}");
        }
        name
    }

    /// Adds a node of one output; returns the output's name, `name` where that is free.
    pub(super) fn node(&mut self, name: &str, op: &str, inputs: &[&str], attributes: Vec<Attr>) -> String {
        let output = self.fresh(name);
        self.graph.node.push(Node {
            input: inputs.iter().map(|&i| i.into()).collect(),
            output: vec![output.clone()],
            name: Some(output.clone()),
            op_type: Some(op.into()),
            attribute: attributes.into_iter().map(Into::into).collect(),
        });
        output
    }

    /// Adds an initialiser of floats; no dimensions make a scalar.
    pub(super) fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.tensor(name, dims, FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds an initialiser that is a list of whole numbers.
    pub(super) fn ints(&mut self, name: &str, values: &[i64]) -> String {
        self.tensor(name, &[values.len()], INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn tensor(&mut self, name: &str, dims: &[usize], data_type: i32, bytes: Vec<u8>) -> String {
        let name = self.fresh(name);
        let dims = dims.iter().map(|&d| d as i64).collect();
        self.graph.initializer.push(Tensor { dims, data_type: Some(data_type), name: Some(name.clone()), raw_data: Some(bytes) });
        name
    }

    /// Declares an input `[N, shape…]`.
    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> String {
        let name = self.fresh(name);
        self.graph.input.push(value(&name, shape));
        name
    }

    /// The whole graph, with the one output `[N, shape…]`.
    pub(super) fn finish(mut self, output: &str, shape: &[usize]) -> Graph {
        self.graph.name = Some("headstart".into());
        self.graph.output.push(value(output, shape));
        self.graph
    }
}

fn value(name: &str, shape: &[usize]) -> ValueInfo {
    let batch = Dimension { param: Some("N".into()), value: None };
    let dim = std::iter::once(batch).chain(shape.iter().map(|&d| Dimension { value: Some(d as i64), param: None })).collect();
    let tensor = TensorType { element: Some(FLOAT), shape: Some(Shape { dim }) };
    ValueInfo { name: Some(name.into()), kind: Some(Type { tensor: Some(tensor) }) }
}
