//! One head with one setting: [`Params`] as written by people, [`HeadSpec`] once checked against the features it is to be trained on.

use serde::{Deserialize, Serialize};

use crate::heads::fitted::pretrained::Classifier;
use crate::heads::settings::choices::{Activation, ClassWeights, HeadKind, Init, Loss, LrScale, OptimizerKind, Preset, Schedule};
use crate::{Error, Result};

/// All settings of a trial as a sweep file names them, unchecked. What a head does not use is ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is described once, in `heads::KEYS`")]
pub struct Params {
    pub head: HeadKind,
    #[serde(deserialize_with = "one_or_many")]
    pub hidden: Vec<usize>,
    pub activation: Activation,
    pub dropout: f32,
    pub input_dropout: f32,
    pub batch_norm: bool,
    pub init: Init,
    pub loss: Loss,
    pub label_smoothing: f32,
    pub class_weights: ClassWeights,
    pub optimizer: OptimizerKind,
    pub preset: Preset,
    pub lr: f64,
    pub lr_scale: LrScale,
    pub schedule: Schedule,
    pub step_size: usize,
    pub gamma: f64,
    pub warmup: usize,
    pub weight_decay: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub nesterov: bool,
    pub rho: Option<f64>,
    pub centered: bool,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: Option<f64>,
    pub amsgrad: bool,
    pub clip_norm: Option<f64>,
    pub batch_size: usize,
    pub epochs: usize,
    pub patience: usize,
    pub alpha: f64,
    #[serde(rename = "C")]
    pub c: f64,
    pub tol: f64,
    pub k: usize,
    pub temperature: f64,
    pub views: usize,
    pub brightness: f32,
    pub mixup: f64,
    pub standardise: bool,
    pub l2: bool,
    pub seed: u64,
}

/// `256` stands for `[256]`.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Counts {
        One(usize),
        Many(Vec<usize>),
    }
    Ok(match Counts::deserialize(deserializer)? {
        Counts::One(n) => vec![n],
        Counts::Many(all) => all,
    })
}

impl Default for Params {
    fn default() -> Params {
        Params {
            head: HeadKind::Linear,
            hidden: vec![256],
            activation: Activation::Relu,
            dropout: 0.0,
            input_dropout: 0.0,
            batch_norm: false,
            init: Init::Torch,
            loss: Loss::Auto,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            optimizer: OptimizerKind::Adam,
            preset: Preset::Torch,
            lr: 1e-3,
            lr_scale: LrScale::None,
            schedule: Schedule::Constant,
            step_size: 10,
            gamma: 0.1,
            warmup: 0,
            weight_decay: 0.0,
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
            rho: None,
            centered: false,
            beta1: 0.9,
            beta2: 0.999,
            eps: None,
            amsgrad: false,
            clip_norm: None,
            batch_size: 64,
            epochs: 30,
            patience: 0,
            alpha: 1.0,
            c: 1.0,
            tol: 1e-4,
            k: 20,
            temperature: 0.07,
            views: 1,
            brightness: 0.0,
            mixup: 0.0,
            standardise: false,
            l2: false,
            seed: 0,
        }
    }
}

/// What a head is fitted to: the features' shape and the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit<'a> {
    /// The tap's name, for messages.
    pub tap: &'a str,
    /// Shape of one row: `[D]` or `[C, H, W]`.
    pub shape: &'a [usize],
    /// Number of classes.
    pub classes: usize,
    /// Whether rows may have several classes.
    pub many: bool,
}

/// Checked parameters: a head that fits its features, with every dimension known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// The settings it was made of.
    pub(crate) params: Params,
    /// Features of one row as the first layer sees them.
    pub(crate) inputs: usize,
    /// Number of classes.
    pub(crate) classes: usize,
    /// Units of the last layer: the classes, or 1 where two classes share a sigmoid.
    pub(crate) outputs: usize,
    /// The loss, no longer `auto`.
    pub(crate) loss: Loss,
    /// Whether sigmoids, one a class, are those of classes that exclude each other: their probabilities are divided by their sum.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exclusive: bool,
    /// Of a classifier: whether dropout lies before each of its layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) classifier_dropouts: Vec<bool>,
}

