//! Multinomial logistic regression with an L2 penalty (scikit-learn: `LogisticRegression`): mean
//! loss + ‖W‖² / (2 · C · rows), the bias unpenalised. Two classes share one output; where rows
//! have several classes, each is a regression of its own.
//!
//! [L-BFGS](super::lbfgs) starts from a good guess of the [second derivative](super::curvature) and
//! needs a fraction of the steps. Where rows are fewer than features, these are rotated into the
//! basis of their scatter's eigenvectors, which changes neither the loss nor the penalty: there
//! they are fewer, and uncorrelated.
//!
//! A strength starts from the nearest decade 10⁻⁴, 10⁻³, … below it, each decade from the one
//! before: a path that does not depend on the strengths that are asked for. It ends, as
//! scikit-learn's does, where no entry of the gradient is larger than `tol`.

use super::curvature::Curvature;
use super::design::Design;
use super::layer::layer;
use super::lbfgs::{Memory, minimise};
use super::regression::{Data, Regression, penalty};
use super::slabs::Slabs;
use super::spectrum::{LARGEST, Spectrum};
use crate::Result;
use crate::heads::fitted::layer::Layer;
use crate::heads::settings::choices::Loss;
use crate::heads::settings::spec::HeadSpec;

/// Exponent of the path's first strength.
const FIRST_DECADE: i32 = -4;
/// Tolerance of the path's own points where `tol` is finer, but not by more than a factor of
/// [`ROUGHLY`].
const USUAL: f64 = 1e-4;
/// How much more roughly than a fine `tol` the path's own points are solved at most.
const ROUGHLY: f64 = 30.0;
/// Largest number of steps per strength.
const MOST_STEPS: usize = 2000;

/// The inverse strength of a decade.
fn strength(decade: usize) -> f64 {
    10f64.powi(FIRST_DECADE + decade as i32)
}

/// Solutions along the strengths, for one set of rows.
pub(super) struct Path {
    data: Data,
    curvature: Curvature,
    /// The basis of the features' coordinates, where rows are fewer than features.
    spectrum: Option<Spectrum>,
    /// The tolerance that the starting points were made for.
    tol: f64,
    /// These, decade by decade.
    starts: Vec<Vec<f32>>,
    /// The last steps to the last of them.
    memory: Memory,
}

impl Path {
    /// Prepares the rows.
    ///
    /// # Errors
    /// Features that are not finite.
    pub(super) fn new(design: &Design<'_>, spec: &HeadSpec) -> Result<Path> {
        let (n, labels) = (design.rows(), design.all_labels());
        let spectrum = if n < design.dim() && n <= LARGEST { Some(Spectrum::of(design)?) } else { None };
        let (slabs, curvature) = match spectrum.as_ref().and_then(|s| Some((s, s.coordinates()?))) {
            Some((spectrum, coordinates)) => {
                let squares = spectrum.values.iter().map(|v| v / n.max(1) as f64).collect();
                (Slabs::of(coordinates, n, spectrum.values.len()), Curvature::Diagonal(squares))
            }
            None => {
                let slabs = Slabs::new(design, design.mean()?.into_iter().map(|m| m as f32).collect());
                let curvature = Curvature::of(design, &slabs);
                (slabs, curvature)
            }
        };
        let data = Data::new(slabs, labels, spec.loss, spec.outputs);
        Ok(Path { data, curvature, spectrum, tol: 0.0, starts: vec![], memory: Memory::default() })
    }

    /// The optimum at the inverse strength `c`.
    pub(super) fn solve(&mut self, design: &Design<'_>, c: f64, tol: f64) -> Layer {
        if self.tol != tol {
            (self.tol, self.starts, self.memory) = (tol, vec![], Memory::default());
        }
        self.data.slabs.hold(design);
        let roughly = USUAL.clamp(tol, ROUGHLY * tol);
        let decades = (0..).take_while(|&decade| strength(decade) <= c * (1.0 + 1e-9)).count();
        while self.starts.len() < decades {
            self.extend(design, roughly);
        }
        let mut point = match decades.checked_sub(1) {
            Some(last) => self.starts[last].clone(),
            None => self.origin(),
        };
        let is_there = roughly == tol && decades > 0 && (strength(decades - 1) / c - 1.0).abs() < 1e-9;
        if !is_there {
            minimise(&mut self.function(design, c, tol), &mut point, &mut Memory::default(), MOST_STEPS);
        }
        self.data.slabs.release();
        self.layer(design, &point)
    }

    /// Adds the path's next decade.
    fn extend(&mut self, design: &Design<'_>, tol: f64) {
        let c = strength(self.starts.len());
        let mut point = self.starts.last().cloned().unwrap_or_else(|| self.origin());
        let mut memory = std::mem::take(&mut self.memory);
        // Between two decades the penalty alone changes.
        let penalty = |c: f64| penalty(c, self.data.labels.len());
        memory.add_curvature(penalty(c) - penalty(c / 10.0), self.data.outputs * self.data.slabs.dim);
        let mut function = self.function(design, c, tol);
        minimise(&mut function, &mut point, &mut memory, MOST_STEPS);
        self.memory = memory;
        self.starts.push(point);
    }

    fn origin(&self) -> Vec<f32> {
        vec![0.0; self.data.outputs * (self.data.slabs.dim + 1)]
    }

