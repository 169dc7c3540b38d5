//! From settings to a trial: its features, its head, and the digest of all that decides its
//! numbers.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::trial::{Input, Trial};
use crate::heads::{Fit, HeadKind, HeadSpec, Params, SettingSpec, did_you_mean, fits, plain};
use crate::rng::Philox;
use crate::steps::EXTRACT_AGAIN;
use crate::sweep::settings::axis::Axis;
use crate::sweep::settings::config::SweepConfig;
use crate::sweep::settings::domain::Domain;
use crate::sweep::settings::keys::INPUTS;
use crate::sweep::sources::names::find;
use crate::sweep::sources::source::{Source, TapFeatures};
use crate::{Error, Result};

/// Stream of the random search.
const SEARCH: u64 = 0x5357_4545_0001;
/// More combinations than anybody means.
const MOST_COMBINATIONS: usize = 1_000_000;

/// The outcome of building a trial from settings.
pub(super) enum Candidate {
    Trial(Box<Trial>),
    /// The head does not fit its features.
    Conflict(Error),
}

/// Builds trials from settings.
pub(super) struct TrialBuilder<'a> {
    pub(super) config: &'a SweepConfig,
    sources: &'a [Source],
    trainer: &'a str,
    digests: Vec<String>,
}

impl<'a> TrialBuilder<'a> {
    pub(super) fn new(config: &'a SweepConfig, sources: &'a [Source], trainer: &'a str) -> TrialBuilder<'a> {
        TrialBuilder { config, sources, trainer, digests: sources.iter().map(Source::digest).collect() }
    }

    /// The axes of the sweep file, with those over caches and taps where it names none.
    pub(super) fn axes(&self) -> Vec<Axis> {
        let mut axes: Vec<Axis> = vec![];
        let has = |key: &str| self.config.axes.iter().any(|a| a.key == key);
        let added =
            |key: &str, values: Vec<String>| Axis { key: key.into(), line: 0, domain: Domain::of(values.into_iter().map(Value::from)) };
        // A sweep file that reports by cache serves for a single cache too.
        let is_reported = self.config.report_best_by.as_ref().is_some_and(|by| by.parameter == "cache");
        if (self.sources.len() > 1 || is_reported) && !has("cache") {
            axes.push(added("cache", self.sources.iter().map(|s| s.name.clone()).collect()));
        }
        if !has("tap") {
            let mut names: Vec<String> = self.sources.iter().flat_map(|s| &s.taps).map(|t| t.name.clone()).collect();
            names.sort_unstable();
            names.dedup();
            // Logits are the pretrained classes' own: they are swept only where the file names
            // them.
            if names.len() > 1 {
                names.retain(|n| n != "logits");
            }
            axes.push(added("tap", names));
        }
        axes.extend(self.config.axes.iter().cloned());
        // Several seeds are repeats of one trial, which begin with the first.
        for axis in axes.iter_mut().filter(|axis| axis.key == "seed") {
            axis.domain = Domain::of([axis.domain.at(0.0)]);
        }
        axes
    }

    /// Settings of a random search: many more draws than trials, since some repeat where few
    /// settings differ.
    pub(super) fn random(&self, axes: &[Axis], cap: usize) -> Vec<Map<String, Value>> {
        let philox = Philox::new(self.config.seed, SEARCH);
        let draw = |trial: usize| {
            let value = |(i, axis): (usize, &Axis)| (axis.key.clone(), axis.domain.draw(philox.block([trial as u32, i as u32, 0, 0])[0]));
            axes.iter().enumerate().map(value).collect()
        };
        (0..cap.saturating_mul(20).min(MOST_COMBINATIONS)).map(draw).collect()
    }

    /// The trial of some settings.
    ///
    /// # Errors
    /// Settings that no trial of the sweep can have: an unknown cache or tap.
    pub(super) fn trial(&self, settings: Map<String, Value>) -> Result<Candidate> {
        let all = self.params(&settings)?;
        let used = |key: &str| INPUTS.contains(&key) || SettingSpec::find(key).is_ok_and(|k| k.applies(&all));
        let settings: Map<String, Value> = settings.into_iter().filter(|(key, _)| used(key)).collect();
        let shots = settings.get("shots").and_then(Value::as_u64).map(|n| n as usize);
        // Without what the head does not use, so that two settings of the same head are the same.
        let params = self.params(&settings)?;
        let Some(inputs) = self.inputs(&settings)? else {
            return Ok(Candidate::Conflict(Error::setting("this cache has no such tap", format!("{EXTRACT_AGAIN} with option `tap`"))));
        };
        let views = inputs.iter().map(|&input| 1 + self.tap(input).views.len()).min().unwrap_or(1);
        if params.views > views {
            let problem = format!("`views: {}` where the cache has {views}", params.views);
            return Ok(Candidate::Conflict(Error::parameter(
                "views",
                problem,
                format!("{EXTRACT_AGAIN} with option `views={}`", params.views),
            )));
        }
        let shape = self.shape(&inputs);
        let tap = settings.get("tap").map(plain).unwrap_or_default();
        let source = &self.sources[inputs[0].source];
        let fit = Fit { tap: &tap, shape: &shape, classes: source.classes.len(), many: source.labels.are_many() };
        let classifier = source.classifier.as_ref().map(|layers| &layers.hidden).filter(|_| inputs.len() == 1);
        let joins_val = self.config.folds > 1 || self.config.refit;
        let most = source.partition.train.len() + if joins_val { source.partition.val.len() } else { 0 };
        let rows = shots.map_or(most, |shots| most.min(shots.saturating_mul(source.classes.len() * source.groups.largest())));
        let checked = params.check_with(fit, classifier).and_then(|spec| fits(&spec, rows).map(|()| spec));
        Ok(match checked {
            Ok(spec) => {
                let id = self.id(&inputs, &spec, shots);
                Candidate::Trial(Trial { number: 0, settings, inputs, shots, spec, id }.into())
            }
            Err(reason) => Candidate::Conflict(reason),
        })
    }

    fn params(&self, settings: &Map<String, Value>) -> Result<Params> {
        let head = settings.get("head").and_then(|head| serde_json::from_value(head.clone()).ok()).unwrap_or(HeadKind::Linear);
        let base = Params { seed: self.config.seed, ..Params::of(head) };
        let Value::Object(mut all) = serde_json::to_value(base).map_err(|e| self.mistake(&e))? else {
            return Err(self.mistake(&"settings are not a map"));
        };
        all.extend(settings.iter().filter(|(key, _)| !INPUTS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())));
        serde_json::from_value(all.into()).map_err(|e| self.mistake(&e))
    }

