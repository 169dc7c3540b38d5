//! Cutting a graph at a tap: the prefix is extracted, the suffix can be trained.

use super::{Act, Graph, Node, NodeId, Op};
use crate::Result;

/// A fully connected layer of a backbone's classifier: `{name}.weight` is `[outputs, inputs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifierLayer {
    /// Module path.
    pub name: String,
    /// Features.
    pub inputs: usize,
    /// Units.
    pub outputs: usize,
    /// Whether dropout lies before it in training.
    pub dropout: bool,
}

impl Graph {
    /// The part of the graph that the given taps need, and nothing behind the deepest of them.
    ///
    /// # Errors
    /// An unknown tap.
    pub fn prune(&self, taps: &[String]) -> Result<Graph> {
        let wanted = taps.iter().map(|t| Ok((t.clone(), self.find_tap(t)?))).collect::<Result<Vec<_>>>()?;
        let mut needed = vec![false; self.nodes.len()];
        wanted.iter().for_each(|&(_, id)| needed[id] = true);
        for id in (0..self.nodes.len()).rev() {
            if needed[id] {
                self.nodes[id].inputs.iter().for_each(|&i| needed[i] = true);
            }
        }
        needed[0] = true;
        Ok(self.keep(&needed, &wanted))
    }

    /// Everything behind a tap as a graph of its own, whose input is the tap's value.
    ///
    /// # Errors
    /// An unknown tap, or a tap that does not cut the graph in two: a later node reads a value from
    /// before it.
    pub fn suffix(&self, tap: &str, channels: usize) -> Result<Graph> {
        let cut = self.find_tap(tap)?;
        let mut graph = Graph::default();
        let mut renumbered: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        renumbered[cut] = Some(graph.add("input", Op::Input { channels }, &[]));
        let mut behind = vec![false; self.nodes.len()];
        behind[cut] = true;
        for (id, node) in self.nodes.iter().enumerate().skip(cut + 1) {
            behind[id] = node.inputs.iter().any(|&i| behind[i]);
            if !behind[id] {
                continue;
            }
            let inputs = node
                .inputs
                .iter()
                .map(|&i| renumbered[i])
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| crate::Error::graph(&node.name, format!("reads past `{tap}`: the graph cannot be cut there")))?;
            renumbered[id] = Some(graph.add(node.name.clone(), node.op.clone(), &inputs));
        }
        for (name, id) in &self.taps {
            if let (Some(id), true) = (renumbered[*id], *id > cut) {
                graph.tap(name.clone(), id);
            }
        }
        Ok(graph)
    }

    /// The fully connected layers behind a tap, where only two or more of them with ReLUs between
    /// lie there: they can be trained as a head.
    pub fn classifier(&self, tap: &str) -> Option<Vec<ClassifierLayer>> {
        let suffix = self.suffix(tap, 1).ok()?;
        let mut layers = vec![];
        // In torchvision's words modules are numbered, and the numbers that these nodes leave out
        // are dropouts.
        let mut number = 0;
        for (place, node) in suffix.nodes[1..].iter().enumerate() {
            let own = node.name.rsplit('.').next().and_then(|end| end.parse::<usize>().ok());
            match (&node.op, place % 2) {
                (&Op::Linear { input, output, bias: true }, 0) => {
                    let dropout = own.is_some_and(|own| own > number);
                    layers.push(ClassifierLayer { name: node.name.clone(), inputs: input, outputs: output, dropout });
                }
                (Op::Act(Act::Relu), 1) => {}
                _ => return None,
            }
            number = own.unwrap_or(number) + 1;
        }
        (layers.len() > 1 && suffix.nodes.len().is_multiple_of(2)).then_some(layers)
    }

    fn keep(&self, needed: &[bool], taps: &[(String, NodeId)]) -> Graph {
        let mut renumbered = vec![0; self.nodes.len()];
        let mut nodes: Vec<Node> = Vec::new();
        for (id, node) in self.nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            renumbered[id] = nodes.len();
            let inputs = node.inputs.iter().map(|&i| renumbered[i]).collect();
            nodes.push(Node { name: node.name.clone(), op: node.op.clone(), inputs });
        }
        Graph { nodes, taps: taps.iter().map(|(n, id)| (n.clone(), renumbered[*id])).collect() }
    }
}

#[cfg(test)]
mod tests {
    use crate::backbones::{self, BuildOptions};

    #[test]
    fn classifiers_are_those_of_torchvision() {
        let layers = |name: &str, tap: &str| backbones::find(name).unwrap().graph(&BuildOptions::default()).classifier(tap);
        let told = |name: &str| -> Vec<(String, [usize; 2], bool)> {
            layers(name, "avgpool").unwrap().into_iter().map(|l| (l.name, [l.inputs, l.outputs], l.dropout)).collect()
        };
        let vgg = ["classifier.0", "classifier.3", "classifier.6"].map(str::to_owned);
        let dims = |first| [[first, 4096], [4096, 4096], [4096, 1000]];
        assert_eq!(told("vgg16"), std::array::from_fn::<_, 3, _>(|i| (vgg[i].clone(), dims(25088)[i], i > 0)));
        let alexnet = ["classifier.1", "classifier.4", "classifier.6"].map(str::to_owned);
        assert_eq!(told("alexnet"), std::array::from_fn::<_, 3, _>(|i| (alexnet[i].clone(), dims(9216)[i], i < 2)));
        assert!(told("vgg16_keras").iter().all(|(_, _, dropout)| !dropout));
        for (name, tap) in [("vgg16", "map"), ("resnet50", "gap"), ("mobilenet_v3_large", "gap"), ("vgg16", "no such tap")] {
            assert_eq!(layers(name, tap), None, "{name} {tap}");
        }
    }
}