    fn function<'p>(&'p mut self, design: &'p Design<'p>, c: f64, tol: f64) -> Regression<'p> {
        Regression::new(&self.data, &mut self.curvature, design, self.spectrum.as_ref(), [c, tol])
    }

    /// A point as weights of the features themselves.
    fn layer(&self, design: &Design<'_>, point: &[f32]) -> Layer {
        let (dim, outputs) = (self.data.slabs.dim, self.data.outputs);
        let (weights, bias) = point.split_at(outputs * dim);
        // A softmax does not change where all scores rise alike: of the optima the one whose biases
        // sum to 0, as scikit-learn's.
        let surplus = match self.data.loss {
            Loss::Softmax => bias.iter().map(|&b| f64::from(b)).sum::<f64>() / outputs as f64,
            Loss::Auto | Loss::Sigmoid => 0.0,
        };
        let bias: Vec<f64> = bias.iter().map(|&b| f64::from(b) - surplus).collect();
        if let Some(spectrum) = &self.spectrum {
            let weights = faer::Mat::from_fn(dim, outputs, |i, k| f64::from(weights[k * dim + i]));
            return layer(&spectrum.unrotate(design, &weights), &spectrum.mean, &bias);
        }
        let weights: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
        let mean: Vec<f64> = self.data.slabs.mean.iter().map(|&m| f64::from(m)).collect();
        layer(&weights, &mean, &bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::features::task::Task;
    use crate::heads::solvers::curvature::Curvature;
    use crate::heads::{Fit, HeadKind, Labels, Matrix, Params, Partition};

    const SHAPE: [usize; 3] = [9000, 4, 3];

    /// More rows than a slab has, of columns that are large, small and alike.
    fn data() -> (Matrix, Labels, Partition) {
        let [rows, dim, classes] = SHAPE;
        let x = |i: usize, j: usize| {
            let noise = ((i * 12 + j * 78) as f64 * 0.731 + (i * j) as f64 * 0.37).sin();
            (noise + 0.4 * ((i % classes) as f64 * 2.1 + j as f64).sin()) * [5.0, 1.0, 0.2, 1.0][j] + 1.0
        };
        let x = (0..rows).flat_map(|i| (0..dim).map(move |j| x(i, j) as f32)).collect();
        let labels = Labels::One((0..rows).map(|i| (i % classes) as u32).collect());
        (Matrix::new(dim, x).unwrap(), labels, Partition { train: (0..rows).collect(), ..Partition::default() })
    }

    /// The largest entry of the gradient at a solution, in f64.
    fn largest_gradient(x: &Matrix, labels: &Labels, layer: &Layer, c: f64) -> f64 {
        use crate::heads::FeatureTable;
        let [rows, dim, classes] = SHAPE;
        let weight = |k: usize, j: usize| f64::from(layer.weight[k * dim + j]);
        let mut gradient = vec![0.0; classes * (dim + 1)];
        for i in 0..rows {
            let row: Vec<f64> = x.row(i).unwrap().iter().map(|&x| f64::from(x)).chain([1.0]).collect();
            let z: Vec<f64> =
                (0..classes).map(|k| f64::from(layer.bias[k]) + (0..dim).map(|j| weight(k, j) * row[j]).sum::<f64>()).collect();
            let total: f64 = z.iter().map(|z| z.exp()).sum();
            for k in 0..classes {
                let residual = z[k].exp() / total - f64::from(u8::from(labels.of(i) == [k as u32]));
                (0..=dim).for_each(|j| gradient[k * (dim + 1) + j] += residual * row[j] / rows as f64);
            }
        }
        for (k, j) in (0..classes).flat_map(|k| (0..dim).map(move |j| (k, j))) {
            gradient[k * (dim + 1) + j] += penalty(c, rows) * weight(k, j);
        }
        gradient.into_iter().fold(0.0, |m, g| m.max(g.abs()))
    }

    #[test]
    fn the_gradient_ends_below_the_tolerance_however_rows_are_read_and_steps_are_guessed() {
        let (x, labels, partition) = data();
        let task = Task { features: &x, labels: &labels, partition: &partition };
        let design = Design::new(task, SHAPE[2]);
        let fit = Fit { tap: "gap", shape: &[SHAPE[1]], classes: SHAPE[2], many: false };
        let spec = Params { head: HeadKind::Logreg, ..Params::default() }.check(fit).unwrap();
        let mut layers = vec![];
        for diagonal in [false, true] {
            let mut path = Path::new(&design, &spec).unwrap();
            if diagonal {
                path.curvature = Curvature::Diagonal(design.variance(&path.data.slabs.mean));
            }
            let layer = path.solve(&design, 0.5, 1e-5);
            let largest = largest_gradient(&x, &labels, &layer, 0.5);
            assert!(largest < 2e-5, "{largest}");
            // Rows that are read again on every pass give the same bits as rows that are held.
            let mut streamed = Path::new(&design, &spec).unwrap();
            streamed.data.slabs.never_hold();
            streamed.curvature = path.curvature;
            assert_eq!(streamed.solve(&design, 0.5, 1e-5), layer);
            layers.push(layer);
        }
        let apart = layers[0].weight.iter().zip(&layers[1].weight).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 0.05, "{apart}");
    }
}
