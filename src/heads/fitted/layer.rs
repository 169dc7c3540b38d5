//! A fully connected layer, and the weights that it starts from.

use crate::heads::settings::choices::Init;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::streams::INIT;
use crate::rng::Philox;

/// A fully connected layer: weight `[outputs, inputs]`, row-major, and bias `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `outputs · inputs` weights.
    pub weight: Vec<f32>,
    /// `outputs` biases.
    pub bias: Vec<f32>,
}

impl Layer {
    /// Layer `layer` of a head before its first step.
    pub fn initial(spec: &HeadSpec, layer: usize) -> Layer {
        let dims = spec.dims();
        let (inputs, outputs) = (dims[layer], dims[layer + 1]);
        let (bound, biased) = match spec.params().init {
            Init::Torch | Init::Pretrained | Init::Random => (1.0 / (inputs as f64).sqrt(), true),
            Init::Xavier => ((6.0 / (inputs + outputs) as f64).sqrt(), false),
            Init::Kaiming => ((6.0 / inputs as f64).sqrt(), false),
            Init::Zero => (0.0, false),
        };
        let draw = |unit, n| uniform(spec.params().seed, layer, unit, n).map(|u| u * bound as f32);
        let weight = (0..outputs).flat_map(|unit| draw(unit, inputs)).collect();
        let bias = if biased { draw(outputs, outputs).collect() } else { vec![0.0; outputs] };
        Layer { weight, bias }
    }
}

/// `outputs · inputs` numbers in `[-1, 1)` for the weights of a layer, `[outputs, inputs]`; row
/// `outputs` would be the bias.
fn uniform(seed: u64, layer: usize, unit: usize, inputs: usize) -> impl Iterator<Item = f32> {
    let philox = Philox::new(seed, INIT);
    (0..inputs.div_ceil(4))
        .flat_map(move |block| philox.uniform([layer as u32, unit as u32, block as u32, 0]))
        .take(inputs)
        .map(|u| 2.0 * u - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{Fit, Params};

    #[test]
    fn initial_weights_keep_to_their_bounds_and_fill_them() {
        for (init, bound) in
            [(Init::Torch, 1.0 / 512f32.sqrt()), (Init::Xavier, (6.0 / 515f32).sqrt()), (Init::Kaiming, (6.0 / 512f32).sqrt())]
        {
            let spec = Params { init, ..Params::default() }.check(Fit { tap: "gap", shape: &[512], classes: 3, many: false }).unwrap();
            let Layer { weight, bias } = Layer::initial(&spec, 0);
            let largest = weight.iter().fold(0f32, |m, w| m.max(w.abs()));
            assert!(largest <= bound && largest > 0.99 * bound, "{init}: {largest} of {bound}");
            assert_eq!(bias.iter().all(|&b| b == 0.0), init != Init::Torch);
        }
    }
}
