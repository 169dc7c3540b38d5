//! Cutting a graph at a tap: the prefix is extracted, the suffix can be trained.

use super::{Graph, Node, NodeId, Op};
use crate::Result;

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
    /// An unknown tap, or a tap that does not cut the graph in two: a later node reads what lies before it.
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
