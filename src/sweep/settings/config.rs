//! The sweep file, in the shape that W&B users know, read into a checked [`SweepConfig`].

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::axis::Axis;
use super::domain::Domain;
use super::early::EarlyTermination;
use super::fields;
use super::keys::{SETTABLE, TOP_LEVEL, parameters};
use super::method::Method;
use super::metric::Metric;
use super::protocol::Protocol;
use super::yaml::{Entry, Node, Origin};
use crate::heads::{HeadKind, did_you_mean};
use crate::{Error, Result};

/// A whole sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepConfig {
    /// How trials are chosen.
    pub method: Method,
    /// The metric that they are compared by.
    pub metric: Metric,
    /// The search space.
    pub axes: Vec<Axis>,
    /// Largest number of trials.
    pub run_cap: Option<usize>,
    /// Seed of the search and, unless `seed` is a parameter, of the trials.
    pub seed: u64,
    /// Number of parts of train and val together, each of which serves as val once; 1 for a fixed
    /// val.
    pub folds: usize,
    /// Number of repeats of each trial, with their own seeds and splits, unless `seed` lists
    /// several: see [`SweepConfig::protocol`].
    pub repeats: usize,
    /// Whether the chosen head is trained again on train and val together.
    pub refit: bool,
    /// Early termination of trials that do badly.
    pub early_terminate: Option<EarlyTermination>,
    /// Time after which no trial is begun.
    pub time_cap: Option<Duration>,
    /// The parameter for each of whose values the best trial is judged on test.
    pub report_best_by: Option<ReportBestBy>,
    /// The file that it was read from.
    pub origin: Origin,
}

/// A parameter for each of whose values the best trial is judged on test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportBestBy {
    /// Its line in the sweep file; 0 where it came from elsewhere.
    pub line: usize,
    /// Name of the parameter.
    pub parameter: String,
}

/// Largest number of heads for one trial.
const MOST_RUNS: usize = 100_000;

/// The sweep where no file is given: two heads, a few learning rates, dropout or none.
pub(crate) const DEFAULT: &str = "\
method: grid
metric: {name: val.acc1, goal: maximize}
parameters:
  head: {values: [linear, dense]}
  hidden: {value: 256}
  dropout: {values: [0.0, 0.5]}
  optimizer: {value: adam}
  lr: {values: [1.0e-4, 1.0e-3, 1.0e-2]}
  batch_size: {value: 64}
  epochs: {value: 20}
";

