//! The search space: one axis a parameter, as values or as a distribution.

use serde_json::{Value, json};

use super::config::{FIELDS as TOP, SETTABLE};
use super::domain;
use super::yaml::{Entry, Origin};
use crate::heads::{KEYS, Kind, SettingSpec, did_you_mean, plain};
use crate::rng::unit_f32;
use crate::{Error, Result};

/// Axes over what heads are trained on rather than over how.
pub const INPUTS: &[&str] = &["cache", "tap", "shots"];

/// Names of all parameters.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    INPUTS.iter().copied().chain(KEYS.iter().map(|key| key.name))
}

/// One parameter and what it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The parameter.
    pub key: String,
    /// Its line in the sweep file, 0 where it came from elsewhere.
    pub line: usize,
    /// What it may be.
    pub domain: Domain,
}

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// One of these; lines beside them.
    Values(Vec<(usize, Value)>),
    /// A number drawn from a distribution.
    Range(Range),
}

/// A distribution over numbers, ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end.
    pub min: f64,
    /// Upper end.
    pub max: f64,
    /// Whether it is uniform in the logarithm.
    pub log: bool,
    /// Rounded to multiples of this, where above 0.
    pub q: f64,
    /// Whether its numbers are whole.
    pub whole: bool,
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
        // Seven digits: a setting is to be read, copied and typed again.
        json!(format!("{x:.6e}").parse::<f64>().unwrap_or(x))
    }

    /// Where `x` lies on the scale on which the distribution is uniform.
    pub(crate) fn coordinate(&self, x: f64) -> f64 {
        if self.log { x.ln() } else { x }
    }

    /// What its numbers are multiples of; 0 where they are of nothing.
    pub(crate) fn unit(&self) -> f64 {
        if self.q > 0.0 { self.q } else { f64::from(u8::from(self.whole)) }
    }

    /// The first and the last of these multiples that lie between the ends.
    pub(crate) fn steps(&self) -> [f64; 2] {
        // 0.3 / 0.1 is a little less than 3.
        const SLACK: f64 = 1e-9;
        let unit = self.unit();
        [(self.min / unit - SLACK).ceil(), (self.max / unit + SLACK).floor()]
    }
}

/// Whether a parameter holds whole numbers only.
pub(crate) fn is_whole(key: &str) -> bool {
    key == "shots" || SettingSpec::find(key).is_ok_and(|key| matches!(key.kind, Kind::Count(_) | Kind::Counts))
}

/// `8.0` as `8`, also in a list: that is how W&B and others write whole numbers.
fn whole(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(whole).collect(),
        other => match other.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 1e15) {
            Some(x) => json!(x as i64),
            None => other.clone(),
        },
    }
}

impl Domain {
    /// The value at `u` in `[0, 1)` of the way through the domain.
    pub fn at(&self, u: f64) -> Value {
        match self {
            Domain::Values(values) => values[(u * values.len() as f64) as usize].1.clone(),
            Domain::Range(range) => range.at(u),
        }
    }

    /// Values that are listed; a distribution lists none.
    pub(crate) fn len(&self) -> usize {
        if let Domain::Values(values) = self { values.len() } else { 0 }
    }

    /// A value drawn with 32 random bits.
    pub fn draw(&self, bits: u32) -> Value {
        self.at(f64::from(unit_f32(bits)))
    }
}

impl Axis {
    /// Reads one entry of `parameters`.
    ///
    /// # Errors
    /// An unknown parameter, field, distribution or value, with its line and the nearest valid word.
    pub fn read(entry: &Entry, origin: &Origin) -> Result<Axis> {
        if !names().any(|name| name == entry.key) {
            let hint = match TOP.iter().find(|word| **word == entry.key) {
                Some(word) => format!("`{word}` stands beside `parameters`, not among them"),
                None => did_you_mean(&entry.key, names()),
            };
            return Err(origin.mistake(entry.line, format!("`{}` is not a parameter", entry.key), hint));
        }
        Axis::checked(&entry.key, entry.line, domain::read(entry, origin)?, origin)
    }

    /// An axis over values from the command line, where the words beside the parameters can be meant too.
    ///
    /// # Errors
    /// As [`Axis::read`].
    pub fn of(key: &str, values: Vec<Value>) -> Result<Axis> {
        if !names().any(|name| name == key) {
            let words = names().chain(SETTABLE.iter().copied());
            return Err(Error::setting(format!("`{key}` is no setting of a sweep"), did_you_mean(key, words)));
        }
        Axis::checked(key, 0, Domain::Values(values.into_iter().map(|v| (0, v)).collect()), &Origin("".into()))
    }

    fn checked(key: &str, line: usize, mut domain: Domain, origin: &Origin) -> Result<Axis> {
        if let Domain::Values(values) = &mut domain
            && is_whole(key)
        {
            values.iter_mut().for_each(|(_, value)| *value = whole(value));
        }
        let axis = Axis { key: key.into(), line, domain };
        axis.check(origin)?;
        Ok(axis)
    }

