//! Heads without a learning rate: each is solved for rather than trained, to an optimum that its
//! settings alone decide.
//!
//! Work is shared among the strengths of one kind of head on one set of rows through [`Solver`]:
//! one decomposition for ridge, one path of starting points for logistic regression. Shared work
//! does not depend on the strengths that are asked for, so a head's numbers do not depend on the
//! other heads of a sweep. The order of sums depends on the number of rows alone, so numbers do not
//! depend on the number of threads either.
//!
//! | file | what for |
//! |---|---|
//! | `solver` | `Solver`, and the check of sizes |
//! | `design` | training rows, read block by block |
//! | `layer` | solutions as layers |
//! | `ridge` | ridge classification |
//! | `logreg` | logistic regression along a path of strengths |
//! | `regression` | logistic regression at one strength |
//! | `residuals` | scores to residuals |
//! | `curvature` | an approximate Hessian |
//! | `lbfgs` | minimisation by L-BFGS |
//! | `slabs` | centred rows in memory or read again |
//! | `spectrum` | eigendecomposition of the scatter matrix |
//! | `neighbours` | nearest neighbours |
//! | `nearest_mean` | nearest class mean |

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
