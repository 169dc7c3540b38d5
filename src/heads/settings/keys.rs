//! The keys of a trial's settings: the values that each may hold, and the heads that it applies to.

use serde_json::Value;

use crate::heads::settings::choices::{Activation, ClassWeights, HeadKind, Init, Loss, LrScale, OptimizerKind, Preset, Schedule};
use crate::heads::settings::params::Params;
use crate::{Error, Result, nearest};

/// The values that a key may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// One of a list of words.
    Choice(&'static [&'static str]),
    /// A number from `min` to below `below`; `closed` tells whether `min` itself is allowed.
    Number {
        /// Lower end.
        min: f64,
        /// Upper end, itself left out.
        below: f64,
        /// Whether the lower end itself is allowed.
        closed: bool,
    },
    /// A whole number of at least this.
    Count(u64),
    /// One whole number above 0, or a list of them.
    Counts,
    /// true or false
    Flag,
}

/// One key of a trial's settings.
#[derive(Debug, Clone, Copy)]
pub struct SettingSpec {
    /// Its name in a sweep file.
    pub name: &'static str,
    /// The values that it may hold.
    pub kind: Kind,
    /// Its meaning in one line.
    pub about: &'static str,
    /// Whether `null` (not set) is allowed.
    pub optional: bool,
    when: fn(&Params) -> bool,
}

const ANY: Kind = Kind::Number { min: 0.0, below: f64::INFINITY, closed: true };
const POSITIVE: Kind = Kind::Number { min: 0.0, below: f64::INFINITY, closed: false };
const SHARE: Kind = Kind::Number { min: 0.0, below: 1.0, closed: true };

/// Largest number of units of a hidden layer.
const MOST_UNITS: u64 = 1 << 20;

const fn key(name: &'static str, kind: Kind, when: fn(&Params) -> bool, about: &'static str) -> SettingSpec {
    SettingSpec { name, kind, about, optional: false, when }
}

const fn optional(name: &'static str, kind: Kind, when: fn(&Params) -> bool, about: &'static str) -> SettingSpec {
    SettingSpec { name, kind, about, optional: true, when }
}

fn always(_: &Params) -> bool {
    true
}

fn trained(p: &Params) -> bool {
    !p.head.is_solved()
}

fn dense(p: &Params) -> bool {
    p.head == HeadKind::Dense
}

fn adam(p: &Params) -> bool {
    trained(p) && matches!(p.optimizer, OptimizerKind::Adam | OptimizerKind::Adamw)
}

fn rmsprop(p: &Params) -> bool {
    trained(p) && p.optimizer == OptimizerKind::Rmsprop
}

fn sgd(p: &Params) -> bool {
    trained(p) && p.optimizer == OptimizerKind::Sgd
}

/// Variants of momentum apply only where there is momentum.
fn has_momentum(p: &Params) -> bool {
    sgd(p) && p.momentum > 0.0
}

fn logreg(p: &Params) -> bool {
    p.head == HeadKind::Logreg
}

fn knn(p: &Params) -> bool {
    p.head == HeadKind::Knn
}

fn step(p: &Params) -> bool {
    trained(p) && p.schedule == Schedule::Step
}

