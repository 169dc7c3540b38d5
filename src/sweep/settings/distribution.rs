//! From an entry of `parameters` to a domain: one value, several, or a distribution.

use super::domain::{Choice, Domain, Range};
use super::keys::is_whole;
use super::yaml::{Entry, Node, Origin};
use crate::heads::{did_you_mean, plain};
use crate::{Result, nearest};

const FIELDS: &[&str] = &["value", "values", "distribution", "min", "max", "q"];
const DISTRIBUTIONS: &[&str] =
    &["constant", "categorical", "uniform", "log_uniform_values", "int_uniform", "q_uniform", "q_log_uniform_values"];

/// The fields of an entry.
struct Fields<'a> {
    entry: &'a Entry,
    all: &'a [Entry],
    origin: &'a Origin,
}

/// A number of an entry.
struct Number {
    line: usize,
    value: f64,
    /// Whether it is written as a whole number.
    whole: bool,
}

/// Reads the domain of one parameter.
///
/// # Errors
/// An unknown field or distribution, fields that exclude each other, ends or a step that cannot be
/// used.
pub(crate) fn read(entry: &Entry, origin: &Origin) -> Result<Domain> {
    let Some(all) = entry.value.entries() else {
        let hint = format!("write `{}: {{value: {}}}`, or {{values: […]}} for several", entry.key, plain(&entry.value.to_json()));
        return Err(origin.mistake(entry.value.line, format!("`{}` needs value, values or a distribution", entry.key), hint));
    };
    let fields = Fields { entry, all, origin };
    if let Some(unknown) = all.iter().find(|f| !FIELDS.contains(&f.key.as_str())) {
        let problem = format!("`{}` is not a field of a parameter", unknown.key);
        return Err(origin.mistake(unknown.line, problem, did_you_mean(&unknown.key, FIELDS.iter().copied())));
    }
    let word = fields.distribution()?;
    match fields.way(word.as_deref())? {
        "value" => fields.need("value").map(|node| Domain::Values(vec![Choice { line: node.line, value: node.to_json() }])),
        "values" => fields.values(),
        _ => fields.range(word.as_deref()).map(Domain::Range),
    }
}

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.all.iter().find(|f| f.key == name).map(|f| &f.value)
    }

    fn need(&self, name: &str) -> Result<&'a Node> {
        self.get(name).ok_or_else(|| {
            let ends = format!("`{}: {{distribution: uniform, min: …, max: …}}`", self.entry.key);
            let hint = if name.starts_with("value") { format!("write `{name}: …`, or {ends}") } else { format!("write {ends}") };
            self.origin.mistake(self.entry.line, format!("`{}` has no `{name}`", self.entry.key), hint)
        })
    }

    fn distribution(&self) -> Result<Option<String>> {
        let Some(node) = self.get("distribution") else { return Ok(None) };
        let word = plain(&node.to_json());
        if DISTRIBUTIONS.contains(&word.as_str()) {
            return Ok(Some(word));
        }
        let hint = match nearest(&word, DISTRIBUTIONS.iter().copied()) {
            // Its ends are exponents of e in W&B: values in their place would make another search.
            _ if word.ends_with("log_uniform") => format!("write `{word}_values`, with the values themselves as min and max; "),
            Some(near) => format!("did you mean `{near}`? "),
            None => String::new(),
        };
        let known = DISTRIBUTIONS.join(", ");
        Err(self.origin.mistake(node.line, format!("`{word}` is not a distribution"), format!("{hint}there are: {known}")))
    }

    /// The field that decides: `value`, `values`, or the distribution. Fields without effect beside
    /// it are refused.
    fn way(&self, word: Option<&str>) -> Result<&'static str> {
        let ways = ["value", "values", "distribution"];
        let way = match word {
            Some("constant") => "value",
            Some("categorical") => "values",
            Some(_) => "distribution",
            None => ways.into_iter().find(|way| self.get(way).is_some()).unwrap_or("distribution"),
        };
        let beside: &[&str] = if way == "distribution" { &["min", "max", "q"] } else { &["distribution"] };
        match self.all.iter().find(|f| f.key != way && !beside.contains(&f.key.as_str())) {
            Some(other) => {
                let problem = format!("`{}` of `{}` has no effect beside `{way}`", other.key, self.entry.key);
                Err(self.origin.mistake(other.line, problem, "use value, values, or a distribution with min and max"))
            }
            None => Ok(way),
        }
    }

    fn values(&self) -> Result<Domain> {
        let node = self.need("values")?;
        let Some(items) = node.items() else {
            let hint = format!("write `values: [{}]`", plain(&node.to_json()));
            return Err(self.origin.mistake(node.line, format!("`values` of `{}` is not a list", self.entry.key), hint));
        };
        Ok(Domain::Values(items.iter().map(|i| Choice { line: i.line, value: i.to_json() }).collect()))
    }

    fn range(&self, word: Option<&str>) -> Result<Range> {
        let (lower, upper) = (self.number("min")?, self.number("max")?);
        let (line, min, max) = (lower.line, lower.value, upper.value);
        // As in W&B, two whole ends mean whole numbers. A setting that takes only these is rounded.
        let whole = word == Some("int_uniform") || word.is_none() && lower.whole && upper.whole || is_whole(&self.entry.key);
        let log = word.is_some_and(|w| w.contains("log"));
        if min > max || log && min <= 0.0 {
            let problem = format!("`{}` ranges from {min} to {max}", self.entry.key);
            return Err(self.origin.mistake(line, problem, if log { "use 0 < min ≤ max" } else { "use min ≤ max" }));
        }
        let q = self.step(word.unwrap_or("uniform"))?;
        let range = Range { min, max, log, q, whole };
        let [lowest, highest] = range.steps();
        if range.unit() > 0.0 && lowest > highest {
            let problem = format!("`{}` has no multiple of {} from {min} to {max}", self.entry.key, range.unit());
            return Err(self.origin.mistake(line, problem, "use ends further apart, or a smaller `q`"));
        }
        Ok(range)
    }

    fn number(&self, name: &str) -> Result<Number> {
        let node = self.need(name)?;
        let value = node.to_json();
        let refuse =
            || self.origin.mistake(node.line, format!("`{name}: {}` is not a number", plain(&value)), "use a number such as 1.0e-3");
        value.as_f64().map(|x| Number { line: node.line, value: x, whole: !value.is_f64() }).ok_or_else(refuse)
    }

    /// The step to whose multiples a distribution rounds; 0 for none.
    fn step(&self, word: &str) -> Result<f64> {
        if self.get("q").is_none() {
            return Ok(if word.starts_with("q_") { 1.0 } else { 0.0 });
        }
        let Number { line, value: q, .. } = self.number("q")?;
        if !word.starts_with("q_") {
            let rounds = if word.contains("log") { "q_log_uniform_values" } else { "q_uniform" };
            let problem = format!("`q` of `{}` has no effect: `{word}` does not round", self.entry.key);
            return Err(self.origin.mistake(line, problem, format!("did you mean `distribution: {rounds}`?")));
        }
        let (fits, hint) = if is_whole(&self.entry.key) { (q.fract() == 0.0, "a whole number") } else { (true, "a number") };
        let problem = || format!("`q: {q}` cannot be used");
        if fits && q > 0.0 { Ok(q) } else { Err(self.origin.mistake(line, problem(), format!("use {hint} above 0"))) }
    }
}
