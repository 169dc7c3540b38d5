//! Base and head as one ONNX model.
//!
//! Inputs: `image`, f32 `[N, 3, H, W]`, preprocessed (`image0`, `image1`, … where the head joins
//! features of several bases). Output: `probabilities`, f32 `[N, classes]`. What the numbers mean
//! stands in `metadata_props`: `classes` (JSON), `preprocess` (or `preprocess.image0`, …) in the
//! words of [`crate::preprocess::PreprocessSpec`], `orientation` (`exif` where photos are turned as
//! their EXIF data says before they are preprocessed, else `as-stored`), `backbone`, `weights`,
//! `tap`.

mod base;
mod build;
mod head;
mod proto;

use std::path::Path;

use prost::Message;

use super::trained::TrainedModel;
use crate::files::{output, replace};
use crate::{Error, Result};
use build::Builder;

/// Oldest operator set that has all ops in use (`LayerNormalization`).
const OPSET: i64 = 17;
/// IR version that came with it.
const IR_VERSION: i64 = 8;
/// Larger messages than this no protobuf reader takes.
const LARGEST: usize = i32::MAX as usize;

/// The model that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onnx {
    /// Nodes of the graph.
    pub nodes: usize,
    /// Tensors stored in it.
    pub tensors: usize,
    /// Size of the file.
    pub bytes: u64,
}

/// Writes base and head as an ONNX model, whole or not at all.
///
/// # Errors
/// Images of no fixed size, weights that do not fit, more than 2 GiB, a folder that cannot be
/// written to.
pub fn write_onnx(model: &TrainedModel, file: &Path) -> Result<Onnx> {
    let message = encode(model)?;
    let graph = message.graph.as_ref();
    let (nodes, tensors) = graph.map_or((0, 0), |g| (g.node.len(), g.initializer.len()));
    if message.encoded_len() > LARGEST {
        let problem = format!("{} bytes are more than an ONNX file can hold (2 GiB)", message.encoded_len());
        return Err(Error::setting(problem, "use option `bundle`, or a smaller backbone"));
    }
    let bytes = message.encode_to_vec();
    replace(&output(file)?, &bytes)?;
    Ok(Onnx { nodes, tensors, bytes: bytes.len() as u64 })
}

fn encode(model: &TrainedModel) -> Result<proto::Model> {
    if model.predictor.head.neighbours().is_some() {
        let problem = "nearest neighbours are not a network and cannot be written as ONNX";
        return Err(Error::setting(problem, "use option `bundle`, or sweep heads `ridge`, `logreg` or `linear`"));
    }
    let mut b = Builder::default();
    let mut values = vec![String::new(); model.predictor.inputs().len()];
    let mut about = vec![("classes".to_owned(), serde_json::json!(model.predictor.classes()).to_string())];
    let alone = model.backbones.len() == 1;
    for (n, used) in model.backbones.iter().enumerate() {
        let (name, prefix) = if alone { ("image".to_owned(), String::new()) } else { (format!("image{n}"), format!("base{n}.")) };
        let size = used.backbone.fixed_input().ok_or_else(|| {
            let problem = format!("the images of {} are not brought to one size", used.backbone.info().name);
            Error::setting(problem, "ONNX export needs a head that was trained with a crop or an exact size in its preprocess")
        })?;
        let plan = used.backbone.plan(&used.taps, size)?;
        let input = b.input(&name, plan.input_shape());
        for (&of_head, value) in used.inputs.iter().zip(base::add(&mut b, &plan, &prefix, &input)?) {
            values[of_head] = value;
        }
        let key = |what: &str| if alone { what.to_owned() } else { format!("{what}.{name}") };
        about.extend([
            (key("preprocess"), used.backbone.preprocess().to_string()),
            (key("orientation"), used.orientation.name().to_owned()),
            (key("backbone"), used.backbone.info().name.to_owned()),
            (key("weights"), used.backbone.weights_name().to_owned()),
            (key("tap"), used.taps.join(",")),
        ]);
    }
    let output = head::add(&mut b, &model.predictor, &values);
    let entry = |(key, value)| proto::Entry { key: Some(key), value: Some(value) };
    Ok(proto::Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("headstart".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        doc_string: Some("image: preprocessed as metadata_props say; probabilities: of the classes there, in their order".into()),
        graph: Some(b.finish(&output, &[model.predictor.classes().len()])),
        opset_import: vec![proto::OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: about.into_iter().map(entry).collect(),
    })
}

#[cfg(test)]
mod tests;
