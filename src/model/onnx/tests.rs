use std::collections::HashSet;
use std::path::PathBuf;

use prost::Message;

use super::*;
use crate::backbone::Backbone;
use crate::backbones::{self, BuildOptions, Opened};
use crate::data::Orientation;
use crate::engine::DeviceChoice;
use crate::heads::{Fit, Head, HeadKind, InputFeatures, Loss, MODEL_FORMAT, Model, Params, Predictor, Transform};
use crate::model::UsedBackbone;
use crate::preprocess::{Policy, PreprocessSpec};
use crate::store::Dtype;
use crate::weights::Formula;

/// A model of two classes with formula weights on a small input; `params` decide the head.
fn model(backbone: &str, tap: &str, params: &Params) -> TrainedModel {
    model_of(&["cats", "dogs"], backbone, tap, params)
}

fn model_of(classes: &[&str], backbone: &str, tap: &str, params: &Params) -> TrainedModel {
    let info = backbones::find(backbone).unwrap();
    let options = BuildOptions::default();
    let source = Box::new(Formula::new(info.graph(&options).parameters(), 1));
    let preprocess = PreprocessSpec::default().with_size(info.size.min(96), 0.875);
    let weights = Opened { source, name: "random:1".into(), preprocess, crop_pct: 0.875, options };
    let settings = crate::backbone::BackboneSettings { backbone: backbone.into(), device: DeviceChoice::Cpu, ..Default::default() };
    let base = Backbone::with_weights(&settings, info, weights).unwrap();
    let key = base.key(Dtype::F32, Orientation::AsStored, &Policy::default(), 0);
    let taps = vec![tap.to_owned()];
    let shape = base.tap_shapes(&taps, base.fixed_input().unwrap()).unwrap().remove(0);
    let spec = params.check(Fit { tap, shape: &shape, classes: classes.len(), many: false }).unwrap();
    let dim: usize = if spec.pools() { shape[0] } else { shape.iter().product() };
    let transform = match params.standardise {
        true => Transform { l2: params.l2, mean: vec![0.1; dim], scale: vec![2.0; dim] },
        false => Transform { l2: params.l2, ..Transform::default() },
    };
    let input = InputFeatures {
        cache: String::new(),
        dataset: "d".into(),
        tap: tap.into(),
        shape,
        weights: "random:1".into(),
        key_digest: key.digest(),
        key: Some(key.clone()),
    };
    let description = Model {
        format: MODEL_FORMAT,
        head: spec.clone(),
        classes: classes.iter().map(|&class| class.into()).collect(),
        inputs: vec![input],
        l2: transform.l2,
        standardise: params.standardise,
        temperature: 1.3,
        trial: 0,
        settings: Default::default(),
        metrics: Default::default(),
        headstart: "0".into(),
    };
    let predictor = Predictor { model: description, transform, head: Head::initial(&spec) };
    TrainedModel {
        predictor,
        backbones: vec![UsedBackbone { backbone: base, orientation: Orientation::AsStored, key, taps, inputs: vec![0] }],
    }
}

/// Every name is made once and before it is read; every initialiser is read and holds what its
/// dimensions say.
fn check(message: &proto::Model) {
    let graph = message.graph.as_ref().unwrap();
    let mut known: HashSet<&str> = graph.input.iter().map(|i| i.name.as_deref().unwrap()).collect();
    for tensor in &graph.initializer {
        let width = if tensor.data_type == Some(proto::FLOAT) { 4 } else { 8 };
        let name = tensor.name.as_deref().unwrap();
        assert_eq!(tensor.raw_data.as_ref().unwrap().len() as i64, width * tensor.dims.iter().product::<i64>(), "{name}");
        assert!(known.insert(name), "{name} twice");
        assert!(graph.node.iter().any(|n| n.input.iter().any(|i| i == name)), "{name} is not read");
    }
    for node in &graph.node {
        node.input.iter().for_each(|i| assert!(known.contains(i.as_str()), "{i} is read before it is made"));
        node.output.iter().for_each(|o| assert!(known.insert(o), "{o} twice"));
    }
    graph.output.iter().for_each(|o| assert!(known.contains(o.name.as_deref().unwrap())));
}

