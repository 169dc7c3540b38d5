//! A file's tensors held against those that a network needs.

use std::fmt;

use crate::graph::Parameter;

/// Differences between the tensors that a backbone needs and those that a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Needed and not there.
    pub missing: Vec<String>,
    /// There and not needed (bookkeeping such as `num_batches_tracked` is left out).
    pub unexpected: Vec<String>,
    /// Name, needed shape, shape found.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Audit {
    /// Compares needed tensors with those of a file.
    pub fn new(needed: &[Parameter], there: &[Parameter]) -> Audit {
        let found: std::collections::BTreeMap<_, _> = there.iter().map(|p| (p.name.as_str(), &p.shape)).collect();
        let wanted: std::collections::BTreeSet<_> = needed.iter().map(|p| p.name.as_str()).collect();
        let mut audit = Audit::default();
        for p in needed {
            match found.get(p.name.as_str()) {
                None => audit.missing.push(p.name.clone()),
                Some(&shape) if *shape != p.shape => audit.misshapen.push((p.name.clone(), p.shape.clone(), shape.clone())),
                Some(_) => {}
            }
        }
        audit.unexpected = there
            .iter()
            .map(|p| &p.name)
            .filter(|n| !wanted.contains(n.as_str()) && !n.ends_with("num_batches_tracked"))
            .cloned()
            .collect();
        audit
    }

    /// Whether the needed tensors are all there in their shapes (unexpected ones do no harm).
    pub fn is_usable(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut list = |what: &str, names: &[String]| -> fmt::Result {
            if names.is_empty() {
                return Ok(());
            }
            writeln!(
                f,
                "  {what} ({}): {}{}",
                names.len(),
                names[..names.len().min(SHOWN)].join(", "),
                if names.len() > SHOWN { ", …" } else { "" }
            )
        };
        list("missing", &self.missing)?;
        let shapes: Vec<String> = self.misshapen.iter().map(|(n, want, got)| format!("{n} {got:?} instead of {want:?}")).collect();
        list("wrong shape", &shapes)?;
        list("unexpected", &self.unexpected)
    }
}
