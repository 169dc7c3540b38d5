//! Multinomial logistic regression with an L2 penalty (scikit-learn: `LogisticRegression`): mean loss + ‖W‖² / (2 · C · rows), the bias
//! unpenalised. Two classes share one output; where rows have several classes, each is a regression of its own.
//!
//! Features are rotated into the basis of their scatter's eigenvectors, which changes neither the loss nor the penalty: there they are
//! uncorrelated, and fewer than rows, and [L-BFGS](super::lbfgs) needs a fraction of the steps. A strength starts from the nearest decade
//! 10⁻⁴, 10⁻³, … below it, each decade from the one before, roughly solved: a path that does not depend on the strengths that are asked for.
//! It ends, as scikit-learn's does, where no entry of the gradient is larger than `tol`.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::design::{BLOCK, Design};
use super::lbfgs::{Convex, minimise};
use super::spectrum::Spectrum;
use crate::heads::head::Layer;
use crate::heads::loss::{Objective, Targets};
use crate::heads::params::HeadSpec;
use crate::heads::table::Labels;
use crate::heads::words::Loss;

/// Parts of the rows whose gradients are summed apart, whatever the number of threads.
const LANES: usize = 16;
/// Exponent of the path's first strength.
const FIRST_DECADE: i32 = -4;
/// How much more roughly than `tol` the path's own points are solved.
const ROUGHLY: f64 = 30.0;
/// Steps after which a strength is taken as it is.
const MOST_STEPS: usize = 2000;

/// Solutions along the strengths, for one set of rows.
pub(super) struct Path {
    /// Features `[n, rank]` in the basis of the eigenvectors.
    features: Vec<f32>,
    labels: Labels,
    objective: Objective,
    outputs: usize,
    /// The tolerance that the starting points were made for, and these, decade by decade.
    starts: (f64, Vec<Vec<f32>>),
}

impl Path {
    pub(super) fn new(design: &Design<'_>, spectrum: &Spectrum, spec: &HeadSpec) -> Path {
        let labels = design.all_labels();
        let all: Vec<usize> = (0..labels.len()).collect();
        let objective = Objective::new(spec, &labels, &all);
        Path { features: spectrum.rotate(design), labels, objective, outputs: spec.outputs, starts: (0.0, vec![]) }
    }

    /// The optimum at the inverse strength `c`.
    pub(super) fn solve(&mut self, spectrum: &Spectrum, c: f64, tol: f64) -> Layer {
        if self.starts.0 != tol {
            self.starts = (tol, vec![]);
        }
        let rank = spectrum.values.len();
        let mut point = vec![0.0; self.outputs * (rank + 1)];
        for decade in 0.. {
            let strength = 10f64.powi(FIRST_DECADE + decade);
            if strength > c * (1.0 + 1e-9) {
                break;
            }
            if let Some(start) = self.starts.1.get(decade as usize) {
                point.clone_from(start);
                continue;
            }
            minimise(&mut Regression::new(self, spectrum, strength, tol * ROUGHLY), &mut point, MOST_STEPS);
            self.starts.1.push(point.clone());
        }
        minimise(&mut Regression::new(self, spectrum, c, tol), &mut point, MOST_STEPS);
        let (weights, bias) = point.split_at(self.outputs * rank);
        let weights = Mat::from_fn(rank, self.outputs, |i, k| f64::from(weights[k * rank + i]));
        // A softmax does not change where all scores rise alike: of the optima the one whose biases sum to 0, as scikit-learn's.
        let surplus = match self.objective.loss {
            Loss::Softmax => bias.iter().map(|&b| f64::from(b)).sum::<f64>() / self.outputs as f64,
            _ => 0.0,
        };
        let bias: Vec<f64> = bias.iter().map(|&b| f64::from(b) - surplus).collect();
        super::layer(&spectrum.unrotate(weights.as_ref()), &spectrum.mean, &bias)
    }
}

/// The function at one strength. A point is the weights `[outputs, rank]`, then the biases.
struct Regression<'a> {
    path: &'a Path,
    spectrum: &'a Spectrum,
    penalty: f64,
    tol: f64,
    /// Mean of p · (1 − p) of each output at the last point.
    spread: Vec<f64>,
}

/// What one part of the rows adds.
struct Part {
    gradient: Vec<f32>,
    spread: Vec<f64>,
}

