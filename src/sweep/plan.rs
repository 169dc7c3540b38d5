//! From a sweep's axes to its list of trials.

use std::collections::HashSet;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::config::{Method, SweepConfig};
use super::source::Source;
use super::space::{Domain, INPUTS};
use crate::heads::{Fit, HeadSpec, Key, Params, did_you_mean, plain};
use crate::rng::Philox;
use crate::{Error, Result};

/// Stream of the random search.
const SEARCH: u64 = 0x5357_4545_0001;
/// Trials of a random search that names no `run_cap`.
const DEFAULT_CAP: usize = 30;
/// More combinations than anybody means.
const MOST_COMBINATIONS: usize = 1_000_000;

/// Which features a trial reads: indices of a source and of its taps; several are joined.
pub type Inputs = Vec<(usize, usize)>;

/// One head with one setting, on one set of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number, from 0, in the order of the plan.
    pub number: usize,
    /// What the sweep file says of it, without what its head does not use.
    pub settings: Map<String, Value>,
    /// The features.
    pub inputs: Inputs,
    /// The head.
    pub spec: HeadSpec,
    /// Digest of everything that decides its numbers.
    pub id: String,
}

/// All trials of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In the order of the sweep file: the last parameter changes fastest.
    pub trials: Vec<Trial>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Lists the trials of a sweep over some sources.
///
/// # Errors
/// An unknown cache or tap, a head that fits none of them, a grid without a trial.
pub fn plan(config: &SweepConfig, sources: &[Source], trainer: &str) -> Result<Plan> {
    let planner = Planner { config, sources, trainer, digests: sources.iter().map(Source::digest).collect() };
    let mut trials: Vec<Trial> = vec![];
    let mut seen = HashSet::new();
    let mut misfits: Vec<(Map<String, Value>, Error)> = vec![];
    let cap = config.run_cap.unwrap_or(if config.method == Method::Grid { usize::MAX } else { DEFAULT_CAP });
    for settings in planner.candidates(cap)? {
        if trials.len() == cap {
            break;
        }
        match planner.trial(settings.clone())? {
            Ok(trial) if seen.insert(trial.id.clone()) => trials.push(Trial { number: trials.len(), ..trial }),
            Ok(_) => {}
            Err(misfit) => misfits.push((settings, misfit)),
        }
    }
    let notes = planner.judge(misfits, &trials)?;
    Ok(Plan { trials, notes })
}

struct Planner<'a> {
    config: &'a SweepConfig,
    sources: &'a [Source],
    trainer: &'a str,
    digests: Vec<String>,
}

