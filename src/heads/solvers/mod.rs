//! Heads without a learning rate: each is solved for rather than trained, to an optimum that its settings alone decide.
//!
//! Work is shared among the strengths of one kind of head on one set of rows through [`Solver`]: one decomposition for ridge and logistic
//! regression, one path of starting points for logistic regression. Nothing that is shared depends on which strengths are asked for, so a
//! head's numbers do not depend on its neighbours; sums are made in an order that the number of rows alone decides, so they do not depend on
//! the number of threads either.

mod design;
mod lbfgs;
mod logreg;
mod nearest_mean;
mod neighbours;
mod ridge;
mod spectrum;

#[cfg(test)]
mod tests;

pub use neighbours::Neighbours;

use design::Design;
use logreg::Path;
use ridge::Ridge;
use spectrum::Spectrum;

use super::head::{Head, Layer};
use super::params::HeadSpec;
use super::train::Task;
use super::words::HeadKind;
use crate::Result;

/// Solves for heads on one set of training rows and keeps what they share.
#[derive(Default)]
pub struct Solver {
    spectrum: Option<Spectrum>,
    ridge: Option<Ridge>,
    path: Option<Path>,
}

impl Solver {
    /// The head that is optimal for its settings. Every call must name the same task.
    ///
    /// # Errors
    /// Features of so many dimensions and rows that they cannot be decomposed.
    pub fn solve(&mut self, task: Task<'_>, spec: &HeadSpec) -> Result<Head> {
        let design = Design::new(task, spec.classes());
        let layers = match spec.params().head {
            HeadKind::Ridge => {
                let spectrum = decomposed(&mut self.spectrum, &design)?;
                let ridge = self.ridge.get_or_insert_with(|| Ridge::new(&design, spectrum));
                vec![ridge.solve(spectrum, spec.params().alpha)]
            }
            HeadKind::Logreg => {
                let spectrum = decomposed(&mut self.spectrum, &design)?;
                let path = self.path.get_or_insert_with(|| Path::new(&design, spectrum, spec));
                vec![path.solve(spectrum, spec.params().c, spec.params().tol)]
            }
            HeadKind::NearestMean => vec![nearest_mean::solve(&design)],
            _ => vec![],
        };
        let neighbours = (spec.params().head == HeadKind::Knn).then(|| Neighbours::new(&design));
        Ok(Head { spec: spec.clone(), batch_norm: None, layers, neighbours })
    }
}

fn decomposed<'a>(made: &'a mut Option<Spectrum>, design: &Design<'_>) -> Result<&'a Spectrum> {
    Ok(match made {
        Some(spectrum) => spectrum,
        None => made.insert(Spectrum::of(design)?),
    })
}

/// A layer from columns of f64: `weight[dim · classes]` by class, for features whose mean is `mean`, and the scores at that mean.
fn layer(weight: &[f64], mean: &[f64], at_mean: &[f64]) -> Layer {
    let rows = weight.chunks_exact(mean.len());
    let bias = rows.zip(at_mean).map(|(w, at)| (at - w.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>()) as f32).collect();
    Layer { weight: weight.iter().map(|&w| w as f32).collect(), bias }
}
