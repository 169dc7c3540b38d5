//! The search space: one axis a parameter, as values or as a distribution.

use serde_json::{Value, json};

use super::yaml::{Entry, Node, Origin};
use crate::Result;
use crate::heads::{Key, did_you_mean, plain};
use crate::rng::unit_f32;

/// Axes over what heads are trained on rather than over how.
pub const INPUTS: &[&str] = &["cache", "tap", "shots"];

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

const FIELDS: &[&str] = &["value", "values", "distribution", "min", "max", "q"];
const DISTRIBUTIONS: &[&str] =
    &["constant", "categorical", "uniform", "log_uniform_values", "int_uniform", "q_uniform", "q_log_uniform_values"];

impl Range {
    /// The number at `u` in `[0, 1)` of the way through the distribution.
    pub fn at(&self, u: f64) -> Value {
        if self.whole {
            return json!((self.min + (u * (self.max - self.min + 1.0)).floor()) as i64);
        }
        let x = if self.log { (self.min.ln() + u * (self.max / self.min).ln()).exp() } else { self.min + u * (self.max - self.min) };
        self.value(x)
    }

    /// The number of the distribution that is nearest to `x`.
    pub fn value(&self, x: f64) -> Value {
        if self.whole {
            return json!(x.round().clamp(self.min, self.max) as i64);
        }
        let x = if self.q > 0.0 { (x / self.q).round() * self.q } else { x };
        // Seven digits: a setting is to be read, copied and typed again.
        json!(format!("{x:.6e}").parse::<f64>().unwrap_or(x))
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
        let known = INPUTS.contains(&entry.key.as_str());
        if !known && let Err(unknown) = Key::find(&entry.key) {
            let near = crate::nearest(&entry.key, INPUTS.iter().copied().chain(crate::heads::KEYS.iter().map(|k| k.name)));
            return Err(match near.filter(|near| INPUTS.contains(near)) {
                Some(near) => origin.mistake(entry.line, format!("`{}` is not a parameter", entry.key), format!("did you mean `{near}`?")),
                None => origin.at(entry.line)(unknown),
            });
        }
        let domain = match entry.value.entries() {
            Some(fields) => domain(entry, fields, origin)?,
            None => {
                let hint = format!("write `{}: {{value: {}}}`, or {{values: […]}} for several", entry.key, plain(&entry.value.to_json()));
                return Err(origin.mistake(entry.value.line, format!("`{}` needs value, values or a distribution", entry.key), hint));
            }
        };
        let axis = Axis { key: entry.key.clone(), line: entry.line, domain };
        axis.check(origin)?;
        Ok(axis)
    }

    /// An axis over values from the command line.
    ///
    /// # Errors
    /// As [`Axis::read`].
    pub fn of(key: &str, values: Vec<Value>) -> Result<Axis> {
        if !INPUTS.contains(&key) {
            Key::find(key)?;
        }
        let axis = Axis { key: key.into(), line: 0, domain: Domain::Values(values.into_iter().map(|v| (0, v)).collect()) };
        axis.check(&Origin("".into()))?;
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
        let Ok(key) = Key::find(&self.key) else { return Ok(()) };
        checked.iter().try_for_each(|(line, value)| key.check(value).map_err(origin.at(*line)))
    }
}

fn domain(entry: &Entry, fields: &[Entry], origin: &Origin) -> Result<Domain> {
    for field in fields {
        if !FIELDS.contains(&field.key.as_str()) {
            let problem = format!("`{}` says nothing about a parameter", field.key);
            return Err(origin.mistake(field.line, problem, did_you_mean(&field.key, FIELDS.iter().copied())));
        }
    }
    let field = |name: &str| fields.iter().find(|f| f.key == name).map(|f| &f.value);
    let mistake = |line, problem: String, hint: String| Err(origin.mistake(line, problem, hint));
    let distribution = match field("distribution") {
        None => None,
        Some(node) => match node.to_json() {
            Value::String(word) if DISTRIBUTIONS.contains(&word.as_str()) => Some(word),
            other => {
                let word = plain(&other);
                return mistake(node.line, format!("`{word}` is not a distribution"), did_you_mean(&word, DISTRIBUTIONS.iter().copied()));
            }
        },
    };
    match (field("value"), field("values"), distribution.as_deref()) {
        (Some(node), None, None | Some("constant")) => Ok(Domain::Values(vec![(node.line, node.to_json())])),
        (None, Some(node), None | Some("categorical")) => match node.items() {
            Some(items) => Ok(Domain::Values(items.iter().map(|i| (i.line, i.to_json())).collect())),
            None => mistake(
                node.line,
                format!("`values` of `{}` is no list", entry.key),
                format!("write `values: [{}]`", plain(&node.to_json())),
            ),
        },
        (None, None, word) if word != Some("constant") && word != Some("categorical") => {
            range(entry, word, &field, origin).map(Domain::Range)
        }
        _ => mistake(entry.line, format!("`{}` mixes ways to say what it may be", entry.key), "use value, values, or min and max".into()),
    }
}

fn range<'a>(entry: &Entry, word: Option<&str>, field: &impl Fn(&str) -> Option<&'a Node>, origin: &Origin) -> Result<Range> {
    let number = |name: &str| -> Result<(usize, f64, bool)> {
        let Some(node) = field(name) else {
            let hint = format!("write `{}: {{distribution: uniform, min: …, max: …}}`", entry.key);
            return Err(origin.mistake(entry.line, format!("`{}` has no `{name}`", entry.key), hint));
        };
        let value = node.to_json();
        match value.as_f64() {
            Some(x) => Ok((node.line, x, value.is_i64() || value.is_u64())),
            None => Err(origin.mistake(node.line, format!("`{name}: {}` is not a number", plain(&value)), "use a number such as 1.0e-3")),
        }
    };
    let ((line, min, whole_min), (_, max, whole_max)) = (number("min")?, number("max")?);
    // As in W&B: between two whole numbers, whole numbers are meant.
    let whole = word == Some("int_uniform") || word.is_none() && whole_min && whole_max;
    let log = word.is_some_and(|w| w.contains("log"));
    let q = match (word.is_some_and(|w| w.starts_with("q_")), field("q")) {
        (true, None) => 1.0,
        (true, Some(_)) => number("q")?.1,
        (false, _) => 0.0,
    };
    if min > max || log && min <= 0.0 {
        let problem = format!("`{}` ranges from {min} to {max}", entry.key);
        return Err(origin.mistake(line, problem, if log { "use 0 < min ≤ max" } else { "use min ≤ max" }));
    }
    Ok(Range { min, max, log, q, whole })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        let rounded = draws("dropout: {distribution: q_uniform, min: 0, max: 0.5, q: 0.1}");
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
        ];
        for (text, problem, hint) in cases {
            let message = axis(text).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains(hint), "{text}: {message}");
        }
    }
}