impl Planner<'_> {
    /// Combinations of settings, axes over inputs added where the file names none.
    fn candidates(&self, cap: usize) -> Result<Vec<Map<String, Value>>> {
        let mut axes: Vec<(String, Domain)> = vec![];
        let has = |key: &str| self.config.axes.iter().any(|a| a.key == key);
        let named = |values: Vec<String>| Domain::Values(values.into_iter().map(|v| (0, v.into())).collect());
        if self.sources.len() > 1 && !has("cache") {
            axes.push(("cache".into(), named(self.sources.iter().map(|s| s.name.clone()).collect())));
        }
        if !has("tap") {
            let mut names: Vec<String> = self.sources.iter().flat_map(|s| &s.taps).map(|t| t.name.clone()).collect();
            names.sort_unstable();
            names.dedup();
            // Logits answer another question; they are swept where the file asks for them.
            if names.len() > 1 {
                names.retain(|n| n != "logits");
            }
            axes.push(("tap".into(), named(names)));
        }
        axes.extend(self.config.axes.iter().map(|a| (a.key.clone(), a.domain.clone())));
        match self.config.method {
            Method::Grid => grid(&axes),
            Method::Random => Ok(self.random(&axes, cap)),
        }
    }

    /// Many more draws than trials: where few settings differ, some come twice.
    fn random(&self, axes: &[(String, Domain)], cap: usize) -> Vec<Map<String, Value>> {
        let philox = Philox::new(self.config.seed, SEARCH);
        let draw = |trial: usize| {
            let value = |(i, (key, domain)): (usize, &(String, Domain))| {
                (key.clone(), domain.draw(philox.block([trial as u32, i as u32, 0, 0])[0]))
            };
            axes.iter().enumerate().map(value).collect()
        };
        (0..cap.saturating_mul(20).min(MOST_COMBINATIONS)).map(draw).collect()
    }

    /// The trial of some settings, or why its head does not fit its features.
    fn trial(&self, settings: Map<String, Value>) -> Result<Result<Trial>> {
        let all = self.params(&settings)?;
        let used = |key: &str| INPUTS.contains(&key) || Key::find(key).is_ok_and(|k| k.applies(&all));
        let settings: Map<String, Value> = settings.into_iter().filter(|(key, _)| used(key)).collect();
        // Without what the head does not use, so that two settings of the same head are the same.
        let params = self.params(&settings)?;
        let Some(inputs) = self.inputs(&settings)? else {
            return Ok(Err(Error::setting("this cache has no such tap", "extract it with `headstart features --tap`")));
        };
        let shape = self.shape(&inputs);
        let tap = settings.get("tap").map(plain).unwrap_or_default();
        let source = &self.sources[inputs[0].0];
        let fit = Fit { tap: &tap, shape: &shape, classes: source.classes.len(), many: source.labels.are_many() };
        Ok(params.check(fit).map(|spec| {
            let id = self.id(&inputs, &spec);
            Trial { number: 0, settings, inputs, spec, id }
        }))
    }

    fn params(&self, settings: &Map<String, Value>) -> Result<Params> {
        let base = Params { seed: self.config.seed, ..Params::default() };
        let Value::Object(mut all) = serde_json::to_value(base).map_err(|e| self.mistake(&e))? else {
            return Err(self.mistake(&"settings are no map"));
        };
        all.extend(settings.iter().filter(|(key, _)| !INPUTS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())));
        serde_json::from_value(all.into()).map_err(|e| self.mistake(&e))
    }

    /// The sources and taps that settings name; `None` where this source lacks that tap but another has it.
    fn inputs(&self, settings: &Map<String, Value>) -> Result<Option<Inputs>> {
        let many = |value: &Value| value.as_array().map_or_else(|| vec![plain(value)], |all| all.iter().map(plain).collect());
        let caches = settings.get("cache").map_or_else(|| vec![self.sources[0].name.clone()], many);
        let taps = settings.get("tap").map_or_else(Vec::new, many);
        let mut inputs = vec![];
        for cache in &caches {
            let names = self.sources.iter().map(|s| s.name.as_str());
            let Some(s) = self.sources.iter().position(|source| source.name == *cache) else {
                return Err(self.at("cache", format!("there is no cache `{cache}` in this sweep"), did_you_mean(cache, names)));
            };
            for tap in &taps {
                let names = self.sources.iter().flat_map(|s| s.taps.iter().map(|t| t.name.as_str()));
                match self.sources[s].taps.iter().position(|t| t.name == *tap) {
                    Some(t) => inputs.push((s, t)),
                    None if names.clone().any(|n| n == tap) => return Ok(None),
                    None => return Err(self.at("tap", format!("no tap `{tap}` in this cache"), did_you_mean(tap, names))),
                }
            }
        }
        if inputs.iter().any(|&(s, _)| self.sources[s].paths != self.sources[inputs[0].0].paths) {
            return Err(self.at("cache", "the joined caches hold different images".into(), "extract both from the same folder".into()));
        }
        Ok(Some(inputs))
    }

    fn shape(&self, inputs: &Inputs) -> Vec<usize> {
        let shape = |&(s, t): &(usize, usize)| &self.sources[s].taps[t].shape;
        match inputs.as_slice() {
            [one] => shape(one).clone(),
            several => vec![several.iter().map(|i| shape(i).iter().product::<usize>()).sum()],
        }
    }

    fn id(&self, inputs: &Inputs, spec: &HeadSpec) -> String {
        let features: Vec<(&str, &str)> =
            inputs.iter().map(|&(s, t)| (self.digests[s].as_str(), self.sources[s].taps[t].name.as_str())).collect();
        let text = serde_json::json!({"head": spec, "features": features, "trainer": self.trainer}).to_string();
        Sha256::digest(text)[..8].iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Heads that fit some features are left out on the others, with a note; a head that fits none, and an empty sweep, are refused.
    fn judge(&self, misfits: Vec<(Map<String, Value>, Error)>, trials: &[Trial]) -> Result<Vec<String>> {
        let mut notes = vec![];
        for (settings, error) in misfits {
            let head = settings.get("head");
            let elsewhere = trials.iter().any(|t| t.settings.get("head") == head) && self.has_several_inputs();
            if !elsewhere {
                let line = self.config.axes.iter().find(|a| a.key == "head").map_or(0, |axis| match &axis.domain {
                    Domain::Values(values) => values.iter().find(|(_, v)| Some(v) == head).map_or(axis.line, |(line, _)| *line),
                    Domain::Range(_) => axis.line,
                });
                return Err(self.config.origin.at(line)(error));
            }
            let Error::Setting { problem, .. } = error else { return Err(error) };
            let note = format!("left out: {problem}");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if trials.is_empty() {
            return Err(Error::setting("the sweep has no trial", "give `parameters` some values"));
        }
        Ok(notes)
    }

    fn has_several_inputs(&self) -> bool {
        self.sources.len() > 1 || self.sources[0].taps.len() > 1
    }

    fn at(&self, key: &str, problem: String, hint: String) -> Error {
        let line = self.config.axes.iter().find(|a| a.key == key).map_or(0, |a| a.line);
        self.config.origin.mistake(line, problem, hint)
    }

    fn mistake(&self, reason: &dyn std::fmt::Display) -> Error {
        self.config.origin.mistake(1, format!("cannot be used: {reason}"), "see docs/sweep-file.md")
    }
}

fn grid(axes: &[(String, Domain)]) -> Result<Vec<Map<String, Value>>> {
    let mut all = vec![Map::new()];
    for (key, domain) in axes {
        let Domain::Values(values) = domain else { continue };
        if all.len() * values.len() > MOST_COMBINATIONS {
            let hint = "use `method: random` with a `run_cap`, or fewer values";
            return Err(Error::setting(format!("the grid has more than {MOST_COMBINATIONS} combinations"), hint));
        }
        let with = |settings: &Map<String, Value>, value: &Value| {
            let mut settings = settings.clone();
            settings.insert(key.clone(), value.clone());
            settings
        };
        all = all.iter().flat_map(|settings| values.iter().map(move |(_, value)| with(settings, value))).collect();
    }
    Ok(all)
}