/// All keys. Keys that decide whether others apply come first.
pub static KEYS: &[SettingSpec] = &[
    key("head", Kind::Choice(HeadKind::CHOICES), always, "kind of head"),
    key("hidden", Kind::Counts, dense, "units of the hidden layers of a dense head: one number, or a list for several layers"),
    key("activation", Kind::Choice(Activation::CHOICES), dense, "activation of the hidden layers"),
    key("dropout", SHARE, |p| trained(p) && p.head != HeadKind::Gap, "dropout rate: before a linear layer, behind each hidden layer"),
    key("input_dropout", SHARE, dense, "dropout rate of the features before a dense head"),
    key("batch_norm", Kind::Flag, trained, "batch norm without parameters on the features before the first layer"),
    key("init", Kind::Choice(Init::CHOICES), trained, "initial weights"),
    key("loss", Kind::Choice(Loss::CHOICES), trained, "what is minimised"),
    key("label_smoothing", SHARE, trained, "share of the target spread over all classes"),
    key("class_weights", Kind::Choice(ClassWeights::CHOICES), trained, "weights of the classes in the loss"),
    key("optimizer", Kind::Choice(OptimizerKind::CHOICES), trained, "optimiser, as PyTorch defines it"),
    key(
        "preset",
        Kind::Choice(Preset::CHOICES),
        |p| rmsprop(p) || adam(p),
        "whose update and whose defaults of `rho` and `eps`: PyTorch's or Keras's",
    ),
    key("lr", POSITIVE, trained, "learning rate"),
    key("lr_scale", Kind::Choice(LrScale::CHOICES), trained, "whether `lr` is multiplied by batch size / 256"),
    key("schedule", Kind::Choice(Schedule::CHOICES), trained, "how the learning rate changes over the epochs"),
    key("step_size", Kind::Count(1), step, "epochs between two steps of `schedule: step`"),
    key("gamma", POSITIVE, step, "factor of each step of `schedule: step`"),
    key("warmup", Kind::Count(0), trained, "epochs over which the learning rate rises linearly"),
    key("weight_decay", ANY, trained, "weight decay, of weights and biases as in PyTorch"),
    key("momentum", SHARE, |p| sgd(p) || rmsprop(p), "momentum of SGD and RMSprop"),
    key("dampening", SHARE, has_momentum, "dampening of SGD's momentum"),
    key("nesterov", Kind::Flag, has_momentum, "Nesterov's momentum"),
    optional("rho", SHARE, rmsprop, "RMSprop's smoothing (PyTorch: alpha)"),
    key("centered", Kind::Flag, rmsprop, "RMSprop: normalise by the gradient's variance"),
    key("beta1", SHARE, adam, "Adam's smoothing of the gradient"),
    key("beta2", SHARE, adam, "Adam's smoothing of its square"),
    optional("eps", ANY, |p| rmsprop(p) || adam(p), "added to the denominator"),
    key("amsgrad", Kind::Flag, adam, "Adam with the largest second moment so far"),
    optional("clip_norm", POSITIVE, trained, "largest norm of the whole gradient"),
    key("batch_size", Kind::Count(1), trained, "rows a step"),
    key("epochs", Kind::Count(1), trained, "passes over the training rows"),
    key("patience", Kind::Count(0), trained, "stop after so many epochs without progress, keep the best (0: never)"),
    key("alpha", POSITIVE, |p| p.head == HeadKind::Ridge, "strength of ridge's penalty, as scikit-learn's"),
    key("C", POSITIVE, logreg, "inverse strength of logistic regression's penalty, as scikit-learn's"),
    key("tol", POSITIVE, logreg, "largest entry of the gradient at which logistic regression ends"),
    key("k", Kind::Count(1), knn, "number of nearest neighbours that vote"),
    key("temperature", POSITIVE, knn, "neighbours vote with exp(cosine similarity / temperature)"),
    key("views", Kind::Count(1), trained, "views of each image, of which an epoch reads one at random"),
    key("brightness", SHARE, trained, "share of a row's range by which each of its features is shifted at random"),
    key("mixup", ANY, trained, "α of mixup: each training row is mixed with another by a share from Beta(α, α) (0: not)"),
    key("standardise", Kind::Flag, always, "features minus their mean over their standard deviation, both from train"),
    key("l2", Kind::Flag, always, "features divided by their Euclidean norm, row by row"),
    key("seed", Kind::Count(0), trained, "seed of initial weights, dropout and order"),
];

