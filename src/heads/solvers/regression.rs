//! Multinomial logistic regression at one strength, as a function to be minimised.
//!
//! Its gradient takes two products in f32, of the features by the weights and of the residuals by
//! the features; all else is small beside them.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;

use super::curvature::Curvature;
use super::design::Design;
use super::lbfgs::Convex;
use super::residuals::{Sums, residuals};
use super::slabs::Slabs;
use super::spectrum::{Spectrum, par};
use crate::heads::features::labels::Labels;
use crate::heads::settings::choices::Loss;

/// Number of rows whose residuals are computed together.
const TILE: usize = 256;
/// Classes that are separated with certainty have next to no curvature. This share of the curvature
/// before training is a lower bound that keeps steps within reason.
const LEAST_SPREAD: f64 = 0.1;

/// The rows and their classes.
pub(super) struct Data {
    pub(super) slabs: Slabs,
    pub(super) labels: Labels,
    pub(super) loss: Loss,
    pub(super) outputs: usize,
    /// p (1 − p) of each output's share of the rows.
    prior: Vec<f64>,
}

impl Data {
    pub(super) fn new(slabs: Slabs, labels: Labels, loss: Loss, outputs: usize) -> Data {
        let mut counts = vec![0usize; outputs.max(2)];
        (0..labels.len()).flat_map(|row| labels.of(row)).for_each(|&class| counts[class as usize] += 1);
        let share = |&count: &usize| count as f64 / labels.len().max(1) as f64;
        let prior = counts.iter().map(share).map(|p| (p * (1.0 - p)).max(1e-6)).take(outputs).collect();
        Data { slabs, labels, loss, outputs, prior }
    }
}

/// Curvature of the penalty at an inverse strength, for so many rows.
pub(super) fn penalty(c: f64, rows: usize) -> f64 {
    1.0 / (c * rows.max(1) as f64)
}

/// The function at one strength. A point is the weights `[outputs, dim]`, then the biases.
pub(super) struct Regression<'a> {
    data: &'a Data,
    curvature: &'a mut Curvature,
    design: &'a Design<'a>,
    /// Where the features are coordinates in the basis of a spectrum.
    spectrum: Option<&'a Spectrum>,
    penalty: f64,
    tol: f64,
    /// Mean of p · (1 − p) of each output at the last point.
    spread: Vec<f64>,
}

impl<'a> Regression<'a> {
    /// At inverse strength and tolerance.
    pub(super) fn new(
        data: &'a Data,
        curvature: &'a mut Curvature,
        design: &'a Design<'a>,
        spectrum: Option<&'a Spectrum>,
        [c, tol]: [f64; 2],
    ) -> Regression<'a> {
        Regression { data, curvature, design, spectrum, penalty: penalty(c, data.labels.len()), tol, spread: vec![] }
    }

    /// Gradient of the weights without the penalty, with the other sums over rows; all unscaled.
    fn pass(&self, point: &[f32]) -> (Vec<f64>, Sums) {
        let Data { slabs, labels, loss, outputs, .. } = self.data;
        let (dim, outputs) = (slabs.dim, *outputs);
        let (weights, bias) = point.split_at(outputs * dim);
        let weights = MatRef::from_row_major_slice(weights, outputs, dim);
        let (mut gradient, mut sums) = (vec![0.0; outputs * dim], Sums::zeros(outputs));
        let (mut scores, mut product) = (vec![], vec![0f32; outputs * dim]);
        slabs.for_each(self.design, |rows, features| {
            let x = MatRef::from_row_major_slice(features, rows.len(), dim);
            scores.clear();
            (0..rows.len()).for_each(|_| scores.extend_from_slice(bias));
            let to = MatMut::from_row_major_slice_mut(&mut scores, rows.len(), outputs);
            matmul(to, Accum::Add, x, weights.transpose(), 1.0, par());
            let tile = |(tile, scores): (usize, &mut [f32])| {
                let first = rows.start + tile * TILE;
                residuals(*loss, outputs, scores, labels, first..first + scores.len() / outputs)
            };
            scores.par_chunks_mut(TILE * outputs).enumerate().map(tile).collect::<Vec<_>>().iter().for_each(|tile| sums.add(tile));
            let residuals = MatRef::from_row_major_slice(&scores, rows.len(), outputs);
            let to = MatMut::from_row_major_slice_mut(&mut product, outputs, dim);
            matmul(to, Accum::Replace, residuals.transpose(), x, 1.0, par());
            gradient.iter_mut().zip(&product).for_each(|(g, &p)| *g += f64::from(p));
        });
        (gradient, sums)
    }
}

impl Convex for Regression<'_> {
    fn gradient(&mut self, point: &[f32]) -> Vec<f32> {
        let n = self.data.labels.len().max(1) as f64;
        let (gradient, sums) = self.pass(point);
        self.spread = sums.spread.iter().zip(&self.data.prior).map(|(s, prior)| (s / n).max(LEAST_SPREAD * prior)).collect();
        let weights = gradient.iter().zip(point).map(|(g, &w)| (g / n + self.penalty * f64::from(w)) as f32);
        weights.chain(sums.bias.iter().map(|b| (b / n) as f32)).collect()
    }

    fn precondition(&mut self, gradient: &mut [f32]) {
        let (weights, bias) = gradient.split_at_mut(self.data.outputs * self.data.slabs.dim);
        self.curvature.divide(weights, &self.spread, self.penalty);
        bias.iter_mut().zip(&self.spread).for_each(|(g, s)| *g = (f64::from(*g) / s) as f32);
    }

    /// By the gradient of the features' own weights, whose mean is not 0.
    fn is_small(&self, gradient: &[f32]) -> bool {
        let largest = |values: &[f32]| f64::from(values.iter().fold(0f32, |m, g| m.max(g.abs())));
        let (outputs, dim) = (self.data.outputs, self.data.slabs.dim);
        let (weights, bias) = gradient.split_at(outputs * dim);
        let small = |(g, mean): (f64, f64), bias: f32| (g + f64::from(bias) * mean).abs() <= self.tol;
        if largest(bias) > self.tol {
            return false;
        }
        let Some(spectrum) = self.spectrum else {
            let mean = &self.data.slabs.mean;
            let class = |(row, &bias): (&[f32], &f32)| row.iter().zip(mean).all(|(&g, &mean)| small((f64::from(g), f64::from(mean)), bias));
            return weights.chunks_exact(dim).zip(bias).all(class);
        };
        // Computed only when the rotated gradient comes near: rotating back takes a product.
        if largest(weights) > 4.0 * self.tol {
            return false;
        }
        let weights = Mat::from_fn(dim, outputs, |i, k| f64::from(weights[k * dim + i]));
        let own = spectrum.unrotate(self.design, &weights);
        let class = |(row, &bias): (&[f64], &f32)| row.iter().zip(&spectrum.mean).all(|(&g, &mean)| small((g, mean), bias));
        own.chunks_exact(spectrum.mean.len()).zip(bias).all(class)
    }
}
