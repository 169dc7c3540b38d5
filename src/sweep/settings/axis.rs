//! The search space: one axis for each parameter.

use serde_json::{Value, json};

use super::distribution;
use super::domain::{Choice, Domain};
use super::keys::{SETTABLE, TOP_LEVEL, is_whole, parameters};
use super::yaml::{Entry, Origin};
use crate::heads::{SettingSpec, did_you_mean, plain};
use crate::{Error, Result};

/// One parameter and the values that it may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Name of the parameter.
    pub key: String,
    /// Its line in the sweep file; 0 where it came from elsewhere.
    pub line: usize,
    /// The values that it may take.
    pub domain: Domain,
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

impl Axis {
    /// Reads one entry of `parameters`.
    ///
    /// # Errors
    /// An unknown parameter, field, distribution or value, with its line and the nearest valid
    /// word.
    pub fn read(entry: &Entry, origin: &Origin) -> Result<Axis> {
        if !parameters().any(|name| name == entry.key) {
            let hint = match TOP_LEVEL.iter().find(|word| **word == entry.key) {
                Some(word) => format!("`{word}` stands beside `parameters`, not among them"),
                None => did_you_mean(&entry.key, parameters()),
            };
            return Err(origin.mistake(entry.line, format!("`{}` is not a parameter", entry.key), hint));
        }
        Axis::checked(&entry.key, entry.line, distribution::read(entry, origin)?, origin)
    }

    /// An axis over values that come from no file, where a key of the top level may be meant too.
    ///
    /// # Errors
    /// As [`Axis::read`].
    pub fn of(key: &str, values: Vec<Value>) -> Result<Axis> {
        if !parameters().any(|name| name == key) {
            let words = parameters().chain(SETTABLE.iter().copied());
            return Err(Error::setting(format!("`{key}` is not a setting of a sweep"), did_you_mean(key, words)));
        }
        Axis::checked(key, 0, Domain::of(values), &Origin("".into()))
    }

    fn checked(key: &str, line: usize, mut domain: Domain, origin: &Origin) -> Result<Axis> {
        if let Domain::Values(values) = &mut domain
            && is_whole(key)
        {
            values.iter_mut().for_each(|choice| choice.value = whole(&choice.value));
        }
        let axis = Axis { key: key.into(), line, domain };
        axis.check(origin)?;
        Ok(axis)
    }

    fn check(&self, origin: &Origin) -> Result<()> {
        let checked: Vec<Choice> = match &self.domain {
            Domain::Values(values) if values.is_empty() => {
                return Err(origin.mistake(
                    self.line,
                    format!("`{}` has no values: the grid is empty", self.key),
                    "name at least one value",
                ));
            }
            Domain::Values(values) => values.clone(),
            Domain::Range(range) => [0.0, 1.0 - f64::EPSILON].map(|u| Choice { line: self.line, value: range.at(u) }).into(),
        };
        if self.key == "shots" {
            let fits = |value: &Value| value.as_u64().is_some_and(|n| n > 0);
            return match checked.iter().find(|choice| !fits(&choice.value)) {
                Some(Choice { line, value }) => {
                    Err(origin.mistake(*line, format!("`shots: {}` cannot be used", plain(value)), "use whole numbers above 0"))
                }
                None => Ok(()),
            };
        }
        let Ok(key) = SettingSpec::find(&self.key) else { return Ok(()) };
        checked.iter().try_for_each(|choice| key.check(&choice.value).map_err(origin.at(choice.line)))
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
            ("lr:\n  value: 0.1\n  min: 0.01\n  max: 1", "s.yaml:3: `min` of `lr` has no effect beside `value`", "use value, values, or"),
            ("lr:\n  values: [0.1]\n  value: 0.2", "s.yaml:2: `values` of `lr` has no effect beside `value`", "use value, values, or"),
            (
                "lr:\n  value: 0.1\n  distribution: uniform",
                "s.yaml:2: `value` of `lr` has no effect beside `distribution`",
                "use value, values, or",
            ),
            ("lr:\n  distribution: constant", "s.yaml:1: `lr` has no `value`", "write `value: …`"),
            ("lr:\n  min: 0.1\n  max: 1.0\n  q: 0.1", "s.yaml:4: `q` of `lr` has no effect", "`distribution: q_uniform`"),
            (
                "lr: {distribution: log_uniform_values, min: 0.1, max: 1, q: 0.1}",
                "s.yaml:1: `q` of `lr` has no effect",
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
