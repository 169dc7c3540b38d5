//! Fitting nearest neighbours: remembering the training rows.

use super::design::{Design, not_finite};
use crate::Result;
use crate::heads::fitted::neighbours::{Neighbours, normalise};

/// The training rows, each divided by its length.
///
/// # Errors
/// Features that are not finite. They are near to no row and would go unnoticed later.
pub(super) fn remember(design: &Design<'_>) -> Result<Neighbours> {
    let mut rows = Vec::with_capacity(design.rows() * design.dim());
    design.for_each_block(|_, features| rows.extend_from_slice(features));
    rows.chunks_exact_mut(design.dim()).for_each(normalise);
    let all_finite = rows.iter().all(|x| x.is_finite());
    if all_finite { Ok(Neighbours { rows, labels: design.all_labels() }) } else { Err(not_finite()) }
}