impl<'a> Regression<'a> {
    fn new(path: &'a Path, spectrum: &'a Spectrum, c: f64, tol: f64) -> Regression<'a> {
        let penalty = 1.0 / (c * path.labels.len().max(1) as f64);
        Regression { path, spectrum, penalty, tol, spread: vec![] }
    }

    fn rank(&self) -> usize {
        self.spectrum.values.len()
    }

    /// The unscaled gradient of some neighbouring rows.
    fn part(&self, rows: std::ops::Range<usize>, point: &[f32]) -> Part {
        let (rank, outputs) = (self.rank(), self.path.outputs);
        let (weights, bias) = point.split_at(outputs * rank);
        let weights = MatRef::from_row_major_slice(weights, outputs, rank);
        let mut part = Part { gradient: vec![0.0; point.len()], spread: vec![0.0; outputs] };
        let (mut scores, mut targets) = (vec![], Targets::default());
        for start in rows.clone().step_by(BLOCK) {
            let n = BLOCK.min(rows.end - start);
            let x = MatRef::from_row_major_slice(&self.path.features[start * rank..(start + n) * rank], n, rank);
            scores.clear();
            (0..n).for_each(|_| scores.extend_from_slice(bias));
            matmul(MatMut::from_row_major_slice_mut(&mut scores, n, outputs), Accum::Add, x, weights.transpose(), 1.0, Par::Seq);
            self.residuals(start, &mut scores, &mut targets, &mut part.spread);
            let (of_weights, of_bias) = part.gradient.split_at_mut(outputs * rank);
            let residuals = MatRef::from_row_major_slice(&scores, n, outputs);
            matmul(MatMut::from_row_major_slice_mut(of_weights, outputs, rank), Accum::Add, residuals.transpose(), x, 1.0, Par::Seq);
            scores.chunks_exact(outputs).for_each(|row| of_bias.iter_mut().zip(row).for_each(|(b, r)| *b += r));
        }
        part
    }

    /// Scores of a block of rows to probability less target; adds p · (1 − p) to `spread`.
    fn residuals(&self, first: usize, scores: &mut [f32], targets: &mut Targets, spread: &mut [f64]) {
        let outputs = self.path.outputs;
        targets.q.resize(outputs, 0.0);
        for (i, z) in scores.chunks_exact_mut(outputs).enumerate() {
            targets.q.fill(0.0);
            let mass = self.path.objective.row_targets(self.path.labels.of(first + i), &mut targets.q);
            self.path.objective.row(z, &targets.q, mass, 1.0);
            for ((spread, r), q) in spread.iter_mut().zip(&*z).zip(&targets.q) {
                let p = f64::from(r + q);
                *spread += p * (1.0 - p);
            }
        }
    }
}

impl Convex for Regression<'_> {
    fn gradient(&mut self, point: &[f32]) -> Vec<f32> {
        let n = self.path.labels.len();
        let each = n.div_ceil(LANES).next_multiple_of(BLOCK.min(n.div_ceil(LANES)));
        let parts: Vec<Part> = (0..n.div_ceil(each)).into_par_iter().map(|l| self.part(l * each..n.min((l + 1) * each), point)).collect();
        let weights = self.path.outputs * self.rank();
        let mut gradient = vec![0.0; point.len()];
        for (i, g) in gradient.iter_mut().enumerate() {
            let sum: f64 = parts.iter().map(|p| f64::from(p.gradient[i])).sum();
            let penalty = if i < weights { self.penalty * f64::from(point[i]) } else { 0.0 };
            *g = (sum / n as f64 + penalty) as f32;
        }
        self.spread = (0..self.path.outputs).map(|k| parts.iter().map(|p| p.spread[k]).sum::<f64>() / n as f64).collect();
        gradient
    }

    fn precondition(&self, gradient: &mut [f32]) {
        let (rank, n) = (self.rank(), self.path.labels.len() as f64);
        let (weights, bias) = gradient.split_at_mut(self.path.outputs * rank);
        // Classes that are told apart with certainty have next to no curvature: a floor keeps their steps finite.
        let spread = |k: usize| self.spread[k].max(1e-8);
        for (k, row) in weights.chunks_exact_mut(rank.max(1)).enumerate() {
            row.iter_mut().zip(&self.spectrum.values).for_each(|(g, v)| *g = (f64::from(*g) / (spread(k) * v / n + self.penalty)) as f32);
        }
        bias.iter_mut().enumerate().for_each(|(k, g)| *g = (f64::from(*g) / spread(k)) as f32);
    }

    /// By the gradient of the features' own weights. It costs a product: asked for only when the rotated one comes near.
    fn is_small(&self, gradient: &[f32]) -> bool {
        let largest = |values: &[f32]| values.iter().fold(0f32, |m, g| m.max(g.abs()));
        if f64::from(largest(gradient)) > 4.0 * self.tol {
            return false;
        }
        let (rank, outputs) = (self.rank(), self.path.outputs);
        let (weights, bias) = gradient.split_at(outputs * rank);
        let own = self.spectrum.unrotate(Mat::from_fn(rank, outputs, |i, k| f64::from(weights[k * rank + i])).as_ref());
        let mean = &self.spectrum.mean;
        let small = |(row, &b): (&[f64], &f32)| row.iter().zip(mean).all(|(g, m)| (g + f64::from(b) * m).abs() <= self.tol);
        f64::from(largest(bias)) <= self.tol && own.chunks_exact(mean.len()).zip(bias).all(small)
    }
}