fn ops(message: &proto::Model) -> HashSet<&str> {
    message.graph.as_ref().unwrap().node.iter().filter_map(|n| n.op_type.as_deref()).collect()
}

#[test]
fn the_file_decodes_to_a_consistent_graph() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.onnx");
    let done = write_onnx(&model("mobilenet_v2", "gap", &Params::default()), &file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes.len() as u64, done.bytes);
    let message = proto::Model::decode(bytes.as_slice()).unwrap();
    check(&message);
    let graph = message.graph.as_ref().unwrap();
    assert_eq!((graph.node.len(), graph.initializer.len()), (done.nodes, done.tensors));
    let shape = |v: &proto::ValueInfo| v.kind.clone().unwrap().tensor.unwrap().shape.unwrap().dim;
    assert_eq!(shape(&graph.input[0]).iter().filter_map(|d| d.value).collect::<Vec<_>>(), [3, 96, 96]);
    assert_eq!(shape(&graph.input[0])[0].param.as_deref(), Some("N"));
    assert_eq!(graph.output[0].name.as_deref(), Some("probabilities"));
    let about = |key: &str| message.metadata_props.iter().find(|e| e.key.as_deref() == Some(key)).unwrap().value.clone().unwrap();
    assert_eq!(about("classes"), r#"["cats","dogs"]"#);
    assert!(about("preprocess").starts_with("resize=shorter:110,crop=96"));
    assert_eq!(about("orientation"), "as-stored");
}

#[test]
fn every_kind_of_head_and_layer_makes_a_consistent_graph() {
    let dense = Params { head: HeadKind::Dense, hidden: vec![4], batch_norm: true, standardise: true, l2: true, ..Params::default() };
    let sigmoid = Params { loss: Loss::Sigmoid, ..Params::default() };
    let gap = Params { head: HeadKind::Gap, ..Params::default() };
    for (backbone, tap, params, op) in [
        ("squeezenet1_1", "gap", &dense, "LpNormalization"),
        ("shufflenet_v2_x0_5", "gap", &sigmoid, "Slice"),
        ("resnet18", "map", &gap, "GlobalAveragePool"),
        ("googlenet", "gap", &sigmoid, "MaxPool"),
        ("mobilenet_v3_small", "gap", &dense, "HardSwish"),
        ("convnext_tiny", "gap", &sigmoid, "LayerNormalization"),
        ("clip_vit_b_32", "map", &gap, "Softmax"),
    ] {
        let message = encode(&model(backbone, tap, params)).unwrap();
        check(&message);
        assert!(ops(&message).contains(op), "{backbone}: {:?}", ops(&message));
    }
}

#[test]
fn sigmoids_of_classes_that_exclude_each_other_are_shared_out() {
    let sigmoid = Params { loss: Loss::Sigmoid, ..Params::default() };
    let message = encode(&model_of(&["ant", "bee", "cat"], "squeezenet1_1", "gap", &sigmoid)).unwrap();
    check(&message);
    let nodes = &message.graph.as_ref().unwrap().node;
    let last: Vec<&str> = nodes[nodes.len() - 5..].iter().filter_map(|n| n.op_type.as_deref()).collect();
    assert_eq!(last, ["Neg", "Softplus", "Neg", "Mul", "Softmax"], "the temperature divides what the softmax sees, as in `predict`");
}

#[test]
fn a_model_without_a_fixed_input_is_refused() {
    let mut trained = model("squeezenet1_1", "gap", &Params::default());
    let settings = crate::backbone::BackboneSettings {
        backbone: "squeezenet1_1".into(),
        preprocess: Some("crop=none".into()),
        device: DeviceChoice::Cpu,
        ..Default::default()
    };
    let info = backbones::find("squeezenet1_1").unwrap();
    let options = BuildOptions::default();
    let weights = Opened {
        source: Box::new(Formula::new(info.graph(&options).parameters(), 1)),
        name: "random:1".into(),
        preprocess: PreprocessSpec::default(),
        crop_pct: 0.875,
        options,
    };
    trained.backbones[0].backbone = Backbone::with_weights(&settings, info, weights).unwrap();
    let error = write_onnx(&trained, &PathBuf::from("unused.onnx")).unwrap_err().to_string();
    assert!(error.contains("one size"), "{error}");
}
