//! Solving for heads on one set of rows.

use super::design::Design;
use super::logreg::Path;
use super::ridge::Ridge;
use super::spectrum::{self, Spectrum};
use super::{nearest_mean, neighbours};
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::choices::HeadKind;
use crate::heads::settings::spec::HeadSpec;
use crate::{Error, Result};

/// Most memory for the rows that nearest neighbours remember.
const REMEMBERED_BYTES: usize = 1 << 30;

/// Whether a head can be solved for on so many training rows.
///
/// # Errors
/// Ridge where both rows and features are so many that they cannot be decomposed; nearest neighbours of more rows than memory should hold.
pub fn fits(spec: &HeadSpec, rows: usize) -> Result<()> {
    let dim = spec.inputs;
    match spec.params().head {
        HeadKind::Ridge if rows.min(dim) > spectrum::LARGEST => {
            let problem = format!("head `ridge` would decompose a matrix of {0}×{0}, more than {1}", rows.min(dim), spectrum::LARGEST);
            Err(Error::setting(problem, "use a tap of fewer features such as `gap`, or head `logreg` or `linear`"))
        }
        HeadKind::Knn if rows.saturating_mul(dim).saturating_mul(4) > REMEMBERED_BYTES => {
            let size = rows as f64 * dim as f64 * 4.0 / 1e9;
            let problem = format!("head `knn` would remember all {rows} training rows: {size:.1} GB");
            Err(Error::setting(problem, "limit them by `shots`, use a tap of fewer features such as `gap`, or another head"))
        }
        _ => Ok(()),
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
    /// As [`fits`], and features that are no numbers.
    pub fn solve(&mut self, task: Task<'_>, spec: &HeadSpec) -> Result<Head> {
        let design = Design::new(task, spec.classes());
        fits(spec, design.rows())?;
        let layers = match spec.params().head {
            HeadKind::Ridge => {
                let spectrum = match &mut self.spectrum {
                    Some(spectrum) => spectrum,
                    None => self.spectrum.insert(Spectrum::of(&design)?),
                };
                let ridge = self.ridge.get_or_insert_with(|| Ridge::new(&design, spectrum));
                vec![ridge.solve(&design, spectrum, spec.params().alpha)]
            }
            HeadKind::Logreg => {
                let path = match &mut self.path {
                    Some(path) => path,
                    None => self.path.insert(Path::new(&design, spec)?),
                };
                vec![path.solve(&design, spec.params().c, spec.params().tol)]
            }
            HeadKind::NearestMean => vec![nearest_mean::solve(&design)?],
            _ => vec![],
        };
        let neighbours = (spec.params().head == HeadKind::Knn).then(|| neighbours::remember(&design)).transpose()?;
        Ok(Head { spec: spec.clone(), batch_norm: None, layers, neighbours })
    }
}
