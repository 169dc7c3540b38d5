//! Heads without a learning rate: each is solved for rather than trained, to an optimum that its settings alone decide.
//!
//! Work is shared among the strengths of one kind of head on one set of rows through [`Solver`]: one decomposition for ridge, one path of
//! starting points for logistic regression. Nothing that is shared depends on which strengths are asked for, so a
//! head's numbers do not depend on its neighbours; sums are made in an order that the number of rows alone decides, so they do not depend on
//! the number of threads either.

mod curvature;
mod design;
mod layer;
mod lbfgs;
mod logreg;
mod nearest_mean;
mod neighbours;
mod regression;
mod residuals;
mod ridge;
mod slabs;
mod solver;
mod spectrum;

#[cfg(test)]
mod tests;

#[allow(unreachable_pub, reason = "re-exported further up")]
pub use solver::Solver;
pub(crate) use solver::fits;
