//! Sweeps: many heads on cached features, and the directory that they leave.

mod config;
mod space;
mod yaml;

pub use config::{DEFAULT, Method, Metric, SweepConfig};
pub use space::{Axis, Domain, INPUTS, Range};
pub use yaml::{Entry, Node, Origin, Yaml};
