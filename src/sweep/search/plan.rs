//! From a sweep's axes to its list of trials.

use std::collections::{HashSet, VecDeque};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::conflicts;
use super::tpe::{STARTUP, Tpe};
use crate::heads::{Fit, HeadKind, HeadSpec, Params, SettingSpec, did_you_mean, fits, plain};
use crate::rng::Philox;
use crate::sweep::settings::config::{Method, SweepConfig};
use crate::sweep::settings::space::{Domain, INPUTS};
use crate::sweep::sources::names::find;
use crate::sweep::sources::source::Source;
use crate::{Error, Result};

/// Stream of the random search.
const SEARCH: u64 = 0x5357_4545_0001;
/// Trials of a random search that names no `run_cap`.
const DEFAULT_CAP: usize = 30;
/// Trials of a Bayesian search that are drawn from the same results: a constant, so that the search does not depend on the number of threads.
const GENERATION: usize = 8;
/// Draws for a trial that the sweep does not have yet.
const ATTEMPTS: usize = 100;
/// Trials in training at a time where some are ended early: those that wait for the others to be judged stay in memory.
const COHORT: usize = 16;
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
    /// Training rows a class, where they are limited.
    pub shots: Option<usize>,
    /// The head.
    pub spec: HeadSpec,
    /// Digest of everything that decides its numbers.
    pub id: String,
}

/// What a sweep tries, cohort by cohort: trials that need nothing of each other. Each cohort may build on the results of those before.
pub struct Search<'a> {
    planner: Planner<'a>,
    axes: Vec<(String, Domain)>,
    /// Trials that are decided but not handed out.
    waiting: VecDeque<Trial>,
    handed_out: usize,
    /// Trials at most, where they are not all decided from the start.
    cap: usize,
    seen: HashSet<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl<'a> Search<'a> {
    /// Reads a sweep's axes and lists its trials, or of a Bayesian search the first ones.
    ///
    /// # Errors
    /// An unknown cache or tap, a head that fits none of them, a grid without a trial.
    pub fn new(config: &'a SweepConfig, sources: &'a [Source], trainer: &'a str) -> Result<Search<'a>> {
        let planner = Planner { config, sources, trainer, digests: sources.iter().map(Source::digest).collect() };
        let axes = planner.axes();
        config.check()?;
        conflicts::refuse_report_by(config, &axes)?;
        let cap = config.run_cap.unwrap_or(if config.method == Method::Grid { usize::MAX } else { DEFAULT_CAP });
        let first = if config.method == Method::Bayes { cap.min(STARTUP) } else { cap };
        let candidates = if config.method == Method::Grid { grid(&axes)? } else { planner.random(&axes, first) };
        let mut search = Search { planner, axes, waiting: VecDeque::new(), handed_out: 0, cap, seen: HashSet::new(), notes: vec![] };
        let mut misfits: Vec<(Map<String, Value>, Error)> = vec![];
        for settings in candidates {
            if search.waiting.len() == first {
                break;
            }
            match search.planner.trial(settings.clone())? {
                Ok(trial) => search.take(trial),
                Err(misfit) => misfits.push((settings, misfit)),
            }
        }
        search.notes = conflicts::judge(config, misfits, &search.waiting)?;
        conflicts::refuse_what_never_counts(config, &search.waiting)?;
        Ok(search)
    }

    /// Adds a trial unless the sweep has it.
    fn take(&mut self, trial: Trial) {
        if self.seen.insert(trial.id.clone()) {
            let number = self.handed_out + self.waiting.len();
            self.waiting.push_back(Trial { number, ..trial });
        }
    }

    /// Number of trials: of a grid or a random search all, of a Bayesian one at most so many.
    pub fn total(&self) -> usize {
        if self.planner.config.method == Method::Bayes { self.cap } else { self.handed_out + self.waiting.len() }
    }

    /// Whether a trial of this id is planned so far.
    pub(crate) fn plans(&self, id: &str) -> bool {
        self.seen.contains(id)
    }

    /// The next trials, given those so far, the best first. None are left where the list is empty.
    ///
    /// # Errors
    /// As [`Search::new`].
    pub fn next(&mut self, ranked: &[(usize, &Map<String, Value>)]) -> Result<Vec<Trial>> {
        let config = self.planner.config;
        if self.waiting.is_empty() && config.method == Method::Bayes {
            self.propose(ranked)?;
        }
        let most = if config.early_terminate.is_some() { COHORT } else { usize::MAX };
        let cohort: Vec<Trial> = self.waiting.drain(..self.waiting.len().min(most)).collect();
        self.handed_out += cohort.len();
        Ok(cohort)
    }

    /// A generation of a Bayesian search. Where settings are few, draws come twice: after many the space is taken as exhausted.
    fn propose(&mut self, ranked: &[(usize, &Map<String, Value>)]) -> Result<()> {
        let tpe = Tpe::new(ranked.to_vec(), self.planner.config.seed);
        for place in 0..GENERATION.min(self.cap - self.handed_out.min(self.cap)) {
            let before = self.waiting.len();
            for attempt in 0..ATTEMPTS {
                if let Ok(trial) = self.planner.trial(tpe.draw(&self.axes, self.handed_out + place, attempt))? {
                    self.take(trial);
                }
                if self.waiting.len() > before {
                    break;
                }
            }
        }
        Ok(())
    }
}

struct Planner<'a> {
    config: &'a SweepConfig,
    sources: &'a [Source],
    trainer: &'a str,
    digests: Vec<String>,
}