    /// The taps that settings name; `None` where a source lacks a tap that another one has.
    fn inputs(&self, settings: &Map<String, Value>) -> Result<Option<Vec<Input>>> {
        let many = |value: &Value| match value {
            Value::Array(all) => all.iter().map(plain).collect(),
            one => plain(one).split('+').map(|name| name.trim().to_owned()).collect::<Vec<_>>(),
        };
        let caches = settings.get("cache").map_or_else(|| vec![self.sources[0].name.clone()], many);
        let taps = settings.get("tap").map_or_else(Vec::new, many);
        let mut inputs = vec![];
        for cache in &caches {
            let source = find(self.sources, cache).map_err(self.config.origin.at(self.config.line("cache")))?;
            for tap in &taps {
                let names = self.sources.iter().flat_map(|s| s.taps.iter().map(|t| t.name.as_str()));
                match self.sources[source].taps.iter().position(|t| t.name == *tap) {
                    Some(tap) => inputs.push(Input { source, tap }),
                    None if names.clone().any(|n| n == tap) => return Ok(None),
                    None => return Err(self.at("tap", format!("no tap `{tap}` in this cache"), did_you_mean(tap, names))),
                }
            }
        }
        if inputs.iter().any(|input| self.sources[input.source].paths != self.sources[inputs[0].source].paths) {
            return Err(self.at(
                "cache",
                "the joined caches hold different images".into(),
                "extract the features of both from the same folder".into(),
            ));
        }
        Ok(Some(inputs))
    }

    fn tap(&self, input: Input) -> &TapFeatures {
        &self.sources[input.source].taps[input.tap]
    }

    /// Shape of a row of the joined features.
    fn shape(&self, inputs: &[Input]) -> Vec<usize> {
        match *inputs {
            [one] => self.tap(one).shape.clone(),
            ref several => vec![several.iter().map(|&i| self.tap(i).shape.iter().product::<usize>()).sum()],
        }
    }

    /// Digest of everything that decides the numbers of a trial.
    fn id(&self, inputs: &[Input], spec: &HeadSpec, shots: Option<usize>) -> String {
        let features: Vec<[&str; 2]> =
            inputs.iter().map(|&input| [self.digests[input.source].as_str(), self.tap(input).name.as_str()]).collect();
        let config = self.config;
        let rows = serde_json::json!([config.folds, config.protocol().repeats, config.seed, shots]);
        // The metric and early termination decide how long a head is trained. A head that is solved
        // for does not depend on them.
        let ends = (!spec.params().head.is_solved()).then(|| {
            let judged =
                (spec.params().patience > 0 || config.early_terminate.is_some()).then_some((config.metric.name, config.metric.more));
            (judged, config.early_terminate.map(|e| (e.brackets, e.min_iter, e.eta)))
        });
        let text = serde_json::json!({"head": spec, "features": features, "trainer": self.trainer, "rows": rows, "ends": ends}).to_string();
        Sha256::digest(text)[..8].iter().map(|b| format!("{b:02x}")).collect()
    }

    fn at(&self, key: &str, problem: String, hint: String) -> Error {
        self.config.origin.mistake(self.config.line(key), problem, hint)
    }

    fn mistake(&self, reason: &dyn std::fmt::Display) -> Error {
        self.config.origin.mistake(1, format!("cannot be used: {reason}"), "see docs/sweep-file.md")
    }
}

/// Every combination of the values of some axes.
///
/// # Errors
/// More combinations than anybody means.
pub(super) fn grid(axes: &[Axis]) -> Result<Vec<Map<String, Value>>> {
    let mut all = vec![Map::new()];
    for Axis { key, domain, .. } in axes {
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
        all = all.iter().flat_map(|settings| values.iter().map(move |choice| with(settings, &choice.value))).collect();
    }
    Ok(all)
}
