//! The metric that trials are compared by, and the order that it gives them.

use std::cmp::Ordering;

use serde_json::{Map, Value};

pub(crate) use crate::heads::Metric;

impl Metric {
    /// The rank of a trial with these metrics (`val.acc1` and so on).
    pub(crate) fn rank(&self, metrics: &Map<String, Value>) -> Rank {
        let of = |name: &str| metrics.get(&format!("val.{name}")).and_then(Value::as_f64);
        let score = of(self.name).map_or(f64::NEG_INFINITY, |m| if self.more { m } else { -m });
        Rank { score, loss: of("loss").unwrap_or(f64::INFINITY) }
    }
}

/// How well a trial does: the metric first, then the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rank {
    /// The metric, negated where less is better.
    pub(crate) score: f64,
    /// `val.loss`
    pub(crate) loss: f64,
}

impl Rank {
    /// The rank of a trial that diverged: behind all others.
    pub(crate) const DIVERGED: Rank = Rank { score: f64::NEG_INFINITY, loss: f64::INFINITY };

    /// The better rank is the greater one.
    pub(crate) fn total_cmp(&self, other: &Rank) -> Ordering {
        self.score.total_cmp(&other.score).then(other.loss.total_cmp(&self.loss))
    }
}
