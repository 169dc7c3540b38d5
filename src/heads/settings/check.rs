//! The one step from settings as written, [`Params`], to settings that can be used, [`HeadSpec`].

use super::choices::{HeadKind, Init, Loss, OptimizerKind};
use super::keys::KEYS;
use super::params::Params;
use super::spec::{Fit, FlatSpec, HeadSpec, HiddenLayers};
use crate::{Error, Result, steps};

impl Params {
    /// Checks the settings against each other, against the features and, for head `classifier`,
    /// against the backbone's own layers.
    ///
    /// # Errors
    /// The first setting that cannot be used, with an alternative.
    pub fn check_with(&self, fit: Fit<'_>, classifier: Option<&HiddenLayers>) -> Result<HeadSpec> {
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
                Err(Error::setting(problem, format!("{} with option `tap={}`, or use head `dense`", steps::EXTRACT, c.tap)))
            }
            Some(c) => Params { hidden: c.hidden.clone(), ..self.clone() }.check_layers(fit, c.dropouts.clone()),
        }
    }

    /// Checks the settings against each other and against the features. For head `classifier`,
    /// `hidden` lists the hidden layers.
    ///
    /// # Errors
    /// The first setting that cannot be used, with an alternative.
    pub fn check(&self, fit: Fit<'_>) -> Result<HeadSpec> {
        self.check_layers(fit, vec![])
    }

    /// As [`Params::check`], with dropout before some layers of a head `classifier`.
    fn check_layers(&self, fit: Fit<'_>, classifier_dropouts: Vec<bool>) -> Result<HeadSpec> {
        let inputs = match *fit.shape {
            [channels, _, _] if self.head.pools() => channels,
            _ if self.head.pools() => {
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
        let (params, classes) = (self.clone(), fit.classes);
        Ok(FlatSpec { params, inputs, classes, outputs, loss, exclusive, classifier_dropouts }.into())
    }

    /// The loss under which the outputs of a head that is solved for turn into probabilities.
    fn solved_loss(&self, fit: Fit<'_>) -> Result<Loss> {
        match self.head {
            HeadKind::NearestMean if fit.many => {
                let hint = "use head `ridge`, `logreg` or `knn` where rows have several classes";
                Err(Error::setting("head `nearest-mean` needs one class a row", hint))
            }
            HeadKind::Logreg if fit.classes == 2 => Ok(Loss::Sigmoid),
            HeadKind::Linear
            | HeadKind::Dense
            | HeadKind::Gap
            | HeadKind::GapDropout
            | HeadKind::Classifier
            | HeadKind::Ridge
            | HeadKind::Logreg
            | HeadKind::Knn
            | HeadKind::NearestMean => Ok(if fit.many { Loss::Sigmoid } else { Loss::Softmax }),
        }
    }

    fn check_values(&self) -> Result<()> {
        for key in KEYS.iter().filter(|key| key.applies(self)) {
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
        if self.init == Init::Zero && self.head.has_hidden_layers() {
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
}