impl SweepConfig {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// A file that cannot be read, or a mistake in it with its line.
    pub fn read(path: &Path) -> Result<SweepConfig> {
        let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::data(
                path,
                "does not exist",
                "give the path of a sweep file: YAML that starts with `method: grid` and has `parameters:`",
            ),
            _ => Error::io("read", path)(e),
        })?;
        SweepConfig::parse(&text, path)
    }

    /// Parses a sweep file's text.
    ///
    /// # Errors
    /// A mistake in it, with its line.
    ///
    /// ```
    /// use headstart::sweep::SweepConfig;
    ///
    /// let text = "parameters:\n  head: {value: linear}\n  lr: {values: [0.1, 0.01]}\n";
    /// let mut config = SweepConfig::parse(text, "sweep.yaml".as_ref())?;
    /// config.set("epochs=5")?;
    /// let mistake = SweepConfig::parse("parameters:\n  lt: {value: 1}\n", "sweep.yaml".as_ref()).unwrap_err();
    /// assert!(mistake.to_string().contains("sweep.yaml"));
    /// # Ok::<(), headstart::Error>(())
    /// ```
    pub fn parse(text: &str, path: &Path) -> Result<SweepConfig> {
        let origin = Origin(path.into());
        let tree = Node::parse(text, path)?;
        let hint = "a sweep file starts with `method: grid` and has `parameters:`";
        let fields = tree.entries().ok_or_else(|| origin.mistake(1, "is not a sweep file", hint))?;
        if let Some(unknown) = fields.iter().find(|f| !TOP_LEVEL.contains(&f.key.as_str())) {
            let problem = format!("`{}` is not a word of a sweep file", unknown.key);
            let hint = match parameters().find(|name| *name == unknown.key) {
                Some(name) => format!("`{name}` goes into `parameters`"),
                None => did_you_mean(&unknown.key, TOP_LEVEL.iter().copied()),
            };
            return Err(origin.mistake(unknown.line, problem, hint));
        }
        let field = |name: &str| fields.iter().find(|f| f.key == name);
        let parameters = field("parameters").ok_or_else(|| origin.mistake(1, "has no `parameters`", hint))?;
        let entries = parameters.value.entries().filter(|e| !e.is_empty());
        let entries =
            entries.ok_or_else(|| origin.mistake(parameters.line, "`parameters` is empty", "for instance `lr: {value: 1.0e-3}`"))?;
        let axes: Vec<Axis> = entries.iter().map(|e| Axis::read(e, &origin)).collect::<Result<_>>()?;
        let mut config = SweepConfig {
            method: Method::Grid,
            metric: Metric { name: "acc1", more: true },
            run_cap: None,
            time_cap: None,
            seed: 0,
            folds: 1,
            repeats: 1,
            refit: false,
            early_terminate: None,
            report_best_by: None,
            axes,
            origin,
        };
        fields.iter().try_for_each(|f| config.read_field(f))?;
        config.check()?;
        Ok(config)
    }

    /// Takes one entry of the top level.
    fn read_field(&mut self, f: &Entry) -> Result<()> {
        let origin = &self.origin;
        match f.key.as_str() {
            "method" => self.method = fields::method(f, origin)?,
            "metric" => self.metric = fields::metric(f, origin)?,
            "run_cap" => self.run_cap = Some(fields::count(f, 1, origin)?),
            "time_cap" | "time_budget" => self.time_cap = Some(fields::duration(f, origin)?),
            "seed" => self.seed = fields::count(f, 0, origin)? as u64,
            "folds" => self.folds = fields::count(f, 2, origin)?,
            "repeats" => self.repeats = fields::count(f, 1, origin)?,
            "refit" => self.refit = fields::flag(f, origin)?,
            "early_terminate" => self.early_terminate = fields::early_terminate(f, origin)?,
            "report_best_by" => self.report_best_by = Some(ReportBestBy { line: f.value.line, parameter: fields::parameter(f, origin)? }),
            _ => {}
        }
        Ok(())
    }

    /// Replaces or adds a parameter by `KEY=V1,V2`. Keys of the top level (`method=…`, `folds=…`)
    /// are set too.
    ///
    /// # Errors
    /// A text of another form, an unknown key, a value that the key cannot hold.
    pub fn set(&mut self, text: &str) -> Result<()> {
        let form = "write KEY=VALUE or KEY=V1,V2, for instance lr=1e-3,1e-4";
        let (key, values) = text.split_once('=').ok_or_else(|| Error::setting(format!("`{text}` is not a setting"), form))?;
        let list = Node::parse(&format!("[{values}]"), Path::new("command line"));
        let values = match list.ok().as_ref().and_then(Node::items) {
            Some(items) if !values.trim().is_empty() => items.to_vec(),
            _ => return Err(Error::setting(format!("`{text}` has no usable values"), form)),
        };
        if SETTABLE.contains(&key) {
            return self.read_field(&Entry { line: 0, key: key.into(), value: values[0].without_lines() });
        }
        let axis = Axis::of(key, values.iter().map(Node::to_json).collect())?;
        match self.axes.iter_mut().find(|a| a.key == axis.key) {
            Some(old) => *old = axis,
            None => self.axes.push(axis),
        }
        Ok(())
    }

    /// Checks the settings against each other. Called again after overrides.
    ///
    /// # Errors
    /// A grid over a distribution, seeds that cannot be repeats.
    pub fn check(&self) -> Result<()> {
        self.check_seeds()?;
        let Protocol { folds, repeats, .. } = self.protocol();
        if folds.checked_mul(repeats).is_none_or(|runs| runs > MOST_RUNS) {
            let problem = format!("{folds} folds {repeats} times over are more than {MOST_RUNS} heads a trial");
            return Err(Error::setting(problem, "use fewer `folds` or `repeats`"));
        }
        for axis in &self.axes {
            if self.method == Method::Grid && matches!(axis.domain, Domain::Range(_)) {
                let problem = format!("a grid cannot enumerate the distribution of `{}`", axis.key);
                return Err(self.origin.mistake(axis.line, problem, "give `values: […]`, or use `method: random`"));
            }
        }
        Ok(())
    }

    /// Several seeds are repeats: the best seed is luck, not a setting to choose.
    fn check_seeds(&self) -> Result<()> {
        let Some(axis) = self.axis("seed") else { return Ok(()) };
        let refuse = |problem: &str, hint: String| Err(self.origin.mistake(axis.line, problem, hint));
        let Domain::Values(values) = &axis.domain else {
            return refuse(
                "`seed` is drawn, and the best trial would be the luckiest",
                "use `repeats: 5`: mean and spread over seeds".into(),
            );
        };
        let seeds: Vec<u64> = values.iter().filter_map(|choice| choice.value.as_u64()).collect();
        if seeds.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
            let hint = format!("write `seed: {{value: {}}}` and `repeats: {}`", seeds[0], seeds.len());
            return refuse("the seeds of a list are repeats, and these do not follow each other", hint);
        }
        if seeds.len() > 1 && self.repeats > 1 {
            return refuse("`seed` lists several, and there are `repeats` too", "use one of them".into());
        }
        Ok(())
    }

    /// The axis of a parameter.
    pub(crate) fn axis(&self, key: &str) -> Option<&Axis> {
        self.axes.iter().find(|a| a.key == key)
    }

    /// The line of a parameter in the sweep file; 0 where the file does not name it.
    pub(crate) fn line(&self, key: &str) -> usize {
        self.axis(key).map_or(0, |a| a.line)
    }

    /// Whether some head may be trained by batches, rather than all be solved for.
    pub(crate) fn trains(&self) -> bool {
        let is_solved = |head: &Value| serde_json::from_value(head.clone()).is_ok_and(HeadKind::is_solved);
        match self.axis("head").map(|a| &a.domain) {
            Some(Domain::Values(heads)) => !heads.iter().all(|choice| is_solved(&choice.value)),
            _ => true,
        }
    }

    /// The rows on which trials are trained and judged, and how often.
    pub fn protocol(&self) -> Protocol {
        let seeds = self.axis("seed").map_or(1, |axis| axis.domain.len());
        Protocol { folds: self.folds, repeats: self.repeats.max(seeds), seed: self.seed }
    }

    /// The sweep as YAML again, overrides included.
    pub fn to_yaml(&self) -> String {
        let mut out = format!(
            "method: {}\nmetric: {{name: val.{}, goal: {}}}\nparameters:\n",
            self.method.name(),
            self.metric.name,
            if self.metric.more { "maximize" } else { "minimize" }
        );
        for axis in &self.axes {
            out += &format!("  {}: {{{}}}\n", axis.key, axis.domain);
        }
        let mut line = |key: &str, value: Option<String>| out += &value.map_or(String::new(), |v| format!("{key}: {v}\n"));
        let unless = |usual: usize, value: usize| (value != usual).then(|| value.to_string());
        line("run_cap", self.run_cap.map(|cap| cap.to_string()));
        line("time_cap", self.time_cap.map(|cap| format!("{}s", cap.as_secs_f64())));
        line("folds", unless(1, self.folds));
        line("repeats", unless(1, self.repeats));
        line("refit", self.refit.then(|| "true".into()));
        let early = |e: EarlyTermination| {
            let name = if e.brackets { "hyperband" } else { "halving" };
            format!("{{type: {name}, min_iter: {}, eta: {}}}", e.min_iter, e.eta)
        };
        line("early_terminate", self.early_terminate.map(early));
        line("report_best_by", self.report_best_by.as_ref().map(|by| by.parameter.clone()));
        line("seed", Some(self.seed.to_string()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SweepConfig> {
        SweepConfig::parse(text, Path::new("sweep.yaml"))
    }

    #[test]
    fn the_default_and_its_own_yaml_are_read_back_alike() {
        let config = parse(DEFAULT).unwrap();
        let mut again = parse(&config.to_yaml()).unwrap();
        again.axes.iter_mut().zip(&config.axes).for_each(|(a, b)| *a = Axis { line: b.line, ..a.clone() });
        let values = |c: &SweepConfig| c.axes.iter().map(|a| (a.key.clone(), a.domain.at(0.99))).collect::<Vec<_>>();
        assert_eq!(values(&config), values(&again));
        let random = parse(
            "method: random\nparameters:\n  lr: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}\n  epochs: {min: 3, max: 9}\n  \
             batch_size: {distribution: q_log_uniform_values, min: 8, max: 256, q: 8}\n",
        )
        .unwrap();
        for at in 0..3 {
            assert_eq!(parse(&random.to_yaml()).unwrap().axes[at].domain, random.axes[at].domain);
        }
    }

    #[test]
    fn mistakes_name_the_line_and_the_nearest_word() {
        let cases = [
            ("metod: grid\nparameters: {lr: {value: 1}}", "sweep.yaml:1", "`method`"),
            ("method: gird\nparameters: {lr: {value: 1}}", "sweep.yaml:1", "`grid`"),
            ("parameters:\n  lr: {distribution: uniform, min: 0.1, max: 1}", "sweep.yaml:2: a grid cannot", "random"),
            ("parameters:\n  lr: {value: 1}\nmetric: {name: val.los}", "sweep.yaml:3: `val.los` is not a metric", "`val.loss`"),
            ("parameters:\n  lr: {value: 1}\nmetric: val_loss", "sweep.yaml:3: `val_loss` is not a metric", "did you mean `val.loss`?"),
            ("parameters:\n  lr: {value: 1}\nmetric: {name: val_acc}", "`val_acc` is not a metric", "did you mean `val.acc1`?"),
            ("parameters:\n  lr: {value: 1}\nmetric: accuracy", "`accuracy` is not a metric", "did you mean `val.acc1`?"),
            ("parameters:\n  lr: {value: 1}\nmetric: qqqq", "`qqqq` is not a metric", "use one of: acc1, acc5"),
            ("parameters:\n  lr: {value: 1}\nearly_terminate: {max_iter: 27}", "sweep.yaml:3: `early_terminate`", "`max_iter` and `s`"),
            ("parameters:\n  lr: {value: 1}\nearly_terminate: {max_iter: 27, s: 2, min_iter: 3}", "sweep.yaml:3", "`max_iter` and `s`"),
            ("parameters:\n  lr: {value: 1}\nmetric: {name: val.acc1, goal: maximise}", "sweep.yaml:3", "`maximize`"),
            ("parameters:\n  lr: {value: 1}\nmetric:\n  name: loss\n  gaol: minimize", "sweep.yaml:5: `gaol`", "did you mean `goal`?"),
            ("parameters:\n  lr: {value: 1}\nmetric: {goal: minimize}", "sweep.yaml:3: `metric` has no `name`", "val.acc1"),
            ("parameters:\n", "`parameters` is empty", "lr"),
            ("lr: 0.1\nparameters: {lr: {value: 1}}", "sweep.yaml:1: `lr` is not a word", "goes into `parameters`"),
            ("run_cap: 0\nparameters: {lr: {value: 1}}", "sweep.yaml:1: `run_cap: 0`", "at least 1"),
            ("folds: 1\nparameters: {lr: {value: 1}}", "sweep.yaml:1: `folds: 1`", "at least 2"),
            ("repeats: 0\nparameters: {lr: {value: 1}}", "sweep.yaml:1: `repeats: 0`", "at least 1"),
        ];
        for (text, problem, hint) in cases {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn a_sweep_file_that_is_not_there_is_unusable_input() {
        let error = SweepConfig::read(Path::new("nowhere/sweep.yaml")).unwrap_err();
        assert!(error.is_unusable_input() && error.to_string().contains("sweep.yaml: does not exist\n  help: "), "{error}");
    }

    #[test]
    fn words_of_other_tools_are_understood() {
        let config =
            parse("parameters: {lr: {value: 1}}\ntime_budget: 10m\nearly_terminate: {type: hyperband, max_iter: 27, s: 2}").unwrap();
        assert_eq!(config.time_cap, Some(Duration::from_secs(600)));
        // As W&B has it: judged after 27 / 3 and 27 / 9 epochs.
        assert_eq!(config.early_terminate, Some(EarlyTermination { brackets: true, min_iter: 3, eta: 3 }));
    }

    #[test]
    fn overrides_replace_and_add() {
        let mut config = parse(DEFAULT).unwrap();
        config.set("lr=1e-2,0.5").unwrap();
        config.set("hidden=[512, 128],64").unwrap();
        config.set("seed=1,2").unwrap();
        config.set("method=random").unwrap();
        let of = |key: &str| config.axes.iter().find(|a| a.key == key).unwrap().domain.at(0.0);
        assert_eq!((of("lr"), of("hidden"), of("seed")), (0.01.into(), serde_json::json!([512, 128]), 1.into()));
        assert_eq!(config.method, Method::Random);
        for (typed, meant) in [("foldss=3", "`folds`"), ("repeat=3", "`repeats`"), ("shot=3", "`shots`"), ("run_cpa=9", "`run_cap`")] {
            let message = config.set(typed).unwrap_err().to_string();
            assert!(message.contains(&format!("did you mean {meant}?")), "{message}");
        }
        assert!(config.set("lrr=1").unwrap_err().to_string().contains("`lr`"));
        assert!(config.set("head=liner").unwrap_err().to_string().contains("did you mean `linear`?"));
        assert!(config.set("lr=").is_err() && config.set("lr").is_err());
    }
}
