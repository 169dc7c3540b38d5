//! The entries of a sweep file beside its parameters.

use std::time::Duration;

use super::early::EarlyTermination;
use super::keys::parameters;
use super::method::Method;
use super::metric::Metric;
use super::yaml::{Entry, Origin};
use crate::heads::{METRICS, did_you_mean, plain, whole_number};
use crate::{Result, nearest};

pub(crate) fn method(field: &Entry, origin: &Origin) -> Result<Method> {
    let word = plain(&field.value.to_json());
    let unknown = || origin.mistake(field.value.line, format!("`method: {word}` is unknown"), did_you_mean(&word, Method::NAMES));
    Method::ALL.into_iter().find(|m| m.name() == word).ok_or_else(unknown)
}

pub(crate) fn metric(field: &Entry, origin: &Origin) -> Result<Metric> {
    const FIELDS: [&str; 2] = ["name", "goal"];
    let own = [Entry { line: field.line, key: "name".into(), value: field.value.clone() }];
    let entries = field.value.entries().unwrap_or(&own);
    if let Some(unknown) = entries.iter().find(|e| !FIELDS.contains(&e.key.as_str())) {
        let problem = format!("`{}` is not a field of the metric", unknown.key);
        return Err(origin.mistake(unknown.line, problem, did_you_mean(&unknown.key, FIELDS)));
    }
    let Some(named) = entries.iter().find(|e| e.key == "name") else {
        return Err(origin.mistake(field.line, "`metric` has no `name`", "write `metric: {name: val.acc1, goal: maximize}`"));
    };
    let &Metric { name, more } = metric_name(named, origin)?;
    let Some(goal) = entries.iter().find(|e| e.key == "goal") else { return Ok(Metric { name, more }) };
    match plain(&goal.value.to_json()).as_str() {
        "maximize" => Ok(Metric { name, more: true }),
        "minimize" => Ok(Metric { name, more: false }),
        word => {
            let hint = did_you_mean(word, ["maximize", "minimize"]);
            Err(origin.mistake(goal.value.line, format!("`goal: {word}` is unknown"), hint))
        }
    }
}

/// The metric of a name, with or without `val.` before it.
fn metric_name(named: &Entry, origin: &Origin) -> Result<&'static Metric> {
    let name = plain(&named.value.to_json());
    let bare = name.strip_prefix("val.").unwrap_or(&name);
    let unknown = || {
        let known = || METRICS.iter().map(|metric| metric.name);
        let meant = match bare.strip_prefix("val_").unwrap_or(bare) {
            "acc" | "accuracy" => Some("acc1"),
            word => nearest(word, known()),
        };
        let hint = match meant {
            _ if bare.starts_with("test.") => "trials are compared on val alone".into(),
            Some(meant) => format!("did you mean `val.{meant}`?"),
            None => format!("use one of: {}", known().collect::<Vec<_>>().join(", ")),
        };
        origin.mistake(named.value.line, format!("`{name}` is not a metric"), hint)
    };
    METRICS.iter().find(|metric| metric.name == bare).ok_or_else(unknown)
}

pub(crate) fn count(field: &Entry, least: u64, origin: &Origin) -> Result<usize> {
    let value = field.value.to_json();
    let problem = || format!("`{}: {}` cannot be used", field.key, plain(&value));
    whole_number(&value, least).map_err(|hint| origin.mistake(field.value.line, problem(), hint))
}

pub(crate) fn flag(field: &Entry, origin: &Origin) -> Result<bool> {
    let value = field.value.to_json();
    let problem = || format!("`{}: {}` cannot be used", field.key, plain(&value));
    value.as_bool().ok_or_else(|| origin.mistake(field.value.line, problem(), "use true or false"))
}

/// A number of seconds, or `90s`, `10m`, `1.5h`.
pub(crate) fn duration(field: &Entry, origin: &Origin) -> Result<Duration> {
    let text = plain(&field.value.to_json());
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60.0),
        Some(number) if text.ends_with('h') => (number, 3600.0),
        Some(number) => (number, 1.0),
        None => (text.as_str(), 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok().map(|n| n * unit).filter(|s| *s > 0.0);
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(|| {
        let problem = format!("`{}: {text}` is not a duration", field.key);
        origin.mistake(field.value.line, problem, "use a number of seconds, or for instance 90s, 10m, 1.5h")
    })
}

/// The name of a parameter.
pub(crate) fn parameter(field: &Entry, origin: &Origin) -> Result<String> {
    let word = plain(&field.value.to_json());
    if parameters().any(|n| n == word) {
        return Ok(word);
    }
    Err(origin.mistake(field.value.line, format!("`{}: {word}` is not a parameter", field.key), did_you_mean(&word, parameters())))
}

/// `{type: hyperband, min_iter: 3, eta: 3}`; `none` for none.
pub(crate) fn early_terminate(field: &Entry, origin: &Origin) -> Result<Option<EarlyTermination>> {
    const TYPES: [&str; 3] = ["hyperband", "halving", "none"];
    const FIELDS: [&str; 5] = ["type", "min_iter", "eta", "max_iter", "s"];
    let mut found = EarlyTermination { brackets: true, min_iter: 3, eta: 3 };
    let (mut first, mut last, mut rungs) = (None, None, None);
    let own = [Entry { line: field.line, key: "type".into(), value: field.value.clone() }];
    let mut on = true;
    for entry in field.value.entries().unwrap_or(&own) {
        match entry.key.as_str() {
            "type" => match plain(&entry.value.to_json()).as_str() {
                "hyperband" => found.brackets = true,
                "halving" => found.brackets = false,
                "none" => on = false,
                word => {
                    let problem = format!("`type: {word}` is not a way to end trials early");
                    return Err(origin.mistake(entry.value.line, problem, did_you_mean(word, TYPES)));
                }
            },
            "min_iter" => first = Some(count(entry, 1, origin)?),
            "eta" => found.eta = count(entry, 2, origin)?,
            "max_iter" => last = Some(count(entry, 1, origin)?),
            "s" => rungs = Some(count(entry, 1, origin)?),
            other => {
                let problem = format!("`{other}` is not a field of early termination");
                return Err(origin.mistake(entry.line, problem, did_you_mean(other, FIELDS)));
            }
        }
    }
    found.min_iter = match (first, last, rungs) {
        (first, None, None) => first.unwrap_or(found.min_iter),
        // The other form in W&B: after max_iter / eta, max_iter / eta², … epochs, `s` times.
        (None, Some(last), Some(rungs)) => (last / found.eta.saturating_pow(rungs as u32)).max(1),
        _ => {
            let problem = "`early_terminate` does not say when trials are judged first, or says it twice";
            return Err(origin.mistake(field.line, problem, "give `min_iter`, or `max_iter` and `s` as in W&B"));
        }
    };
    Ok(on.then_some(found))
}