impl SettingSpec {
    /// The key of a name.
    ///
    /// # Errors
    /// An unknown name: the message carries the nearest one.
    pub(crate) fn find(name: &str) -> Result<&'static SettingSpec> {
        KEYS.iter()
            .find(|key| key.name == name)
            .ok_or_else(|| Error::setting(format!("`{name}` is not a parameter"), did_you_mean(name, KEYS.iter().map(|k| k.name))))
    }

    /// Whether a head with these settings uses this key at all.
    pub(crate) fn applies(&self, params: &Params) -> bool {
        (self.when)(params)
    }

    /// The smallest number that it may hold, if there is one.
    pub(crate) fn least(&self) -> Option<f64> {
        match self.kind {
            Kind::Number { min, closed: true, .. } => Some(min),
            Kind::Count(least) => Some(least as f64),
            Kind::Counts => Some(1.0),
            _ => None,
        }
    }

    /// Checks one value.
    ///
    /// # Errors
    /// A value of another kind or out of range. The message for a word names the nearest valid one.
    pub(crate) fn check(&self, value: &Value) -> Result<()> {
        let refuse = |hint: String| Err(Error::parameter(self.name, format!("`{}: {}` cannot be used", self.name, plain(value)), hint));
        match self.kind {
            _ if value.is_null() && self.optional => Ok(()),
            Kind::Choice(words) => match value.as_str() {
                Some(word) if words.contains(&word) => Ok(()),
                Some(word) => refuse(did_you_mean(word, words.iter().copied())),
                None => refuse(format!("use one of: {}", words.join(", "))),
            },
            Kind::Number { min, below, closed } => match value.as_f64() {
                Some(x) if x.is_finite() && x < below && (x > min || closed && x == min) => Ok(()),
                _ if below.is_finite() => refuse(format!("use a number from {min} to below {below}")),
                _ => refuse(format!("use a number {} {min}", if closed { "of at least" } else { "above" })),
            },
            Kind::Count(least) => whole_number(value, least).map(|_| ()).or_else(refuse),
            Kind::Counts => {
                let counts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                let fine = !counts.is_empty() && counts.iter().all(|c| c.as_u64().is_some_and(|n| (1..=MOST_UNITS).contains(&n)));
                if fine {
                    Ok(())
                } else {
                    refuse(format!("use a whole number from 1 to {MOST_UNITS}, or a list of them such as [512, 128]"))
                }
            }
            Kind::Flag if value.is_boolean() => Ok(()),
            Kind::Flag => refuse("use true or false".into()),
        }
    }
}

/// A whole number of at least `least`, or else the hint for the message.
pub(crate) fn whole_number(value: &Value, least: u64) -> Result<usize, String> {
    const MOST: u64 = u32::MAX as u64;
    match value.as_u64() {
        Some(n) if (least..=MOST).contains(&n) => Ok(n as usize),
        Some(n) if n > MOST => Err(format!("use a whole number from {least} to {MOST}")),
        _ => Err(format!("use a whole number of at least {least}")),
    }
}

/// A value as people write it: words without quotes.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// "did you mean `x`?", or the list of all candidates.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of: {}", candidates.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_params_name_the_same_settings() {
        let Value::Object(params) = serde_json::to_value(Params::default()).unwrap() else { panic!("params are a map") };
        let mut names: Vec<&str> = params.keys().map(String::as_str).collect();
        let mut keys: Vec<&str> = KEYS.iter().map(|k| k.name).collect();
        names.sort_unstable();
        keys.sort_unstable();
        assert_eq!(names, keys);
        for key in KEYS {
            key.check(&params[key.name]).unwrap();
        }
    }

    #[test]
    fn a_typo_names_its_neighbour() {
        assert!(SettingSpec::find("droput").unwrap_err().to_string().contains("did you mean `dropout`?"));
        let optimizer = SettingSpec::find("optimizer").unwrap();
        assert!(optimizer.check(&"rmsporp".into()).unwrap_err().to_string().contains("did you mean `rmsprop`?"));
        assert!(SettingSpec::find("hidden").unwrap().check(&serde_json::json!([256, 0])).is_err());
        assert!(SettingSpec::find("epochs").unwrap().check(&serde_json::json!(1.5)).is_err());
    }
}
