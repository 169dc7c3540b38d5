//! The values that a parameter may take: a list of them, or a distribution over numbers.

use std::fmt;

use serde_json::{Value, json};

use crate::rng::unit_f32;

/// The values that a parameter may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// One of these.
    Values(Vec<Choice>),
    /// A number drawn from a distribution.
    Range(Range),
}

/// One value of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Its line in the sweep file; 0 where it came from elsewhere.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// A distribution over numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end.
    pub min: f64,
    /// Upper end.
    pub max: f64,
    /// Whether it is uniform in the logarithm.
    pub log: bool,
    /// The step to whose multiples numbers are rounded; 0 for none.
    pub q: f64,
    /// Whether its numbers are whole.
    pub whole: bool,
}

impl Domain {
    /// A list of values that come from no line of a file.
    pub fn of(values: impl IntoIterator<Item = Value>) -> Domain {
        Domain::Values(values.into_iter().map(|value| Choice { line: 0, value }).collect())
    }

    /// The value at `u` in `[0, 1)` of the way through the domain.
    pub fn at(&self, u: f64) -> Value {
        match self {
            Domain::Values(values) => values[(u * values.len() as f64) as usize].value.clone(),
            Domain::Range(range) => range.at(u),
        }
    }

    /// Number of values that are listed; 0 for a distribution.
    pub(super) fn len(&self) -> usize {
        if let Domain::Values(values) = self { values.len() } else { 0 }
    }

    /// The value that 32 random bits select.
    pub fn draw(&self, bits: u32) -> Value {
        self.at(f64::from(unit_f32(bits)))
    }
}

/// As a sweep file writes it, without the braces.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Values(values) => {
                let values: Vec<String> = values.iter().map(|choice| choice.value.to_string()).collect();
                write!(f, "values: [{}]", values.join(", "))
            }
            Domain::Range(range) => range.fmt(f),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.q > 0.0, self.log, self.whole) {
            (true, true, _) => "q_log_uniform_values",
            (true, false, _) => "q_uniform",
            (false, true, _) => "log_uniform_values",
            (false, false, true) => "int_uniform",
            (false, false, false) => "uniform",
        };
        write!(f, "distribution: {name}, min: {:?}, max: {:?}", self.min, self.max)?;
        if self.q > 0.0 { write!(f, ", q: {:?}", self.q) } else { Ok(()) }
    }
}

impl Range {
    /// The number at `u` in `[0, 1)` of the way through the distribution.
    pub fn at(&self, u: f64) -> Value {
        if self.whole && !self.log && self.q == 0.0 {
            let [first, last] = self.steps();
            return json!((first + (u * (last - first + 1.0)).floor()) as i64);
        }
        let x = if self.log { (self.min.ln() + u * (self.max / self.min).ln()).exp() } else { self.min + u * (self.max - self.min) };
        self.value(x)
    }

    /// The number of the distribution that is nearest to `x`.
    pub fn value(&self, x: f64) -> Value {
        let unit = self.unit();
        let [first, last] = self.steps();
        let x = if unit > 0.0 { (x / unit).round().clamp(first, last) * unit } else { x };
        if self.whole {
            return json!(x.round() as i64);
        }
        // Seven digits, so that a setting can be read, copied and typed again.
        json!(format!("{x:.6e}").parse::<f64>().unwrap_or(x))
    }

    /// The place of `x` on the scale on which the distribution is uniform.
    pub(crate) fn coordinate(&self, x: f64) -> f64 {
        if self.log { x.ln() } else { x }
    }

    /// The step of which its numbers are multiples; 0 for none.
    pub(crate) fn unit(&self) -> f64 {
        if self.q > 0.0 { self.q } else { f64::from(u8::from(self.whole)) }
    }

    /// The first and the last multiple of the step between the ends, counted in steps.
    pub(super) fn steps(&self) -> [f64; 2] {
        // 0.3 / 0.1 is a little less than 3.
        const SLACK: f64 = 1e-9;
        let unit = self.unit();
        [(self.min / unit - SLACK).ceil(), (self.max / unit + SLACK).floor()]
    }
}
