//! A source whose tensors are renamed and turned when they are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::Result;
use crate::graph::Parameter;
use crate::weights::digest::hex;
use crate::weights::element::Layout;
use crate::weights::source::{Tensor, TensorSource, no_tensor};

/// How a stored tensor becomes the one that a graph wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axes {
    /// As it is.
    Same,
    /// A kernel `[height, width, in, out]` to `[out, in, height, width]`.
    HwioToOihw,
    /// A depthwise kernel `[height, width, channels, multiplier]` to `[channels · multiplier, 1,
    /// height, width]`.
    HwcmToC1hw,
    /// A matrix `[in, out]` to `[out, in]`.
    IoToOi,
    /// A kernel that covers the whole map, `[out, in, height, width]`, to the matrix of a linear
    /// layer, `[out, in · height · width]`.
    KernelToMatrix,
    /// A vector to one value a channel, `[channels, 1, 1]`.
    ToChannels,
    /// A matrix that reads a map of `[height, width, channels]` flattened in this order, `[height ·
    /// width · channels, out]`, to one that reads it channel by channel, `[out, channels · height ·
    /// width]`.
    HwcRowsToChw([usize; 3]),
    /// A vector or matrix to `[1, tokens, channels]`.
    ToTokens,
    /// Rows of a larger tensor that is stored in several: with the other parts, one below the
    /// other.
    Part {
        /// Which part, from 0.
        index: usize,
        /// Of how many.
        of: usize,
    },
}

/// How to read a stored tensor.
struct Turn {
    /// The stored extents, or finer ones of as many elements.
    stored: Vec<usize>,
    /// Which of them comes when in the result.
    order: Vec<usize>,
    /// The result's extents.
    shape: Vec<usize>,
}

impl Axes {
    /// A tensor of another shape stays as it is, for an audit to refuse.
    fn turn(self, stored: &[usize]) -> Turn {
        let (order, shape) = match (self, stored) {
            (Axes::HwioToOihw, &[h, w, i, o]) => (vec![3, 2, 0, 1], vec![o, i, h, w]),
            (Axes::HwcmToC1hw, &[h, w, c, m]) => (vec![2, 3, 0, 1], vec![c * m, 1, h, w]),
            (Axes::IoToOi, &[i, o]) => (vec![1, 0], vec![o, i]),
            (Axes::KernelToMatrix, &[o, i, h, w]) => (vec![0, 1, 2, 3], vec![o, i * h * w]),
            (Axes::ToChannels, &[c]) => (vec![0], vec![c, 1, 1]),
            (Axes::HwcRowsToChw([h, w, c]), &[i, o]) if i == h * w * c => {
                return Turn { stored: vec![h, w, c, o], order: vec![3, 2, 0, 1], shape: vec![o, i] };
            }
            (Axes::ToTokens, &[c]) => (vec![0], vec![1, 1, c]),
            (Axes::ToTokens, &[t, c]) => (vec![0, 1], vec![1, t, c]),
            _ => ((0..stored.len()).collect(), stored.to_vec()),
        };
        Turn { stored: stored.to_vec(), order, shape }
    }

    fn apply(self, tensor: Tensor) -> Tensor {
        let Turn { stored, order, shape } = self.turn(&tensor.shape);
        let strides = Layout::contiguous(stored.clone()).strides;
        let pick = |values: &[usize]| order.iter().map(|&axis| values[axis]).collect::<Vec<_>>();
        let turned = Layout { offset: 0, shape: pick(&stored), strides: pick(&strides) };
        Tensor { shape, data: turned.gather(tensor.data) }
    }
}

/// A source under other names.
pub(crate) struct Mapped {
    source: Box<dyn TensorSource>,
    /// New name → where its values come from.
    routes: BTreeMap<String, Route>,
}

enum Route {
    /// A stored tensor, or all of its parts in order, and the turning of their axes.
    Stored(Vec<(Parameter, Axes)>),
    /// Ones, of this number.
    Ones(usize),
}