impl Planner<'_> {
    /// The axes, those over inputs added where the file names none.
    fn axes(&self) -> Vec<(String, Domain)> {
        let mut axes: Vec<(String, Domain)> = vec![];
        let has = |key: &str| self.config.axes.iter().any(|a| a.key == key);
        let named = |values: Vec<String>| Domain::Values(values.into_iter().map(|v| (0, v.into())).collect());
        // A sweep file that reports by cache does for a single one as well.
        let is_reported = self.config.report_best_by.as_ref().is_some_and(|(_, key)| key == "cache");
        if (self.sources.len() > 1 || is_reported) && !has("cache") {
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
        // Several seeds are repeats of one trial, which begin with the first.
        for (_, domain) in axes.iter_mut().filter(|(key, _)| key == "seed") {
            *domain = Domain::Values(vec![(0, domain.at(0.0))]);
        }
        axes
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
        let used = |key: &str| INPUTS.contains(&key) || SettingSpec::find(key).is_ok_and(|k| k.applies(&all));
        let settings: Map<String, Value> = settings.into_iter().filter(|(key, _)| used(key)).collect();
        let shots = settings.get("shots").and_then(Value::as_u64).map(|n| n as usize);
        // Without what the head does not use, so that two settings of the same head are the same.
        let params = self.params(&settings)?;
        let Some(inputs) = self.inputs(&settings)? else {
            return Ok(Err(Error::setting("this cache has no such tap", "extract it with `headstart features --tap`")));
        };
        let views = inputs.iter().map(|&(s, t)| 1 + self.sources[s].taps[t].views.len()).min().unwrap_or(1);
        if params.views > views {
            let problem = format!("`views: {}` where the cache has {views}", params.views);
            return Ok(Err(Error::parameter("views", problem, format!("extract more: `headstart features --views {}`", params.views))));
        }
        let shape = self.shape(&inputs);
        let tap = settings.get("tap").map(plain).unwrap_or_default();
        let source = &self.sources[inputs[0].0];
        let fit = Fit { tap: &tap, shape: &shape, classes: source.classes.len(), many: source.labels.are_many() };
        let classifier = source.classifier.as_ref().map(|layers| &layers.hidden).filter(|_| inputs.len() == 1);
        let joins_val = self.config.folds > 1 || self.config.refit;
        let most = source.partition.train.len() + if joins_val { source.partition.val.len() } else { 0 };
        let rows = shots.map_or(most, |shots| most.min(shots.saturating_mul(source.classes.len() * source.groups.largest())));
        Ok(params.check_with(fit, classifier).and_then(|spec| {
            fits(&spec, rows)?;
            let id = self.id(&inputs, &spec, shots);
            Ok(Trial { number: 0, settings, inputs, shots, spec, id })
        }))
    }

    fn params(&self, settings: &Map<String, Value>) -> Result<Params> {
        let head = settings.get("head").and_then(|head| serde_json::from_value(head.clone()).ok()).unwrap_or(HeadKind::Linear);
        let base = Params { seed: self.config.seed, ..Params::of(head) };
        let Value::Object(mut all) = serde_json::to_value(base).map_err(|e| self.mistake(&e))? else {
            return Err(self.mistake(&"settings are no map"));
        };
        all.extend(settings.iter().filter(|(key, _)| !INPUTS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())));
        serde_json::from_value(all.into()).map_err(|e| self.mistake(&e))
    }

    /// The sources and taps that settings name; `None` where this source lacks that tap but another has it.
    fn inputs(&self, settings: &Map<String, Value>) -> Result<Option<Inputs>> {
        let many = |value: &Value| match value {
            Value::Array(all) => all.iter().map(plain).collect(),
            one => plain(one).split('+').map(|name| name.trim().to_owned()).collect::<Vec<_>>(),
        };
        let caches = settings.get("cache").map_or_else(|| vec![self.sources[0].name.clone()], many);
        let taps = settings.get("tap").map_or_else(Vec::new, many);
        let mut inputs = vec![];
        for cache in &caches {
            let s = find(self.sources, cache).map_err(self.config.origin.at(self.config.line("cache")))?;
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

    fn id(&self, inputs: &Inputs, spec: &HeadSpec, shots: Option<usize>) -> String {
        let features: Vec<(&str, &str)> =
            inputs.iter().map(|&(s, t)| (self.digests[s].as_str(), self.sources[s].taps[t].name.as_str())).collect();
        let config = self.config;
        let rows = serde_json::json!([config.folds, config.protocol().repeats, config.seed, shots]);
        // The metric and what ends trials early decide how long one is trained; of what is solved for there is no long and short.
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
