//! A head as ONNX nodes: pooling, transform, layers, probabilities.

use super::base::gelu;
use super::build::{Attr, Builder};
use crate::heads::{Activation, BatchNorm, HeadSpec, Loss, Predictor};

/// Adds the head behind its inputs, one value each; returns the name of the class probabilities,
/// `[N, classes]`.
pub(super) fn add(b: &mut Builder, predictor: &Predictor, inputs: &[String]) -> String {
    let head = &predictor.head;
    let mut x = features(b, predictor, inputs);
    if predictor.transform.l2 {
        x = b.node("head.unit", "LpNormalization", &[&x], vec![Attr::Int("axis", 1), Attr::Int("p", 2)]);
    }
    if !predictor.transform.mean.is_empty() {
        x = standardise(b, "head.transform", &x, &predictor.transform.mean, &predictor.transform.scale);
    }
    if let Some(BatchNorm { mean, variance }) = head.batch_norm() {
        let scale: Vec<f32> = variance.iter().map(|v| 1.0 / (v + BatchNorm::EPS).sqrt()).collect();
        x = standardise(b, "head.batch_norm", &x, mean, &scale);
    }
    let dims = head.spec.dims();
    for (i, layer) in head.layers().iter().enumerate() {
        let name = format!("head.layers.{i}");
        let weight = b.floats(&format!("{name}.weight"), &[dims[i + 1], dims[i]], &layer.weight);
        let bias = b.floats(&format!("{name}.bias"), &[dims[i + 1]], &layer.bias);
        x = b.node(&name, "Gemm", &[&x, &weight, &bias], vec![Attr::Int("transB", 1)]);
        if i + 1 < head.layers().len() {
            x = match head.spec.config().activation() {
                Activation::Relu => b.node(&name, "Relu", &[&x], vec![]),
                Activation::Gelu => gelu(b, &name, &x),
            };
        }
    }
    if head.spec.is_one_versus_rest() {
        x = ln_sigmoid(b, &x);
    }
    if predictor.model.temperature != 1.0 {
        let scale = b.floats("head.inverse_temperature", &[], &[(1.0 / predictor.model.temperature) as f32]);
        x = b.node("head.calibrated", "Mul", &[&x, &scale], vec![]);
    }
    probabilities(b, &x, &head.spec)
}

/// The input of the head's transform: maps pooled or flattened, several inputs side by side.
fn features(b: &mut Builder, predictor: &Predictor, inputs: &[String]) -> String {
    let flat = |b: &mut Builder, (value, shape): (&String, &[usize])| {
        let pooled = if predictor.head.spec.pools() { b.node("head.pool", "GlobalAveragePool", &[value], vec![]) } else { value.clone() };
        if shape.len() == 1 { pooled } else { b.node("head.flatten", "Flatten", &[&pooled], vec![Attr::Int("axis", 1)]) }
    };
    let shapes = predictor.inputs().iter().map(|input| input.shape.as_slice());
    let parts: Vec<String> = inputs.iter().zip(shapes).map(|part| flat(b, part)).collect();
    match parts.as_slice() {
        [one] => one.clone(),
        several => {
            let several: Vec<&str> = several.iter().map(String::as_str).collect();
            b.node("head.joined", "Concat", &several, vec![Attr::Int("axis", 1)])
        }
    }
}

/// `(x − mean) · scale`
fn standardise(b: &mut Builder, name: &str, x: &str, mean: &[f32], scale: &[f32]) -> String {
    let mean = b.floats(&format!("{name}.mean"), &[mean.len()], mean);
    let scale = b.floats(&format!("{name}.scale"), &[scale.len()], scale);
    let centred = b.node(name, "Sub", &[x, &mean], vec![]);
    b.node(name, "Mul", &[&centred, &scale], vec![])
}

/// ln σ(x) = −ln(1 + e⁻ˣ)
fn ln_sigmoid(b: &mut Builder, x: &str) -> String {
    let turned = b.node("head.one_versus_rest", "Neg", &[x], vec![]);
    let softplus = b.node("head.one_versus_rest", "Softplus", &[&turned], vec![]);
    b.node("head.one_versus_rest", "Neg", &[&softplus], vec![])
}

fn probabilities(b: &mut Builder, logits: &str, spec: &HeadSpec) -> String {
    if spec.is_each() {
        return b.node("probabilities", "Sigmoid", &[logits], vec![]);
    }
    if spec.loss() != Loss::Sigmoid || spec.is_one_versus_rest() {
        return b.node("probabilities", "Softmax", &[logits], vec![Attr::Int("axis", 1)]);
    }
    // Two classes share one sigmoid: that of the second.
    let second = b.node("head.second", "Sigmoid", &[logits], vec![]);
    let one = b.floats("head.one", &[], &[1.0]);
    let first = b.node("head.first", "Sub", &[&one, &second], vec![]);
    b.node("probabilities", "Concat", &[&first, &second], vec![Attr::Int("axis", 1)])
}