impl Mapped {
    /// Renames every tensor for which `rename` gives a name; the others keep theirs, and so do
    /// parts of a tensor that is not complete.
    pub(super) fn new(source: Box<dyn TensorSource>, rename: impl Fn(&Parameter) -> Option<(String, Axes)>) -> Mapped {
        let mut routes = BTreeMap::new();
        let mut parts: BTreeMap<String, Vec<(usize, usize, Parameter)>> = BTreeMap::new();
        for entry in source.entries() {
            match rename(&entry) {
                Some((name, Axes::Part { index, of })) => parts.entry(name).or_default().push((index, of, entry)),
                Some((name, axes)) => _ = routes.insert(name, Route::Stored(vec![(entry, axes)])),
                None => _ = routes.insert(entry.name.clone(), Route::Stored(vec![(entry, Axes::Same)])),
            }
        }
        for (name, mut parts) in parts {
            parts.sort_by_key(|&(index, ..)| index);
            let complete = parts.iter().enumerate().all(|(i, &(index, of, _))| i == index && of == parts.len());
            let same_rows = parts.iter().all(|(.., p)| p.shape.get(1..) == parts[0].2.shape.get(1..));
            let stored = parts.into_iter().map(|(.., entry)| (entry, Axes::Same));
            if complete && same_rows {
                routes.insert(name, Route::Stored(stored.collect()));
            } else {
                routes.extend(stored.map(|(entry, axes)| (entry.name.clone(), Route::Stored(vec![(entry, axes)]))));
            }
        }
        Mapped { source, routes }
    }

    /// Adds the scales of norms that were stored without one (Keras's `scale=False`): ones, as many
    /// as there are means.
    #[must_use]
    pub(super) fn with_unit_scales(mut self) -> Mapped {
        let norms = self.entries().into_iter().filter_map(|p| match (p.name.strip_suffix(".running_mean"), p.shape.as_slice()) {
            (Some(norm), &[channels]) => Some((format!("{norm}.weight"), Route::Ones(channels))),
            _ => None,
        });
        for (name, ones) in norms.collect::<Vec<_>>() {
            self.routes.entry(name).or_insert(ones);
        }
        self
    }
}

impl TensorSource for Mapped {
    fn origin(&self) -> PathBuf {
        self.source.origin()
    }

    fn digest(&self) -> String {
        let mut text = self.source.digest();
        for (name, route) in &self.routes {
            match route {
                Route::Stored(parts) => parts.iter().for_each(|(stored, axes)| text += &format!("\n{name} {} {axes:?}", stored.name)),
                Route::Ones(_) => text += &format!("\n{name} ones"),
            }
        }
        hex(&Sha256::digest(text))
    }

    fn entries(&self) -> Vec<Parameter> {
        let shape = |route: &Route| match route {
            Route::Stored(parts) => parts.iter().map(|(stored, axes)| axes.turn(&stored.shape).shape).reduce(stack).unwrap_or_default(),
            Route::Ones(channels) => vec![*channels],
        };
        self.routes.iter().map(|(name, route)| Parameter { name: name.clone(), shape: shape(route) }).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let parts = match self.routes.get(name).ok_or_else(|| no_tensor(self, name))? {
            Route::Stored(parts) => parts,
            Route::Ones(channels) => return Ok(Tensor { shape: vec![*channels], data: vec![1.0; *channels] }),
        };
        let mut whole: Option<Tensor> = None;
        for (stored, axes) in parts {
            let Tensor { shape, data } = axes.apply(self.source.read(&stored.name)?);
            match &mut whole {
                None => whole = Some(Tensor { shape, data }),
                Some(above) => {
                    above.shape = stack(std::mem::take(&mut above.shape), shape);
                    above.data.extend(data);
                }
            }
        }
        whole.ok_or_else(|| no_tensor(self, name))
    }
}

/// The shape of two tensors one below the other.
fn stack(above: Vec<usize>, below: Vec<usize>) -> Vec<usize> {
    above.iter().enumerate().map(|(axis, &n)| if axis == 0 { n + below[0] } else { n }).collect()
}