impl Params {
    /// What a kind of head is when nothing else is said of it: a classifier starts from the backbone's weights and drops half of its units, as it
    /// did when it was trained.
    pub fn of(head: HeadKind) -> Params {
        match head {
            HeadKind::Classifier => Params { head, init: Init::Pretrained, dropout: 0.5, ..Params::default() },
            _ => Params { head, ..Params::default() },
        }
    }

    /// Checks the settings against each other, against the features and, for head `classifier`, against the backbone's own layers.
    ///
    /// # Errors
    /// The first setting that cannot be used, and what to do instead.
    pub fn check_with(&self, fit: Fit<'_>, classifier: Option<&Classifier>) -> Result<HeadSpec> {
        if self.head != HeadKind::Classifier {
            return self.check(fit);
        }
        match classifier {
            None => {
                let problem = "head `classifier` is a backbone's own hidden layers, and the backbone of these features has none";
                Err(Error::setting(problem, "use head `dense`, or features of vgg11 … vgg19 or alexnet"))
            }
            Some(c) if c.tap != fit.tap => {
                let problem = format!("head `classifier` lies behind tap `{}`, not behind `{}`", c.tap, fit.tap);
                Err(Error::setting(problem, format!("extract that tap with `headstart features --tap {}`, or use head `dense`", c.tap)))
            }
            Some(c) => {
                let mut spec = Params { hidden: c.hidden.clone(), ..self.clone() }.check(fit)?;
                spec.classifier_dropouts = c.dropouts.clone();
                Ok(spec)
            }
        }
    }

    /// Checks the settings against each other and against the features. Of a head `classifier`, `hidden` tells the layers.
    ///
    /// # Errors
    /// The first setting that cannot be used, and what to do instead.
    pub fn check(&self, fit: Fit<'_>) -> Result<HeadSpec> {
        let pooled = matches!(self.head, HeadKind::Gap | HeadKind::GapDropout);
        let inputs = match *fit.shape {
            [channels, _, _] if pooled => channels,
            _ if pooled => {
                let problem = format!("head `{}` pools a map, but tap `{}` has the shape {:?}", self.head, fit.tap, fit.shape);
                return Err(Error::setting(problem, "use head `linear`, or a tap of shape [C, H, W] such as `map`"));
            }
            _ => fit.shape.iter().product(),
        };
        let loss = match self.loss {
            _ if self.head.is_solved() => self.solved_loss(fit)?,
            Loss::Auto if fit.many => Loss::Sigmoid,
            Loss::Auto => Loss::Softmax,
            Loss::Softmax if fit.many => {
                let hint = "use `loss: sigmoid` where rows have several classes";
                return Err(Error::parameter("loss", "`loss: softmax` needs one class a row", hint));
            }
            chosen => chosen,
        };
        let outputs = if loss == Loss::Sigmoid && fit.classes == 2 && !fit.many { 1 } else { fit.classes };
        self.check_values()?;
        let exclusive = loss == Loss::Sigmoid && outputs > 1 && !fit.many;
        Ok(HeadSpec { params: self.clone(), inputs, classes: fit.classes, outputs, loss, exclusive, classifier_dropouts: vec![] })
    }

    /// What the outputs of a head that is solved for mean.
    fn solved_loss(&self, fit: Fit<'_>) -> Result<Loss> {
        match self.head {
            HeadKind::NearestMean if fit.many => {
                let hint = "use head `ridge`, `logreg` or `knn` where rows have several classes";
                Err(Error::setting("head `nearest-mean` needs one class a row", hint))
            }
            _ if fit.many => Ok(Loss::Sigmoid),
            HeadKind::Logreg if fit.classes == 2 => Ok(Loss::Sigmoid),
            _ => Ok(Loss::Softmax),
        }
    }

