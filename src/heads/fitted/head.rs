//! A trained head: plain matrices in PyTorch's layout, applied on any CPU.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use crate::heads::features::prefetch::{BLOCK, in_parts};
use crate::heads::features::table::FeatureTable;
use crate::heads::settings::choices::Activation;
use crate::heads::settings::params::HeadSpec;
use crate::heads::solvers::Neighbours;
use crate::heads::training::loss::Objective;

/// A fully connected layer: weight `[outputs, inputs]`, row-major, and bias `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `outputs · inputs` weights.
    pub weight: Vec<f32>,
    /// `outputs` biases.
    pub bias: Vec<f32>,
}

/// Running statistics of a batch norm without parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Mean of each feature.
    pub mean: Vec<f32>,
    /// Unbiased variance of each feature.
    pub variance: Vec<f32>,
}

impl BatchNorm {
    /// PyTorch's default.
    pub const EPS: f32 = 1e-5;
    /// Share of a batch in the running statistics: PyTorch's default.
    pub const MOMENTUM: f32 = 0.1;

    /// Before the first batch.
    pub fn new(dim: usize) -> BatchNorm {
        BatchNorm { mean: vec![0.0; dim], variance: vec![1.0; dim] }
    }

    /// Normalises neighbouring features of a row, from column `first` on.
    pub fn apply(&self, first: usize, row: &mut [f32]) {
        for ((x, mean), variance) in row.iter_mut().zip(&self.mean[first..]).zip(&self.variance[first..]) {
            *x = (*x - mean) / (variance + BatchNorm::EPS).sqrt();
        }
    }

    /// Normalises the columns of a training batch, row-major, by their own statistics and takes these into the running ones.
    pub fn train(&mut self, rows: &mut [f32]) {
        let dim = self.mean.len();
        let n = (rows.len() / dim.max(1)) as f32;
        let (mut mean, mut variance) = (vec![0.0; dim], vec![0.0; dim]);
        rows.chunks_exact(dim.max(1)).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n));
        for row in rows.chunks_exact(dim.max(1)) {
            variance.iter_mut().zip(row).zip(&mean).for_each(|((v, x), m)| *v += (x - m) * (x - m) / n);
        }
        let unbias = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
        for (i, (m, v)) in mean.iter().zip(&mut variance).enumerate() {
            self.mean[i] += BatchNorm::MOMENTUM * (m - self.mean[i]);
            self.variance[i] += BatchNorm::MOMENTUM * (*v * unbias - self.variance[i]);
            *v = 1.0 / (*v + BatchNorm::EPS).sqrt();
        }
        for row in rows.chunks_exact_mut(dim.max(1)) {
            row.iter_mut().zip(&mean).zip(&variance).for_each(|((x, m), scale)| *x = (*x - m) * scale);
        }
    }
}

/// A trained head.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What it is.
    pub spec: HeadSpec,
    /// Statistics of its batch norm, where it has one.
    pub batch_norm: Option<BatchNorm>,
    /// Its layers, first to last.
    pub layers: Vec<Layer>,
    /// The rows that nearest neighbours are looked for among.
    pub neighbours: Option<Neighbours>,
}

impl Head {
    /// The head before its first step.
    pub fn initial(spec: &HeadSpec) -> Head {
        let layers = spec.dims().len() - 1;
        let layer = |i| {
            let (weight, bias) = spec.initial(i);
            Layer { weight, bias }
        };
        Head::of_layers(spec, (0..layers).map(layer).collect())
    }

    /// A head with these weights before its first step.
    pub fn of_layers(spec: &HeadSpec, layers: Vec<Layer>) -> Head {
        let batch_norm = spec.has_batch_norm().then(|| BatchNorm::new(spec.inputs));
        Head { spec: spec.clone(), batch_norm, layers, neighbours: None }
    }

    /// Logits of rows `[n, inputs]` that went through the transform already: `[n, outputs]`.
    pub fn logits(&self, mut x: Vec<f32>) -> Vec<f32> {
        let dims = self.spec.dims();
        let n = x.len() / dims[0];
        if let Some(norm) = &self.batch_norm {
            x.chunks_exact_mut(dims[0]).for_each(|row| norm.apply(0, row));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let (inputs, outputs) = (dims[i], dims[i + 1]);
            let (Ok(features), Ok(weight)) =
                (ArrayView2::from_shape((n, inputs), &x), ArrayView2::from_shape((outputs, inputs), &layer.weight))
            else {
                unreachable!("a head's matrices have the dimensions of its spec");
            };
            let mut z = features.dot(&weight.t());
            z.axis_iter_mut(Axis(0)).for_each(|mut row| row.iter_mut().zip(&layer.bias).for_each(|(z, b)| *z += b));
            if i + 1 < self.layers.len() {
                z.mapv_inplace(|z| self.spec.params().activation.of(z));
            }
            x = z.into_raw_vec_and_offset().0;
        }
        x
    }

    /// Class probabilities of rows `[n, inputs]`: `[n, classes]`.
    pub fn probabilities(&self, x: Vec<f32>) -> Vec<f32> {
        let (outputs, classes) = (self.spec.outputs, self.spec.classes);
        if let Some(neighbours) = &self.neighbours {
            return neighbours.probabilities(&self.spec.params, classes, x);
        }
        let logits = self.logits(x);
        let mut out = vec![0.0; logits.len() / outputs * classes];
        for (z, p) in logits.chunks_exact(outputs).zip(out.chunks_exact_mut(classes)) {
            Objective::probabilities(&self.spec, z, p);
        }
        out
    }

    /// Class probabilities of rows of a table (transformed already), `[rows, classes]`, in blocks over all threads.
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

impl Activation {
    /// Its value.
    pub fn of(self, z: f32) -> f32 {
        match self {
            // What is no number stays none, as it does not with `f32::max`.
            Activation::Relu => {
                if z < 0.0 {
                    0.0
                } else {
                    z
                }
            }
            Activation::Gelu => 0.5 * z * (1.0 + libm::erff(z * std::f32::consts::FRAC_1_SQRT_2)),
        }
    }

    /// Its slope at `z`.
    pub fn slope(self, z: f32) -> f32 {
        match self {
            Activation::Relu => f32::from(u8::from(z > 0.0)),
            Activation::Gelu => {
                let density = (-0.5 * z * z).exp() * 0.398_942_3;
                0.5 * (1.0 + libm::erff(z * std::f32::consts::FRAC_1_SQRT_2)) + z * density
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_values() {
        for z in [-2.0f32, -0.3, 0.4, 1.7] {
            for act in [Activation::Relu, Activation::Gelu] {
                let numeric = (act.of(z + 1e-2) - act.of(z - 1e-2)) / 2e-2;
                assert!((numeric - act.slope(z)).abs() < 1e-3, "{act} {z}");
            }
        }
    }
}
