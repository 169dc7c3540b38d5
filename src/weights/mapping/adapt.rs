//! The map that fits a file.

use super::applications;
use super::mapped::Mapped;
use super::naming::{Adapted, NameMap, Names, Naming};
use crate::graph::Parameter;
use crate::weights::TensorSource;

/// Puts a source under the names of a graph that needs these parameters, if a library that `naming`
/// knows has named it; else leaves it as it is.
///
/// The digest of a renamed source depends on the file and on the new name of each tensor.
pub(crate) fn adapt(naming: &Naming, needed: &[Parameter], source: Box<dyn TensorSource>) -> Adapted {
    let entries = source.entries();
    let names: Names = entries.iter().map(|p| p.name.clone()).collect();
    let fits = |map: &&NameMap| {
        let renamed = |p: &Parameter| (map.rename)(p, &names).is_some_and(|(name, _)| name == map.witness);
        !names.contains(map.witness) && entries.iter().any(renamed)
    };
    if let Some(map) = naming.maps.iter().find(fits) {
        return Adapted { source: Box::new(Mapped::new(source, |p| (map.rename)(p, &names))), dialect: map.dialect };
    }
    let kept = if naming.keras_layers { applications::adapt(needed, source) } else { Err(source) };
    kept.unwrap_or_else(|source| Adapted { source, dialect: naming.own })
}