    fn check_values(&self) -> Result<()> {
        for key in crate::heads::settings::keys::KEYS.iter().filter(|key| key.applies(self)) {
            key.check(&self.setting(key.name))?;
        }
        let refuse = |key, problem: &str, hint: &str| Err(Error::parameter(key, problem, hint));
        if self.nesterov && self.optimizer == OptimizerKind::Sgd && (self.momentum <= 0.0 || self.dampening != 0.0) {
            return refuse(
                "nesterov",
                "`nesterov` needs a momentum above 0 and no dampening",
                "set `momentum: 0.9` and leave `dampening` out",
            );
        }
        if self.init == Init::Zero && matches!(self.head, HeadKind::Dense | HeadKind::Classifier) {
            return refuse("init", "`init: zero` leaves hidden units equal for ever", "use `init: torch`, or head `linear`");
        }
        if self.init == Init::Pretrained && self.head != HeadKind::Classifier {
            let problem = format!("`init: pretrained` is for head `classifier`, not for `{}`", self.head);
            return refuse("init", &problem, "leave `init` out: each head has a fitting one");
        }
        if self.mixup > 0.0 && self.head.is_solved() {
            let problem = format!("`mixup` mixes rows anew each epoch, and head `{}` is solved for, without any", self.head);
            return refuse("mixup", &problem, "leave `mixup` out, or use a head that is trained: linear, dense");
        }
        if self.warmup >= self.epochs && self.warmup > 0 {
            return refuse("warmup", "`warmup` takes as many epochs as there are", "use fewer epochs of `warmup` than `epochs`");
        }
        Ok(())
    }

    /// One setting as JSON, by its key.
    pub fn setting(&self, key: &str) -> serde_json::Value {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(mut all)) => all.remove(key).unwrap_or(serde_json::Value::Null),
            _ => serde_json::Value::Null,
        }
    }
}

impl HeadSpec {
    /// The settings.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The same head with the seed of a repetition.
    pub fn repeated(&self, repeat: usize) -> HeadSpec {
        let mut spec = self.clone();
        spec.params.seed += repeat as u64;
        spec
    }

    /// The same head, trained to its last epoch.
    pub fn without_patience(&self) -> HeadSpec {
        let mut spec = self.clone();
        spec.params.patience = 0;
        spec
    }

    /// Units of each layer, the input first and the output last. Nearest neighbours have no layer.
    pub fn dims(&self) -> Vec<usize> {
        if self.params.head == HeadKind::Knn {
            return vec![self.inputs];
        }
        let layered = matches!(self.params.head, HeadKind::Dense | HeadKind::Classifier);
        let hidden: &[usize] = if layered { &self.params.hidden } else { &[] };
        [&[self.inputs], hidden, &[self.outputs]].concat()
    }

    /// Whether each class has a probability of its own, rather than all one distribution (as two classes that share a sigmoid have).
    pub fn is_each(&self) -> bool {
        self.loss == Loss::Sigmoid && self.outputs == self.classes && !self.exclusive
    }

