//! Best values at an end of what was searched: a better one may lie beyond.

use serde_json::Value;

use super::result::TrialResult;
use crate::heads::SettingSpec;
use crate::sweep::settings::axis::Axis;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::settings::domain::{Domain, Range};

/// Warnings where the best value of a numeric parameter lies at an end of what was searched: a
/// better one may lie beyond.
pub(crate) fn edges(config: &SweepConfig, leaderboard: &[TrialResult]) -> Vec<String> {
    // No seed is better than another, and more rows always are.
    let axes = config.axes.iter().filter(|axis| !matches!(axis.key.as_str(), "seed" | "shots"));
    let edge = |axis: &Axis| {
        let best = leaderboard[0].settings.get(&axis.key).and_then(Value::as_f64)?;
        let is_last = |end: f64| SettingSpec::find(&axis.key).is_ok_and(|key| key.least() == Some(end));
        match &axis.domain {
            Domain::Range(range) => edge_of_range(range, best, is_last).map(|end| {
                format!("the best `{}` ({best}) lies at the {end} end of its range ({} to {}): widen it", axis.key, range.min, range.max)
            }),
            Domain::Values(_) => {
                let tried = leaderboard.iter().filter_map(|r| r.settings.get(&axis.key)).filter_map(Value::as_f64);
                let end = edge_of_list(tried.collect(), best, is_last)?;
                Some(format!("the best `{}` ({best}) is the {end} that was tried: widen its range", axis.key))
            }
        }
    };
    axes.filter_map(edge).collect()
}

/// The end of a distribution within a twentieth of which `best` lies, unless nothing can lie beyond
/// it.
fn edge_of_range(range: &Range, best: f64, is_last: impl Fn(f64) -> bool) -> Option<&'static str> {
    const NEAR: f64 = 0.05;
    let [low, high, best] = [range.min, range.max, best].map(|x| range.coordinate(x));
    let place = (best - low) / (high - low);
    match place {
        _ if low == high => None,
        _ if place <= NEAR => (!is_last(range.min)).then_some("lower"),
        _ => (place >= 1.0 - NEAR).then_some("upper"),
    }
}

/// The end of a list at which `best` stands, unless nothing can lie beyond it.
fn edge_of_list(mut tried: Vec<f64>, best: f64, is_last: impl Fn(f64) -> bool) -> Option<&'static str> {
    tried.sort_unstable_by(f64::total_cmp);
    match (tried.first()?, tried.last()?) {
        (first, last) if first == last => None,
        (first, _) if *first == best => (!is_last(best)).then_some("smallest"),
        (_, last) => (*last == best).then_some("largest"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::record::Status;
    use super::*;

    /// The warning of a sweep over one parameter, of whose values `tried` the first did best.
    fn warning(key: &str, domain: &str, tried: &[f64]) -> Option<String> {
        let text = format!("method: random\nparameters:\n  {key}: {domain}\n");
        let config = SweepConfig::parse(&text, Path::new("s.yaml")).unwrap();
        let result = |value: &f64| {
            let settings = [(key.to_owned(), json!(value))].into_iter().collect();
            let metrics = serde_json::Map::new();
            TrialResult { number: 0, settings, status: Status::Done, epochs: 1, seconds: 0.0, metrics, history: vec![] }
        };
        edges(&config, &tried.iter().map(result).collect::<Vec<_>>()).pop()
    }

    #[test]
    fn a_best_value_at_an_end_of_what_was_declared_is_pointed_out() {
        let log = "{distribution: log_uniform_values, min: 1.0e-3, max: 1.0e+6}";
        let cases = [
            // The largest that was drawn, in the middle of what was declared.
            ("alpha", log, &[2406.0, 1.0, 0.01][..], None),
            ("alpha", log, &[5e5, 1.0, 0.01], Some("(500000) lies at the upper end of its range (0.001 to 1000000)")),
            ("alpha", log, &[1.5e-3, 1.0, 0.01], Some("lower end")),
            ("dropout", "{min: 0.0, max: 0.8}", &[0.01, 0.4], None),
            ("dropout", "{min: 0.1, max: 0.8}", &[0.11, 0.4], Some("lower end")),
            ("epochs", "{min: 3, max: 40}", &[40.0, 30.0], Some("upper end")),
            ("epochs", "{values: [10, 20]}", &[20.0, 10.0], Some("(20) is the largest that was tried")),
            ("batch_size", "{values: [64, 16, 32]}", &[16.0, 64.0, 32.0], Some("smallest")),
            ("batch_size", "{values: [64, 16, 32]}", &[32.0, 16.0, 64.0], None),
            ("batch_size", "{values: [1, 16]}", &[1.0, 16.0], None),
            ("dropout", "{values: [0.0, 0.5]}", &[0.0, 0.5], None),
            ("lr", "{values: [0.1]}", &[0.1, 0.1], None),
            ("shots", "{values: [1, 5]}", &[5.0, 1.0], None),
        ];
        for (key, domain, tried, want) in cases {
            let said = warning(key, domain, tried);
            let fits = want.map_or(said.is_none(), |want| said.as_ref().is_some_and(|said| said.contains(want)));
            assert!(fits, "{key} {domain} {tried:?}: {said:?}");
        }
    }
}
