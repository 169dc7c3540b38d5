//! `model.json` beside the weights of three heads, and one prediction where it is read.
#![no_main]

use std::path::Path;

use headstart::internals::heads::Predictor;
use libfuzzer_sys::fuzz_target;

const HEADS: [&[u8]; 3] = [
    include_bytes!("../seeds/heads/linear.safetensors"),
    include_bytes!("../seeds/heads/dense.safetensors"),
    include_bytes!("../seeds/heads/knn.safetensors"),
];

/// Values of an image's features that are worth predicting on.
const MANY: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    for head in HEADS {
        let Ok(predictor) = Predictor::from_bytes(data, head, Path::new("model")) else { continue };
        let product = |shape: &[usize]| shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent));
        let dims: Option<Vec<usize>> = predictor.inputs().iter().map(|input| product(&input.shape)).collect();
        let Some(dim) = dims.and_then(|dims| dims.into_iter().try_fold(0_usize, usize::checked_add)) else {
            panic!("a shape whose values nobody can count was accepted")
        };
        if dim <= MANY
            && let Ok(probabilities) = predictor.probabilities(vec![0.5; 2 * dim])
        {
            assert_eq!(probabilities.len(), if dim == 0 { 0 } else { 2 * predictor.classes().len() });
        }
    }
});
