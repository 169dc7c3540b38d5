//! A source whose tensors are renamed and turned when they are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::Result;
use crate::graph::Parameter;
use crate::weights::element::Layout;
use crate::weights::{Tensor, TensorSource, hex, no_tensor};

/// How a stored tensor becomes the one that a graph wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axes {
    /// As it is.
    Same,
    /// A kernel `[height, width, in, out]` to `[out, in, height, width]`.
    HwioToOihw,
    /// A depthwise kernel `[height, width, channels, multiplier]` to `[channels · multiplier, 1, height, width]`.
    HwcmToC1hw,
    /// A matrix `[in, out]` to `[out, in]`.
    IoToOi,
    /// A kernel that covers the whole map, `[out, in, height, width]`, to the matrix of a linear layer, `[out, in · height · width]`.
    KernelToMatrix,
    /// A vector to one value a channel, `[channels, 1, 1]`.
    ToChannels,
}

impl Axes {
    /// Order of the stored axes in the result, and the result's shape. A tensor of another rank stays as it is, for an audit to refuse.
    fn plan(self, shape: &[usize]) -> (Vec<usize>, Vec<usize>) {
        match (self, shape) {
            (Axes::HwioToOihw, &[h, w, i, o]) => (vec![3, 2, 0, 1], vec![o, i, h, w]),
            (Axes::HwcmToC1hw, &[h, w, c, m]) => (vec![2, 3, 0, 1], vec![c * m, 1, h, w]),
            (Axes::IoToOi, &[i, o]) => (vec![1, 0], vec![o, i]),
            (Axes::KernelToMatrix, &[o, i, h, w]) => (vec![0, 1, 2, 3], vec![o, i * h * w]),
            (Axes::ToChannels, &[c]) => (vec![0], vec![c, 1, 1]),
            _ => ((0..shape.len()).collect(), shape.to_vec()),
        }
    }

    fn apply(self, tensor: Tensor) -> Tensor {
        let (order, shape) = self.plan(&tensor.shape);
        let strides = Layout::contiguous(tensor.shape.clone()).strides;
        let pick = |values: &[usize]| order.iter().map(|&axis| values[axis]).collect::<Vec<_>>();
        let turned = Layout { offset: 0, shape: pick(&tensor.shape), strides: pick(&strides) };
        Tensor { shape, data: turned.gather(tensor.data) }
    }
}

/// A source under other names.
pub struct Mapped {
    source: Box<dyn TensorSource>,
    /// New name → stored name and shape, and what to do with its axes.
    routes: BTreeMap<String, (Parameter, Axes)>,
}

impl Mapped {
    /// Renames every tensor for which `rename` gives a name; the others keep theirs.
    pub fn new(source: Box<dyn TensorSource>, rename: impl Fn(&Parameter) -> Option<(String, Axes)>) -> Mapped {
        let route = |entry: Parameter| {
            let (name, axes) = rename(&entry).unwrap_or_else(|| (entry.name.clone(), Axes::Same));
            (name, (entry, axes))
        };
        let routes = source.entries().into_iter().map(route).collect();
        Mapped { source, routes }
    }
}

impl TensorSource for Mapped {
    fn origin(&self) -> PathBuf {
        self.source.origin()
    }

    fn digest(&self) -> String {
        let mut text = self.source.digest();
        self.routes.iter().for_each(|(name, (stored, axes))| text += &format!("\n{name} {} {axes:?}", stored.name));
        hex(&Sha256::digest(text))
    }

    fn entries(&self) -> Vec<Parameter> {
        let entry =
            |(name, (stored, axes)): (&String, &(Parameter, Axes))| Parameter { name: name.clone(), shape: axes.plan(&stored.shape).1 };
        self.routes.iter().map(entry).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let (stored, axes) = self.routes.get(name).ok_or_else(|| no_tensor(self, name))?;
        Ok(axes.apply(self.source.read(&stored.name)?))
    }
}