    fn check(&self, origin: &Origin) -> Result<()> {
        let checked: Vec<(usize, Value)> = match &self.domain {
            Domain::Values(values) if values.is_empty() => {
                return Err(origin.mistake(
                    self.line,
                    format!("`{}` has no values: the grid is empty", self.key),
                    "name at least one value",
                ));
            }
            Domain::Values(values) => values.clone(),
            Domain::Range(range) => [0.0, 1.0 - f64::EPSILON].map(|u| (self.line, range.at(u))).into(),
        };
        if self.key == "shots" {
            let fits = |value: &Value| value.as_u64().is_some_and(|n| n > 0);
            return match checked.iter().find(|(_, value)| !fits(value)) {
                Some((line, value)) => {
                    Err(origin.mistake(*line, format!("`shots: {}` cannot be used", plain(value)), "use whole numbers above 0"))
                }
                None => Ok(()),
            };
        }
        let Ok(key) = SettingSpec::find(&self.key) else { return Ok(()) };
        checked.iter().try_for_each(|(line, value)| key.check(value).map_err(origin.at(*line)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::yaml::Node;
    use super::*;

    fn axis(text: &str) -> Result<Axis> {
        let tree = Node::parse(text, Path::new("s.yaml"))?;
        Axis::read(&tree.entries().unwrap()[0], &Origin("s.yaml".into()))
    }

    #[test]
    fn distributions_keep_to_their_ends_and_kinds() {
        let draws = |text: &str| {
            let domain = axis(text).unwrap().domain;
            (0..1000).map(|i| domain.at(f64::from(i) / 1000.0)).collect::<Vec<_>>()
        };
        let lr = draws("lr: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}");
        assert_eq!((lr[0].as_f64(), lr[500].as_f64()), (Some(1e-5), Some(1e-3)));
        let epochs = draws("epochs: {min: 3, max: 5}");
        assert!(epochs.iter().all(Value::is_i64) && epochs[0] == 3 && epochs[999] == 5);
        let batches = draws("batch_size: {distribution: q_uniform, min: 8, max: 100, q: 16}");
        assert!(batches.iter().all(|v| v.as_u64().is_some_and(|n| n % 16 == 0)) && batches[0] == 16 && batches[999] == 96);
        let hidden = draws("hidden: {distribution: q_log_uniform_values, min: 16, max: 512, q: 16}");
        assert!(hidden.iter().all(|v| v.as_u64().is_some_and(|n| n % 16 == 0)) && hidden[0] == 16 && hidden[999] == 512);
        let k = draws("k: {distribution: log_uniform_values, min: 1, max: 100}");
        assert!(k.iter().all(Value::is_i64) && k[0] == 1 && k[500] == 10 && k[999] == 100);
        assert_eq!(draws("hidden: {values: [[256.0, 128.0]]}")[0].to_string(), "[256,128]");
        let rounded = draws("dropout: {distribution: q_uniform, min: 0, max: 0.5, q: 0.1}");
        assert_eq!(rounded[999].as_f64(), Some(0.5));
        assert!(rounded.iter().all(|v| ((v.as_f64().unwrap() * 10.0).round() / 10.0 - v.as_f64().unwrap()).abs() < 1e-6));
    }

    #[test]
    fn mistakes_are_refused_with_line_and_nearest_word() {
        let cases = [
            ("dorpout: {value: 1}", "s.yaml:1: `dorpout` is not a parameter", "`dropout`"),
            ("lr: {vales: [1]}", "s.yaml:1", "`values`"),
            ("lr: {distribution: log_unifrom_values, min: 1, max: 2}", "is not a distribution", "`log_uniform_values`"),
            ("head:\n  values:\n  - linear\n  - dnse", "s.yaml:4", "`dense`"),
            ("lr: {values: []}", "the grid is empty", "at least one"),
            ("lr: {distribution: log_uniform_values, min: 0, max: 2}", "ranges from 0 to 2", "0 < min"),
            ("dropout: {min: 0.0, max: 2.0}", "`dropout: 2.0` cannot be used", "below 1"),
            ("lr: 0.1", "needs value", "{value: 0.1}"),
            ("taps: {value: gap}", "is not a parameter", "`tap`"),
            ("folds: {value: 5}", "s.yaml:1: `folds` is not a parameter", "stands beside `parameters`"),
            (
                "lr:\n  value: 0.1\n  min: 0.01\n  max: 1",
                "s.yaml:3: `min` of `lr` counts for nothing beside `value`",
                "use value, values, or",
            ),
            ("lr:\n  values: [0.1]\n  value: 0.2", "s.yaml:2: `values` of `lr` counts for nothing beside `value`", "use value, values, or"),
            (
                "lr:\n  value: 0.1\n  distribution: uniform",
                "s.yaml:2: `value` of `lr` counts for nothing beside `distribution`",
                "use value, values, or",
            ),
            ("lr:\n  distribution: constant", "s.yaml:1: `lr` has no `value`", "write `value: …`"),
            ("lr:\n  min: 0.1\n  max: 1.0\n  q: 0.1", "s.yaml:4: `q` of `lr` counts for nothing", "`distribution: q_uniform`"),
            (
                "lr: {distribution: log_uniform_values, min: 0.1, max: 1, q: 0.1}",
                "s.yaml:1: `q` of `lr` counts for nothing",
                "q_log_uniform_values",
            ),
            (
                "batch_size: {distribution: q_uniform, min: 8, max: 64, q: 0.5}",
                "s.yaml:1: `q: 0.5` cannot be used",
                "a whole number above 0",
            ),
            ("batch_size: {distribution: q_uniform, min: 17, max: 31, q: 16}", "s.yaml:1: `batch_size` has no multiple of 16", "`q`"),
            ("batch_size: {value: 8.5}", "s.yaml:1: `batch_size: 8.5` cannot be used", "a whole number"),
            ("lr: {distribution: log_uniform, min: -9, max: -2}", "`log_uniform` is not a distribution", "`log_uniform_values`"),
            ("lr: {distribution: beta, min: 1, max: 2}", "`beta` is not a distribution", "uniform, log_uniform_values, int_uniform"),
            ("lr: {distribution: q_uniform, min: 0.1, max: 1, q: -1}", "s.yaml:1: `q: -1` cannot be used", "above 0"),
        ];
        for (text, problem, hint) in cases {
            let message = axis(text).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains(hint), "{text}: {message}");
        }
    }
}
