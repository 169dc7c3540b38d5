//! Checks that the parts of a `model.json` fit each other, before anything is allocated by its
//! numbers.

use crate::heads::saved::model::{InputFeatures, Model};
use crate::heads::settings::choices::Loss;
use crate::heads::settings::config::HeadConfig;
use crate::heads::settings::spec::HeadSpec;

impl Model {
    /// Checks everything that using a head relies on.
    ///
    /// # Errors
    /// A description of the part that does not fit.
    pub fn check(&self) -> Result<(), String> {
        let spec = &self.head;
        if self.classes.len() < 2 || self.classes.len() != spec.classes {
            return Err(format!("it names {} classes, and its head has {}", self.classes.len(), spec.classes));
        }
        check_outputs(spec)?;
        let inputs = inputs(&self.inputs, spec.pools())?;
        if inputs != spec.inputs {
            return Err(format!("its inputs have {inputs} features, and its head reads {}", spec.inputs));
        }
        if spec.dims().contains(&0) {
            return Err("a layer of its head has no units".into());
        }
        if let HeadConfig::Knn { k, temperature } = *spec.config()
            && (k == 0 || !is_positive(temperature))
        {
            return Err("its neighbours have no votes".into());
        }
        if !is_positive(self.temperature) {
            return Err(format!("its temperature is {}", self.temperature));
        }
        let is_other = |input: &&InputFeatures| input.key.as_ref().is_some_and(|key| key.digest() != input.key_digest);
        match self.inputs.iter().find(is_other) {
            Some(input) => Err(format!("the key of its tap `{}` is not the one that its `key_digest` promises", input.tap)),
            None => Ok(()),
        }
    }
}

fn is_positive(x: f64) -> bool {
    x.is_finite() && x > 0.0
}

/// Outputs, loss and classes as [`Params::check`](crate::heads::settings::params::Params::check)
/// makes them.
fn check_outputs(spec: &HeadSpec) -> Result<(), String> {
    let fits = match spec.loss {
        Loss::Auto => false,
        Loss::Softmax => spec.outputs == spec.classes && !spec.exclusive,
        Loss::Sigmoid if spec.outputs == 1 => spec.classes == 2 && !spec.exclusive,
        Loss::Sigmoid => spec.outputs == spec.classes,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{} outputs with loss `{}` do not tell {} classes apart", spec.outputs, spec.loss, spec.classes))
    }
}

/// Features of all inputs together, as the head sees them.
fn inputs(inputs: &[InputFeatures], pools: bool) -> Result<usize, String> {
    let of = |input: &InputFeatures| match (&*input.shape, pools) {
        ([channels, h, w], true) if input.shape.iter().all(|&n| n > 0) => channels.checked_mul(*h)?.checked_mul(*w).map(|_| *channels),
        (shape, false) if !shape.is_empty() && !shape.contains(&0) => shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)),
        _ => None,
    };
    let mut sum = 0usize;
    for input in inputs {
        let all = of(input).and_then(|n| sum.checked_add(n)).filter(|_| !pools || inputs.len() == 1);
        sum = all.ok_or_else(|| format!("its input `{}` has the shape {:?}", input.tap, input.shape))?;
    }
    if inputs.is_empty() { Err("it has no inputs".into()) } else { Ok(sum) }
}
