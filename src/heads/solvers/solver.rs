//! Solving for heads on one set of rows.

use super::design::Design;
use super::logreg::Path;
use super::ridge::Ridge;
use super::spectrum::{self, Spectrum};
use super::{nearest_mean, neighbours};
use crate::heads::features::task::Task;
use crate::heads::fitted::head::{FittedHead, Head};
use crate::heads::settings::config::HeadConfig;
use crate::heads::settings::spec::HeadSpec;
use crate::{Error, Result};

/// Most memory for the rows that nearest neighbours remember.
const REMEMBERED_BYTES: usize = 1 << 30;

/// Checks that a head can be solved for on so many training rows.
///
/// # Errors
/// Ridge where both rows and features are so many that they cannot be decomposed; nearest
/// neighbours of more rows than memory should hold.
pub(crate) fn fits(spec: &HeadSpec, rows: usize) -> Result<()> {
    let dim = spec.inputs;
    match spec.config() {
        HeadConfig::Ridge { .. } if rows.min(dim) > spectrum::LARGEST => {
            let problem = format!("head `ridge` would decompose a matrix of {0}×{0}, more than {1}", rows.min(dim), spectrum::LARGEST);
            Err(Error::setting(problem, "use a tap of fewer features such as `gap`, or head `logreg` or `linear`"))
        }
        HeadConfig::Knn { .. } if rows.saturating_mul(dim).saturating_mul(4) > REMEMBERED_BYTES => {
            let size = rows as f64 * dim as f64 * 4.0 / 1e9;
            let problem = format!("head `knn` would remember all {rows} training rows: {size:.1} GB");
            Err(Error::setting(problem, "limit them by `shots`, use a tap of fewer features such as `gap`, or another head"))
        }
        HeadConfig::Linear { .. }
        | HeadConfig::Dense { .. }
        | HeadConfig::Gap
        | HeadConfig::GapDropout { .. }
        | HeadConfig::Classifier { .. }
        | HeadConfig::Ridge { .. }
        | HeadConfig::LogisticRegression { .. }
        | HeadConfig::Knn { .. }
        | HeadConfig::NearestMean => Ok(()),
    }
}

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
    /// As [`fits`]; features that are not finite; a head that is trained.
    pub fn solve(&mut self, task: Task<'_>, spec: &HeadSpec) -> Result<Head> {
        let design = Design::new(task, spec.classes());
        fits(spec, design.rows())?;
        let layer = match *spec.config() {
            HeadConfig::Ridge { alpha } => {
                let spectrum = match &mut self.spectrum {
                    Some(spectrum) => spectrum,
                    None => self.spectrum.insert(Spectrum::of(&design)?),
                };
                let ridge = self.ridge.get_or_insert_with(|| Ridge::new(&design, spectrum));
                ridge.solve(&design, spectrum, alpha)
            }
            HeadConfig::LogisticRegression { c, tol } => {
                let path = match &mut self.path {
                    Some(path) => path,
                    None => self.path.insert(Path::new(&design, spec)?),
                };
                path.solve(&design, c, tol)
            }
            HeadConfig::NearestMean => nearest_mean::solve(&design)?,
            HeadConfig::Knn { .. } => {
                let fitted = FittedHead::Neighbours(neighbours::remember(&design)?);
                return Ok(Head { spec: spec.clone(), fitted });
            }
            HeadConfig::Linear { .. }
            | HeadConfig::Dense { .. }
            | HeadConfig::Gap
            | HeadConfig::GapDropout { .. }
            | HeadConfig::Classifier { .. } => {
                let problem = format!("head `{}` is trained, not solved for", spec.params().head);
                return Err(Error::setting(problem, "give it to a trainer"));
            }
        };
        Ok(Head::new(spec, None, vec![layer]))
    }
}