    /// Whether the sigmoids of classes are divided by their sum, as scikit-learn's one-versus-rest does: the softmax of their logarithms.
    pub fn is_one_versus_rest(&self) -> bool {
        self.exclusive
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The loss that is minimised: softmax or sigmoid.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether maps are pooled before the first layer.
    pub fn pools(&self) -> bool {
        matches!(self.params.head, HeadKind::Gap | HeadKind::GapDropout)
    }

    /// Whether the features go through a batch norm.
    pub fn has_batch_norm(&self) -> bool {
        self.params.batch_norm && !self.params.head.is_solved()
    }

    /// Dropout rate of each layer's input.
    pub fn dropouts(&self) -> Vec<f32> {
        let p = &self.params;
        let first = match p.head {
            HeadKind::Linear | HeadKind::GapDropout => p.dropout,
            HeadKind::Dense => p.input_dropout,
            _ => 0.0,
        };
        let mut rates = vec![p.dropout; self.dims().len() - 1];
        rates[0] = first;
        if p.head == HeadKind::Classifier {
            rates = self.classifier_dropouts.iter().map(|&drops| if drops { p.dropout } else { 0.0 }).collect();
            rates.resize(self.dims().len() - 1, 0.0);
        }
        rates
    }

    /// Initial weights `[outputs, inputs]` and bias `[outputs]` of a layer.
    pub fn initial(&self, layer: usize) -> (Vec<f32>, Vec<f32>) {
        let dims = self.dims();
        let (inputs, outputs) = (dims[layer], dims[layer + 1]);
        let (bound, biased) = match self.params.init {
            Init::Torch | Init::Pretrained | Init::Random => (1.0 / (inputs as f64).sqrt(), true),
            Init::Xavier => ((6.0 / (inputs + outputs) as f64).sqrt(), false),
            Init::Kaiming => ((6.0 / inputs as f64).sqrt(), false),
            Init::Zero => (0.0, false),
        };
        let draw = |unit, n| crate::heads::random::initial(self.params.seed, layer, unit, n).map(|u| u * bound as f32);
        let weight = (0..outputs).flat_map(|unit| draw(unit, inputs)).collect();
        let bias = if biased { draw(outputs, outputs).collect() } else { vec![0.0; outputs] };
        (weight, bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: Fit<'_> = Fit { tap: "gap", shape: &[512], classes: 3, many: false };

    #[test]
    fn a_head_that_does_not_fit_the_tap_is_refused() {
        let gap = Params { head: HeadKind::Gap, ..Params::default() };
        let message = gap.check(VECTOR).unwrap_err().to_string();
        assert!(message.contains("tap `gap` has the shape [512]"), "{message}");
        let map = Fit { tap: "map", shape: &[512, 4, 4], ..VECTOR };
        assert_eq!(gap.check(map).unwrap().dims(), [512, 3]);
        assert_eq!(Params::default().check(map).unwrap().dims(), [8192, 3]);
    }

    #[test]
    fn two_classes_share_one_sigmoid() {
        let binary = Params { loss: Loss::Sigmoid, head: HeadKind::Dense, ..Params::default() };
        assert_eq!(binary.check(Fit { classes: 2, ..VECTOR }).unwrap().dims(), [512, 256, 1]);
        assert_eq!(binary.check(Fit { classes: 2, many: true, ..VECTOR }).unwrap().dims(), [512, 256, 2]);
    }

    #[test]
    fn unusable_values_are_refused() {
        let bad = [
            Params { dropout: 1.0, ..Params::default() },
            Params { lr: f64::NAN, ..Params::default() },
            Params { epochs: 0, ..Params::default() },
            Params { batch_size: 0, ..Params::default() },
            Params { optimizer: OptimizerKind::Sgd, nesterov: true, ..Params::default() },
            Params { head: HeadKind::Dense, init: Init::Zero, ..Params::default() },
            Params { head: HeadKind::Ridge, mixup: 0.2, ..Params::default() },
            Params { mixup: -0.2, ..Params::default() },
        ];
        for params in bad {
            assert!(params.check(VECTOR).is_err(), "{params:?}");
        }
    }

    #[test]
    fn initial_weights_keep_to_their_bounds_and_fill_them() {
        for (init, bound) in
            [(Init::Torch, 1.0 / 512f32.sqrt()), (Init::Xavier, (6.0 / 515f32).sqrt()), (Init::Kaiming, (6.0 / 512f32).sqrt())]
        {
            let spec = Params { init, ..Params::default() }.check(VECTOR).unwrap();
            let (weight, bias) = spec.initial(0);
            let largest = weight.iter().fold(0f32, |m, w| m.max(w.abs()));
            assert!(largest <= bound && largest > 0.99 * bound, "{init}: {largest} of {bound}");
            assert_eq!(bias.iter().all(|&b| b == 0.0), init != Init::Torch);
        }
    }
}
