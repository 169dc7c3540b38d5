//! A trained head: plain matrices in PyTorch's layout, applied on any CPU.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::batch_norm::BatchNorm;
use super::layer::Layer;
use super::neighbours::Neighbours;
use super::probabilities::class_probabilities;
use crate::heads::features::prefetch::{BLOCK, in_parts};
use crate::heads::features::table::FeatureTable;
use crate::heads::settings::config::HeadConfig;
use crate::heads::settings::spec::HeadSpec;

/// A fitted head.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Its kind, its dimensions and its settings.
    pub spec: HeadSpec,
    /// The result of fitting.
    pub fitted: FittedHead,
}

/// The result of fitting a head.
#[derive(Debug, Clone, PartialEq)]
pub enum FittedHead {
    /// Weights.
    Layers {
        /// Statistics of the batch norm before the first layer, where there is one.
        batch_norm: Option<BatchNorm>,
        /// The layers, first to last.
        layers: Vec<Layer>,
    },
    /// The rows among which nearest neighbours are searched.
    Neighbours(Neighbours),
}

impl FittedHead {
    /// Its layers; neighbours have none.
    pub fn into_layers(self) -> Vec<Layer> {
        match self {
            FittedHead::Layers { layers, .. } => layers,
            FittedHead::Neighbours(_) => vec![],
        }
    }
}

impl Head {
    /// A head with these weights.
    pub fn new(spec: &HeadSpec, batch_norm: Option<BatchNorm>, layers: Vec<Layer>) -> Head {
        Head { spec: spec.clone(), fitted: FittedHead::Layers { batch_norm, layers } }
    }

    /// The head before its first step.
    pub fn initial(spec: &HeadSpec) -> Head {
        let layers = spec.config().layers();
        Head::of_layers(spec, (0..layers).map(|layer| Layer::initial(spec, layer)).collect())
    }

    /// A head with these weights before its first step.
    pub fn of_layers(spec: &HeadSpec, layers: Vec<Layer>) -> Head {
        let batch_norm = spec.has_batch_norm().then(|| BatchNorm::new(spec.inputs));
        Head::new(spec, batch_norm, layers)
    }

    /// Its layers, first to last; neighbours have none.
    pub fn layers(&self) -> &[Layer] {
        match &self.fitted {
            FittedHead::Layers { layers, .. } => layers,
            FittedHead::Neighbours(_) => &[],
        }
    }

    /// Statistics of its batch norm, where it has one.
    pub fn batch_norm(&self) -> Option<&BatchNorm> {
        match &self.fitted {
            FittedHead::Layers { batch_norm, .. } => batch_norm.as_ref(),
            FittedHead::Neighbours(_) => None,
        }
    }

    /// The training rows, where it votes among neighbours.
    pub fn neighbours(&self) -> Option<&Neighbours> {
        match &self.fitted {
            FittedHead::Layers { .. } => None,
            FittedHead::Neighbours(neighbours) => Some(neighbours),
        }
    }

    /// Logits `[n, outputs]` of transformed rows `[n, inputs]`.
    pub fn logits(&self, mut x: Vec<f32>) -> Vec<f32> {
        let (dims, layers) = (self.spec.dims(), self.layers());
        let n = x.len() / dims[0];
        if let Some(norm) = self.batch_norm() {
            x.chunks_exact_mut(dims[0]).for_each(|row| norm.apply(0, row));
        }
        let activation = self.spec.config().activation();
        for (i, layer) in layers.iter().enumerate() {
            let (inputs, outputs) = (dims[i], dims[i + 1]);
            let (Ok(features), Ok(weight)) =
                (ArrayView2::from_shape((n, inputs), &x), ArrayView2::from_shape((outputs, inputs), &layer.weight))
            else {
                unreachable!("a head's matrices have the dimensions of its spec");
            };
            let mut z = features.dot(&weight.t());
            z.axis_iter_mut(Axis(0)).for_each(|mut row| row.iter_mut().zip(&layer.bias).for_each(|(z, b)| *z += b));
            if i + 1 < layers.len() {
                z.mapv_inplace(|z| activation.of(z));
            }
            x = z.into_raw_vec_and_offset().0;
        }
        x
    }

    /// Class probabilities of rows `[n, inputs]`: `[n, classes]`.
    pub fn probabilities(&self, x: Vec<f32>) -> Vec<f32> {
        let (outputs, classes) = (self.spec.outputs, self.spec.classes);
        if let (FittedHead::Neighbours(neighbours), &HeadConfig::Knn { k, temperature }) = (&self.fitted, self.spec.config()) {
            return neighbours.probabilities(k, temperature, classes, x);
        }
        let logits = self.logits(x);
        let mut out = vec![0.0; logits.len() / outputs * classes];
        for (z, p) in logits.chunks_exact(outputs).zip(out.chunks_exact_mut(classes)) {
            class_probabilities(&self.spec, z, p);
        }
        out
    }

    /// Class probabilities of rows of a table (transformed already), `[rows, classes]`, in blocks
    /// over all threads.
    pub fn classify(&self, table: &dyn FeatureTable, rows: &[usize]) -> Vec<f32> {
        let dim = table.dim();
        let block = |rows: &[usize]| {
            let mut x = vec![0.0; rows.len() * dim];
            x.chunks_exact_mut(dim).zip(rows).for_each(|(out, &row)| table.read(row, 0..dim, out));
            self.probabilities(x)
        };
        in_parts(table, rows).flat_map(|part| part.par_chunks(BLOCK).map(block).collect::<Vec<_>>()).flatten().collect()
    }
}
