//! How the trials of a sweep are chosen.

/// How trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every combination of the values.
    Grid,
    /// Independent draws.
    Random,
    /// Draws near the best trials so far, by a tree-structured Parzen estimator.
    Bayes,
}

impl Method {
    pub(super) const ALL: [Method; 3] = [Method::Grid, Method::Random, Method::Bayes];
    pub(super) const NAMES: [&str; 3] = ["grid", "random", "bayes"];

    /// Its name in a sweep file.
    pub const fn name(self) -> &'static str {
        Method::NAMES[self as usize]
    }
}
